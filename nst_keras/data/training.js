// The page of a training.

const page = JSON.parse(document.getElementById("data").textContent);
const MOST_NAMED = 24;  // classes whose names fit beside a table

function showChart(title, key, isShare) {
  const lines = [
    ["batch", "each batch", page.batches, key],
    ["train", "training", page.epochs, key],
    ["validation", "validation", page.epochs, "val_" + key],
  ].map(([kind, label, rows, name]) => ({kind, label, points: rows.step.map((step, index) => [step, rows[name][index]])
    .filter(([, value]) => value !== null && (isShare || value > 0))})).filter(line => line.points.length);
  if (!lines.length) return;
  const chart = make("div", {class: "chart"});
  const keys = make("p", {class: "keys"}, ...lines.map(line => make("span", {class: "chart"},
    draw("svg", {viewBox: "0 0 34 8", "aria-hidden": "true"}, draw("line", {class: "curve " + line.kind, x1: 2, x2: 32, y1: 4, y2: 4})), line.label)));
  one(".charts").append(make("div", {}, make("h2", {}, title), chart, keys));
  const all = lines.flatMap(line => line.points), values = all.map(([, value]) => value);
  const from = Math.min(...all.map(([step]) => step)), to = Math.max(from + 1, ...all.map(([step]) => step));
  const low = isShare ? 0 : Math.min(...values) * 0.9, high = isShare ? 1 : Math.max(...values) * 1.1;

  function plot() {
    const width = Math.max(280, chart.clientWidth), height = Math.max(240, Math.min(380, width * 0.56));
    const left = 52, right = width - 12, top = 12, bottom = height - 44;
    const x = step => left + (step - from) / (to - from) * (right - left);
    const rise = value => isShare ? value : Math.log(value / low) / Math.log(high / low);
    const y = value => bottom - rise(value) * (bottom - top);
    let levels = isShare ? [0, 0.25, 0.5, 0.75, 1] : decades(low, high);
    if (levels.length < 3) levels = ticks(low, high, 5);
    chart.replaceChildren(draw("svg", {viewBox: "0 0 " + width + " " + height, role: "img", "aria-label": title + " over the batches"},
      ...levels.flatMap(value => [draw("line", {class: "grid", x1: left, x2: right, y1: y(value), y2: y(value)}),
        draw("text", {x: left - 8, y: y(value) + 4, "text-anchor": "end"}, isShare ? 100 * value + " %" : tick(value))]),
      ...[from, ...ticks(from, to, (right - left) / 90, 1).filter(step => x(step) - left > 34)].map(step =>
        draw("text", {x: x(step), y: bottom + 20, "text-anchor": "middle"}, count(step))),
      draw("text", {x: right, y: bottom + 38, "text-anchor": "end"}, "batch"),
      ...lines.map(line => draw("path", {class: "curve " + line.kind, d: line.points.map(([step, value], index) =>
        (index ? "L" : "M") + x(step).toFixed(1) + " " + y(value).toFixed(1)).join("") + "h.01"}))));
  }

  new ResizeObserver(plot).observe(chart);
  plot();
}

function shade(share) { return "background:color-mix(in srgb, var(--accent) " + Math.round(100 * share) + "%, var(--card))"; }

function showConfusion() {
  const rows = page.confusion, names = page.classes;
  if (!rows) return;
  one("#confusion").hidden = false;
  const shares = rows.map(row => { const sum = row.reduce((a, b) => a + b, 0); return row.map(cell => sum ? cell / sum : 0); });
  one("#confusion .scroll").append(names.length <= MOST_NAMED ? namedMatrix(rows, shares) : drawnMatrix(rows, shares));
  const wrong = rows.flatMap((row, truth) => row.map((cell, found) => ({truth, found, cell})))
    .filter(({truth, found, cell}) => truth !== found && cell).sort((a, b) => b.cell - a.cell).slice(0, 10);
  const right = rows.reduce((sum, row, index) => sum + row[index], 0), all = rows.flat().reduce((a, b) => a + b, 0);
  one("#confusion .readout").textContent = count(right) + " of " + count(all) + " pictures right";
  if (wrong.length) one(".mistakes").append(make("h3", {}, "Most often mistaken"), table("", wrong.map(({truth, found, cell}) =>
    [names[truth] + " taken for " + names[found], count(cell)])));
}

function namedMatrix(rows, shares) {
  return make("table", {class: "confusion"},
    make("thead", {}, make("tr", {}, make("td", {}), ...page.classes.map(name => make("th", {scope: "col"}, name)))),
    make("tbody", {}, ...rows.map((row, truth) => make("tr", {}, make("th", {scope: "row"}, page.classes[truth]),
      ...row.map((cell, found) => make("td", {style: shade(shares[truth][found]),
        class: [truth === found ? "same" : "", shares[truth][found] > 0.55 ? "deep" : ""].join(" ").trim() || null},
        cell ? count(cell) : ""))))));
}

/* Of many classes: a square for each cell that is not empty, with its names where the pointer is. */
function drawnMatrix(rows, shares) {
  const cells = rows.flatMap((row, truth) => row.map((cell, found) => cell && draw("rect",
    {x: found, y: truth, width: 1, height: 1, style: "fill:var(--accent);opacity:" + (0.15 + 0.85 * shares[truth][found]).toFixed(2)},
    draw("title", {}, page.classes[truth] + " taken for " + page.classes[found] + ": " + cell))).filter(Boolean));
  return draw("svg", {class: "matrix", viewBox: "0 0 " + rows.length + " " + rows.length, role: "img",
    "aria-label": "Confusion matrix of " + rows.length + " classes"}, ...cells);
}

addCopyButtons();
showChart("Loss", "loss", false);
showChart("Accuracy", "accuracy", true);
showConfusion();
watch(page.live, () => false);
