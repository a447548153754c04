// The losses of all runs as curves.

const TOTAL = "total";
// Runs differ in dashes, too, for who does not tell colors apart.
const DASHES = ["", "8 5", "2 5"], LINES = ["solid", "dashed", "dotted"];

function lineStyle(run) { return LINES[run.index % LINES.length]; }

function curveTerms() {
  const found = new Map();
  runs.forEach(run => Object.entries(run.curves.terms).forEach(([name, values]) => {
    if (values.some(value => value !== null)) found.set(name, (found.get(name) || 0) + 1);
  }));
  return [...found.keys()].sort((a, b) => (b === TOTAL) - (a === TOTAL));
}

function showCurves() {
  const names = curveTerms(), chart = one(".chart");
  if (!names.length) return;
  one("#curves").hidden = false;
  const hidden = new Set(), values = new Map();
  let term = names[0], log = true, axes = null, lit = null, stepAt = null;

  function points(run) {
    const column = own(run.curves.terms, term) || [];
    return run.curves.steps.map((step, index) => [step, column[index]])
      .filter(([, value]) => typeof value === "number" && (!log || value > 0));
  }

  function scaled() {
    const width = Math.max(280, chart.clientWidth), height = Math.max(280, Math.min(460, width * 0.42));
    const box = {left: 58, right: width - 14, top: 12, bottom: height - 46, width: width, height: height};
    const lines = runs.filter(run => !hidden.has(run.index)).map(run => ({run: run, points: points(run)}))
      .filter(line => line.points.length);
    const all = lines.flatMap(line => line.points), least = (a, b) => Math.min(a, b), most = (a, b) => Math.max(a, b);
    const levels = all.map(([, value]) => value), steps = all.map(([step]) => step);
    let low = levels.length ? levels.reduce(least) : 0.1, high = levels.length ? levels.reduce(most) : 1;
    if (log) { low *= 0.92; high *= 1.08; }
    else { const room = (high - low || Math.abs(high) || 1) * 0.05; low = low >= 0 ? 0 : low - room; high += room; }
    const from = steps.length ? steps.reduce(least) : 0, to = Math.max(from + 1, steps.length ? steps.reduce(most) : 1);
    const rise = value => log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
    return Object.assign(box, {lines, low, high, from, to,
      x: step => box.left + (step - from) / (to - from) * (box.right - box.left),
      y: value => box.bottom - rise(value) * (box.bottom - box.top)});
  }

  function backdrop() {
    const {x, y, left, right, bottom, from, to, low, high} = axes;
    let levels = log ? decades(low, high) : [];
    if (levels.length < 3) levels = ticks(low, high, 5);
    return [
      ...levels.flatMap(value => [
        draw("line", {class: "grid", x1: left, x2: right, y1: y(value), y2: y(value)}),
        draw("text", {x: left - 8, y: y(value) + 4, "text-anchor": "end"}, tick(value))]),
      ...ticks(from, to, (right - left) / 90, 1).map(step =>
        draw("text", {x: x(step), y: bottom + 20, "text-anchor": "middle"}, count(step))),
      draw("text", {x: right, y: bottom + 40, "text-anchor": "end"}, "step"),
    ];
  }

  function curve(line) {
    // A line for each scale: between two of them the picture itself changes.
    const joined = index => index && !line.run.scale_starts.some(start => start > line.points[index - 1][0] && start <= line.points[index][0]);
    const path = line.points.map(([step, value], index) =>
      (joined(index) ? "L" : "M") + axes.x(step).toFixed(1) + " " + axes.y(value).toFixed(1) + (joined(index) ? "" : "h.01")).join("");
    return draw("path", {class: "curve", "data-run": line.run.index, d: path, "stroke-dasharray": DASHES[line.run.index % DASHES.length] || null, style: "stroke:" + color(line.run)});
  }

  function plot() {
    axes = scaled();
    chart.replaceChildren(draw("svg", {viewBox: "0 0 " + axes.width + " " + axes.height, role: "img",
      "aria-label": "The term " + term + " of each run over the steps" + (log ? ", on a logarithmic scale" : "")},
      ...backdrop(), ...axes.lines.map(curve), draw("g", {class: "marks"})));
    light(lit);
    read();
  }

  function read() {
    const marks = [];
    runs.forEach(run => {
      const line = axes.lines.find(other => other.run === run);
      const step = stepAt === null ? share * run.total : stepAt;
      const found = line && nearest(line.points, step);
      values.get(run.index).textContent = found ? short(found[1]) : "–";
      if (found) marks.push(draw("circle", {cx: axes.x(found[0]), cy: axes.y(found[1]), r: 4, style: "fill:" + color(run)}));
    });
    const x = stepAt === null ? null : axes.x(stepAt);
    if (x !== null) marks.unshift(draw("line", {class: "here", x1: x, x2: x, y1: axes.top, y2: axes.bottom}));
    chart.querySelector(".marks").replaceChildren(...marks);
    one(".readout").textContent = term + (stepAt !== null ? " at step " + count(stepAt)
      : share < 1 ? " after " + Math.round(100 * share) + " % of the steps" : " at the end");
  }

  /* The logged point next to a step, unless the run ends before. */
  function nearest(points, step) {
    const gap = points.length > 1 ? (points[points.length - 1][0] - points[0][0]) / (points.length - 1) : Infinity;
    if (stepAt !== null && step > points[points.length - 1][0] + gap) return null;
    return points.reduce((best, point) => Math.abs(point[0] - step) < Math.abs(best[0] - step) ? point : best);
  }

  function light(index) {
    lit = index;
    chart.querySelectorAll(".curve").forEach(path => {
      const own = path.dataset.run === index;
      path.classList.toggle("lit", own);
      path.classList.toggle("dim", index !== null && !own);
      if (own) path.parentNode.insertBefore(path, path.parentNode.querySelector(".marks"));
    });
  }

  function entry(run) {
    const value = make("b", {});
    values.set(run.index, value);
    const button = make("button", {type: "button", "aria-pressed": "true", "data-run": run.index, onclick: toggle},
      make("i", {style: "color:" + color(run) + ";border-top-style:" + lineStyle(run)}), make("span", {}, ...soft(run.name)), value);
    function toggle() {
      if (!hidden.delete(run.index)) hidden.add(run.index);
      button.setAttribute("aria-pressed", !hidden.has(run.index));
      plot();
    }
    return button;
  }

  function point(event) {
    const box = chart.getBoundingClientRect(), x = (event.clientX - box.left) * axes.width / box.width;
    const step = axes.from + (x - axes.left) / (axes.right - axes.left) * (axes.to - axes.from);
    stepAt = Math.round(Math.min(axes.to, Math.max(axes.from, step)));
    read();
  }

  const select = make("select", {"aria-label": "Term"}, ...names.map(name => make("option", {value: name}, name)));
  const scale = make("button", {type: "button", class: "pill", "aria-pressed": "true", onclick: () => {
    log = !log;
    scale.setAttribute("aria-pressed", log);
    plot();
  }}, "Logarithmic");
  select.addEventListener("change", () => { term = select.value; plot(); });
  one(".choices").append(select, scale);
  one(".legend").append(...runs.map(entry));
  chart.addEventListener("pointermove", point);
  chart.addEventListener("pointerdown", point);
  chart.addEventListener("pointerleave", () => { stepAt = null; read(); });
  document.addEventListener("pointerover", event => {
    const node = event.target.closest && event.target.closest("[data-run]");
    if (!chart.contains(event.target)) light(node ? node.dataset.run : null);
  });
  addEventListener("resize", plot);
  night.addEventListener("change", plot);
  markShare = read;
  showWarning();
  plot();
}

function showWarning() {
  const names = page.incomparable;
  if (!names.length) return;
  fill(one(".warning"), {}, ["These runs do not minimize the same thing: they differ in ",
    ...names.slice(0, 6).flatMap((name, index) => [index ? ", " : "", make("code", {}, name)]),
    names.length > 6 ? " and " + (names.length - 6) + " more" : "",
    ". Their totals and weighted terms show how each run went, not which picture is better."]);
  one(".warning").hidden = false;
}
