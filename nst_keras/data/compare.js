// The page that compares runs: their pictures, side by side or in rows and columns.

const page = JSON.parse(document.getElementById("data").textContent);
const runs = page.runs;
const MOST_ZOOM = 24;
const home = atHome();
const PLAY_SECONDS = 6;

// Runs.

const stills = [...document.querySelectorAll(".still")];
runs.forEach((run, index) => {
  const still = stills[index].querySelector("img");
  // The newest picture is in the HTML, where it is seen without this script, too.
  if (still && run.iterations.length) run.iterations[run.iterations.length - 1].uri = still.src;
  const largest = run.iterations[run.iterations.length - 1];
  run.index = index;
  run.last = largest ? largest.step : run.step || 0;
  // A run may be finished before its last planned step.
  run.total = Math.max(run.finished ? 0 : run.total_steps || 0, run.last, 1);
  run.ratio = largest ? largest.width / largest.height : 4 / 3;
  run.mark = run.finished ? "" : run.status === "finished" ? "result missing" : run.status;
});

// Neighbors differ in hue; few runs get hues that are told apart even so.
function color(run) {
  const hues = [212, 24, 140, 335, 46, 268, 182, 0, 92, 300];
  const many = runs.length > hues.length, light = night.matches;
  const hue = many ? (run.index * 137.508) % 360 : hues[run.index];
  const shift = many ? 9 * (run.index % 3 - 1) : 0;
  return "hsl(" + hue.toFixed(0) + " 62% " + ((light ? 66 : 42) + shift - (hue > 40 && hue < 100 ? 6 : 0)) + "%)";
}

function dot(run) { return make("i", {class: "dot", style: "color:" + color(run)}); }

function recolor() {
  document.querySelectorAll("[data-run] .dot, .legend i").forEach(node => {
    node.style.color = color(runs[node.closest("[data-run]").dataset.run]);
  });
}

/* Links are for who has the folders: elsewhere they would be dead. */
function atHome() {
  let hash = 0x811c9dc5;
  if (location.protocol !== "file:") return false;
  let path = location.pathname;
  try { path = decodeURIComponent(path); } catch (error) { /* not UTF-8 */ }
  for (const byte of new TextEncoder().encode(path)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash === page.place;
}

function named(run) { return home && run.link ? make("a", {href: run.link}, run.name) : make("span", {}, ...soft(run.name)); }

function own(record, name) { return Object.hasOwn(record, name) ? record[name] : undefined; }

function shown(value) { return value === undefined ? "–" : value === "" ? "none" : value; }

/* Numbers by size, words after them, nothing last. */
function ordered(a, b, way) {
  const empty = value => value === undefined || value === null || value === "";
  if (empty(a) || empty(b)) return empty(a) - empty(b);
  const x = Number(a), y = Number(b);
  if (isNaN(x) !== isNaN(y)) return way * (isNaN(x) - isNaN(y));
  return way * (isNaN(x) ? String(a).localeCompare(String(b), "en", {numeric: true}) : x - y);
}

// The head of the page.

function showHead() {
  const unfinished = runs.filter(run => run.mark).length, settings = page.varied;
  const facts = [
    document.title.startsWith(runs.length + " ") ? "" : runs.length + (runs.length === 1 ? " run" : " runs"),
    unfinished ? unfinished + " unfinished" : "",
    runs.length === 1 ? "" : !settings.length ? "no settings differ" : settings.length > 5
      ? settings.length + " settings differ" : listed(settings) + (settings.length > 1 ? " differ" : " differs"),
  ];
  fill(one(".facts"), {}, facts.filter(fact => fact).map(fact => make("span", {}, fact)));
}

// Cards.

const board = one(".board");
const SHORT_LIST = 6;

function facts(run, names) {
  if (!Object.keys(run.settings).length) return "";
  return make("dl", {}, ...names.map(name => make("div", {}, make("dt", {}, ...soft(name)),
    make("dd", {}, ...soft(shown(own(run.settings, name)))))));
}

/* Copies the command that makes this picture, large. */
function useThis(run) {
  const button = copyButton("Copy command", () => run.command);
  return fill(button, {class: "use", title: "Use this one: copies the command that makes it at full size:\n" + run.command});
}

function card(run) {
  const wide = Math.min(1, run.ratio / ratio), high = Math.min(1, ratio / run.ratio);
  run.image = run.iterations.length ? make("img", {alt: run.name, draggable: "false", decoding: "sync",
    style: "width:" + 100 * wide + "%;height:" + 100 * high + "%"}) : null;
  run.at = make("span", {class: "at"});
  run.stage = make("div", {class: "stage"}, run.image || make("p", {class: "wait"}, "No picture yet"));
  const names = page.varied.filter(name => !page.layout.includes(name));
  const more = names.length > SHORT_LIST && Object.keys(run.settings).length ? names.splice(SHORT_LIST - 1) : [];
  return make("figure", {class: "card", "data-run": run.index}, run.stage, make("figcaption", {},
    make("div", {class: "name"}, dot(run), !page.layout.length || run.crowded && !names.length ? named(run) : "", run.mark ? make("span", {class: "badge"}, run.mark) : "", run.at),
    run.note ? make("p", {class: "note"}, run.note) : "",
    names.length ? facts(run, names) : "",
    run.command ? useThis(run) : "",
    more.length ? make("details", {}, make("summary", {}, more.length + " more"), facts(run, more)) : ""));
}

// Pictures of several shapes share one frame, of the shape in the middle.
const shapes = runs.map(run => run.ratio).sort((a, b) => a - b);
const ratio = Math.min(2.4, Math.max(0.5,
  Math.sqrt(shapes[shapes.length >> 1] * shapes[shapes.length - 1 >> 1])));

function sheet() {
  const [row, column] = page.layout, value = (run, name) => own(run.settings, name) || "";
  const values = name => [...new Set(runs.map(run => value(run, name)))].sort((a, b) => ordered(a, b, 1));
  const heading = (name, text, scope) =>
    make("th", {scope: scope}, make("small", {}, ...soft(name)), make("b", {}, shown(text)));
  const columns = values(column), inCell = (text, other) => runs.filter(run => value(run, row) === text && value(run, column) === other);
  runs.forEach(run => { run.crowded = inCell(value(run, row), value(run, column)).length > 1; });
  return make("table", {class: "sheet"},
    make("thead", {}, make("tr", {}, make("td", {}, make("small", {}, ...soft(row))),
      ...columns.map((text, index) => heading(index ? "" : column, text, "col")))),
    make("tbody", {}, ...values(row).map(text => make("tr", {}, heading("", text, "row"),
      ...columns.map(other => make("td", {},
        ...inCell(text, other).map(card)))))));
}

let columns = [1, 2, 3, 2, 3, 3, 4, 4, 3][runs.length - 1] || (runs.length > 40 ? 6 : runs.length > 16 ? 5 : 4);
let cell = 0;  // the width of a picture in px that somebody chose

function showBoard() {
  board.style.setProperty("--ratio", ratio);
  document.querySelectorAll("[data-size], .tools i").forEach(node => { node.hidden = runs.length === 1; });
  board.replaceChildren();
  document.querySelectorAll(".bar, #pictures .hint, #numbers").forEach(node => { node.hidden = false; });
  if (page.layout.length) {
    board.append(make("div", {class: "scroll"}, sheet()));
    addEventListener("resize", () => resize(0));
  } else board.append(make("div", {class: "grid"}, ...runs.map(card)));
  document.querySelectorAll("[data-size]").forEach(button =>
    button.addEventListener("click", () => resize(+button.dataset.size)));
  resize(0);
}

function resize(way) {
  const table = board.querySelector(".sheet");
  if (table) {
    const margin = board.clientWidth < 600 ? 64 : 96, between = board.clientWidth < 600 ? 10 : 18;
    const number = table.tHead.rows[0].cells.length - 1, most = board.clientWidth - margin;
    const least = Math.max(88, most / number);
    const width = Math.min(most, Math.max(least, (cell || (board.clientWidth < 600 ? least : 150)) * Math.pow(1.3, way)));
    if (way) cell = width;
    table.style.width = margin + width * number + "px";
    fill(table, {style: table.style.cssText + ";--cell:" + width + "px;--margin:" + margin + "px;--between:" + between + "px"});
    return;
  }
  const grid = board.firstChild, now = getComputedStyle(grid).gridTemplateColumns.split(" ").length;
  if (way) columns = Math.min(10, runs.length, Math.max(1, now - way));
  // A wish for more than the screen would take is taken at its word.
  grid.style.setProperty("--least", way < 0 ? "80px" : way > 0 ? "0px" : "150px");
  grid.style.setProperty("--columns", columns);
}

// The player: each run shows its newest picture up to the same share of its steps.

let share = 1, playing = null;
let markShare = function () {};

function stageAt(run, share) {
  const step = share * run.total + 0.5, iterations = run.iterations;
  let found = iterations[0];
  iterations.forEach(one => { if (one.step <= step) found = one; });
  return found;
}

function move(to) {
  share = Math.min(1, Math.max(0, to));
  runs.forEach(run => {
    const stage = stageAt(run, share);
    if (stage && run.stageShown !== stage) run.image.src = stage.uri;
    run.stageShown = stage;
    const steps = stage ? stage.step : run.last;
    run.at.textContent = !stage && !run.total_steps ? "" : "Step " + count(steps) + (steps < run.total || share < 1 ? " of " + count(run.total) : "");
  });
  const percent = Math.round(100 * share) + " %";
  one(".controls input").value = 100 * share;
  one(".controls input").setAttribute("aria-valuetext", percent + " of the steps");
  one(".controls output").replaceChildren(make("b", {}, percent));
  markShare();
}

function icon() {
  const button = one(".controls button");
  button.querySelector("path").setAttribute("d", playing ? PAUSE : PLAY);
  button.setAttribute("aria-label", playing ? "Pause" : "Play");
}

function pause() { clearInterval(playing); playing = null; icon(); }

function play() {
  const ticks = Math.max(12, Math.min(60, Math.max(...runs.map(run => run.iterations.length)) * 2));
  if (share >= 1) move(0);
  playing = setInterval(() => { move(share + 1 / ticks); if (share >= 1) pause(); }, 1000 * PLAY_SECONDS / ticks);
  icon();
}

function showPlayer() {
  const some = runs.some(run => run.iterations.length > 1);
  one(".bar .controls").hidden = one(".hint span").hidden = !some;
  one(".controls input").addEventListener("input", event => { pause(); move(event.target.value / 100); });
  one(".controls button").addEventListener("click", () => playing ? pause() : play());
  icon();
  move(1);
}

// One view for all pictures.

let zoom = null;

function showZoom() {
  zoom = makeZoom(board, {ratio, least: () => 1, most: () => MOST_ZOOM, onDouble: () => zoom.whole(),
    onLook: view => { one(".tools output").textContent = (view.zoom < 10 ? view.zoom.toFixed(1) : view.zoom.toFixed(0)) + "×"; }});
  const press = {in: () => zoom.by(1.5), out: () => zoom.by(1 / 1.5), reset: zoom.whole};
  document.querySelectorAll("[data-zoom]").forEach(button =>
    button.addEventListener("click", press[button.dataset.zoom]));
  document.addEventListener("keydown", event => {
    const there = event.target === board, bar = event.target.closest && event.target.closest(".bar");
    if (event.ctrlKey || event.metaKey || event.altKey || !(there || bar || event.target === document.body)) return;
    const way = {ArrowLeft: -1, ArrowRight: 1}[event.key], slider = event.target.type === "range";
    const end = {Home: 0, End: 1}[event.key];
    let used = zoom.key(event) || there && zoom.arrow(event);
    if (!used && event.key === "f") used = toggleFull() || true;
    if (!used && way && !slider) { pause(); move(share + way / 100); used = true; }
    if (!used && there && end !== undefined) { pause(); move(end); used = true; }
    if (used) event.preventDefault();
  });
}

function toggleFull() {
  const section = one("#pictures");
  if (document.fullscreenElement) document.exitFullscreen();
  else if (section.requestFullscreen) section.requestFullscreen().catch(() => {});
}

showHead();
showBoard();
showZoom();
showPlayer();
showCurves();
showTable();
showShared();
night.addEventListener("change", recolor);
