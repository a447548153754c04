// The curves of a run's losses: told apart by dashes and names, not by color alone.

const DASHES = ["", "8 5", "2 5", "12 4 2 4", "5 3"];

function family(name) { return name.split("/")[0]; }

function kin(name, names) { return names.filter(other => family(other) === family(name)); }

function dash(name, names) { return DASHES[kin(name, names).indexOf(name) % DASHES.length]; }

function curveColor(name, names) {
  const light = night.matches, all = kin(name, names), share = all.length > 1 ? all.indexOf(name) / (all.length - 1) : 0.5;
  if (name === "total") return "var(--ink)";
  // Hues that people with any color vision tell apart, darker or lighter by the layer.
  const [hue, strong] = {style: [20, 85], content: [208, 80], neighbors: [318, 45], laplacian: [164, 70], tv: [50, 30]}[family(name)] || [262, 45];
  return "hsl(" + hue + " " + strong + "% " + ((light ? 72 : 32) + (light ? -14 : 14) * share) + "%)";
}

function showCurves() {
  const steps = page.curves.steps, terms = page.curves.terms, chart = one(".chart");
  const names = Object.keys(terms).filter(name => terms[name].some(value => value > 0));
  if (!steps.length || !names.length) return;
  one("#curves").hidden = false;
  const hidden = new Set(kept.hidden || []);
  const values = {};
  let axes = null, chosen = steps.length - 1;

  function entry(name) {
    const line = draw("svg", {viewBox: "0 0 34 8", "aria-hidden": "true"},
      draw("line", {x1: 2, x2: 32, y1: 4, y2: 4, "stroke-width": 3, "stroke-dasharray": dash(name, names) || null}));
    const button = make("button", {type: "button", onclick: toggle}, line, make("span", {}, name), values[name] = make("b", {}));
    function toggle() {
      if (!hidden.delete(name)) hidden.add(name);
      keep("hidden", [...hidden]);
      plot();
    }
    return button;
  }

  function scaled() {
    const width = Math.max(280, chart.clientWidth), height = Math.max(280, Math.min(460, width * 0.42));
    const right = width > 640 ? width - 168 : width - 12;
    const box = {left: 52, right: right, top: 30, bottom: height - 44, width: width, height: height};
    const shown = names.filter(name => !hidden.has(name));
    const all = shown.flatMap(name => terms[name]).filter(value => value > 0);
    const low = all.length ? all.reduce((a, b) => Math.min(a, b)) * 0.85 : 0.1;
    const high = all.length ? all.reduce((a, b) => Math.max(a, b)) * 1.15 : 1;
    const from = steps[0], to = Math.max(from + 1, steps[steps.length - 1]);
    return Object.assign(box, {shown, low, high, from, to,
      x: step => box.left + (step - from) / (to - from) * (box.right - box.left),
      y: value => box.bottom - Math.log(value / low) / Math.log(high / low) * (box.bottom - box.top)});
  }

  function backdrop() {
    const {x, y, left, right, top, bottom, from, to} = axes, parts = [];
    scales.forEach((scale, index) => {
      const start = x(Math.max(from, scale.first)), end = x(Math.min(to, scale.last + 1));
      if (end <= start) return;
      if (index % 2) parts.push(draw("rect", {class: "band", x: start, y: top, width: end - start, height: bottom - top}));
      if (scale.first > from) parts.push(draw("line", {class: "edge", x1: start, x2: start, y1: top - 22, y2: bottom}));
      const text = [size(scale) + " px", size(scale), String(scale.width)].find(label => label.length * 7 < end - start - 10);
      if (text) parts.push(draw("text", {x: start + 6, y: top - 12}, text));
    });
    decades(axes.low, axes.high).forEach(value => parts.push(
      draw("line", {class: "grid", x1: left, x2: right, y1: y(value), y2: y(value)}),
      draw("text", {x: left - 8, y: y(value) + 4, "text-anchor": "end"}, tick(value))));
    [from, ...ticks(from, to, (right - left) / 90, 1).filter(step => x(step) - x(from) > 34)].forEach(step => parts.push(
      draw("text", {x: x(step), y: bottom + 20, "text-anchor": "middle"}, count(step))));
    parts.push(draw("text", {x: right, y: bottom + 38, "text-anchor": "end"}, "step"));
    return parts;
  }

  /* A line for each scale: between two of them the picture itself changes. */
  function curve(name) {
    let path = "", before = null;
    terms[name].forEach((value, index) => {
      if (!(value > 0)) { before = null; return; }
      const scale = scaleAt(steps[index]) || scales, joined = before === scale;
      path += (joined ? "L" : "M") + axes.x(steps[index]).toFixed(1) + " " + axes.y(value).toFixed(1) + (joined ? "" : "h.01");
      before = scale;
    });
    return draw("path", {class: "curve " + family(name), d: path, "stroke-dasharray": dash(name, names) || null,
      style: "stroke:" + curveColor(name, names)});
  }

  /* The names at the ends of the curves, moved apart where they would cover each other. */
  function endNames() {
    if (axes.right > axes.width - 100) return [];
    const ends = axes.shown.map(name => ({name, value: terms[name].filter(value => value > 0).pop()})).filter(end => end.value)
      .map(end => ({...end, y: axes.y(end.value)})).sort((a, b) => a.y - b.y);
    ends.forEach((end, index) => { if (index) end.y = Math.max(end.y, ends[index - 1].y + 13); });
    for (let index = ends.length - 1, most = axes.bottom; index >= 0; index -= 1, most -= 13) ends[index].y = Math.min(ends[index].y, most);
    return ends.map(end => draw("text", {class: "name", x: axes.right + 8, y: end.y + 4, style: "fill:" + curveColor(end.name, names)}, end.name));
  }

  function plot() {
    if (!chart.clientWidth) return;  // inside of closed details
    axes = scaled();
    const order = axes.shown.filter(name => name !== "total").concat(axes.shown.filter(name => name === "total"));
    chart.replaceChildren(draw("svg", {viewBox: "0 0 " + axes.width + " " + axes.height, role: "img", tabindex: 0,
      "aria-label": "Loss of each term over the steps, on a logarithmic scale. Arrow keys move the readout."},
      ...backdrop(), ...order.map(curve), ...endNames(), draw("g", {class: "cursor"})));
    [...one(".legend").children].forEach((button, index) => {
      button.setAttribute("aria-pressed", !hidden.has(names[index]));
      button.querySelector("line").style.stroke = curveColor(names[index], names);
    });
    read(chosen);
  }

  function read(index) {
    chosen = Math.min(steps.length - 1, Math.max(0, index));
    const scale = scaleAt(steps[chosen]);
    names.forEach(name => { values[name].textContent = short(terms[name][chosen]); });
    one(".readout").textContent = "Step " + count(steps[chosen]) + (scale ? ", " + size(scale) + " px" : "");
    if (!axes) return;
    const x = axes.x(steps[chosen]);
    const dots = axes.shown.filter(name => terms[name][chosen] > 0).map(name => draw("circle",
      {cx: x, cy: axes.y(terms[name][chosen]), r: 3.5, style: "fill:" + curveColor(name, names)}));
    chart.querySelector(".cursor").replaceChildren(
      draw("line", {class: "here", x1: x, x2: x, y1: axes.top, y2: axes.bottom}), ...dots);
  }

  function nearest(step) {
    return steps.reduce((best, at, index) => Math.abs(at - step) < Math.abs(steps[best] - step) ? index : best, 0);
  }

  function point(event) {
    if (!axes) return;
    const box = chart.getBoundingClientRect();
    const x = (event.clientX - box.left) * axes.width / box.width;
    read(nearest(axes.from + (x - axes.left) / (axes.right - axes.left) * (axes.to - axes.from)));
  }

  one(".legend").append(...names.map(entry));
  chart.addEventListener("pointermove", point);
  chart.addEventListener("pointerdown", point);
  chart.addEventListener("keydown", event => {
    const to = {ArrowLeft: chosen - 1, ArrowRight: chosen + 1, Home: 0, End: steps.length - 1}[event.key];
    if (to !== undefined) { event.preventDefault(); read(to); }
  });
  night.addEventListener("change", plot);
  new ResizeObserver(plot).observe(chart);
  markStep = step => read(nearest(step));
  plot();
}
