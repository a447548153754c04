// The page of a run: what is told beside its pictures, and the renewal while it goes on.

const page = JSON.parse(document.getElementById("data").textContent);
const run = page.run;

const scales = run.scales || [];
let first = 1;
scales.forEach(scale => {
  scale.first = scale.first_step || first;
  scale.last = scale.first + (scale.steps || 0) - 1;
  first = scale.last + 1;
});

function scaleAt(step) { return scales.find(scale => step >= scale.first && step <= scale.last); }

// Details.

function showFigures() {
  const column = one("#figures");
  const scores = Object.entries(run.scores || {});
  if (scores.length) column.append(make("h3", {}, "Scores"),
    table("mono terms scores", scores.map(([name, value], index) =>
      [scoreName(name, index ? scores[index - 1][0] : ""), short(value)])));
  const terms = Object.entries(run.final_terms || {});
  if (terms.length) column.append(make("h3", {}, "Losses of the result"),
    (run.settings || {}).optimizer === "lbfgs" ? "" :
      make("p", {class: "hint"}, "The curves show the losses before each step, so they end a step earlier."),
    table("mono terms", terms.map(([name, value]) => [name, short(value)])));
  const inputs = [["Photo", run.content]].concat((run.styles || []).map(style => ["Painting", style]))
    .filter(([, record]) => record);
  if (inputs.length) column.append(make("h3", {}, "Inputs"), table("", inputs.map(([kind, record]) => [kind, input(record)])));
  const about = [
    ["Device", run.device], ["Started", run.started && new Date(run.started).toLocaleString()],
    ["Setting up and steps", run.seconds && duration(run.seconds)],
    ["Where it went", Object.entries(run.parts || {}).filter(([, value]) => value >= 0.5)
      .map(([name, value]) => name + " " + duration(value)).join(", ")],
    ["Scales", scales.map(size).filter(Boolean).join(", ")],
    ...Object.entries(run.versions || {}), ["nst_keras", run.version],
  ].filter(([, value]) => value);
  if (about.length) column.append(make("h3", {}, "Machine"), table("", about));
}

function scoreName(name, before) {
  const kind = family(name);
  const note = family(before) !== kind && page.score_notes[kind];
  return make("span", {}, ...soft(name), note ? make("small", {}, note) : "");
}

function input(record) {
  const about = [size(record) && size(record) + " px",
    record.weight === undefined ? "" : "weight " + short(record.weight)].filter(Boolean).join(", ");
  const hash = record.sha256 ? make("code", {title: "SHA-256 " + record.sha256}, record.sha256.slice(0, 16)) : "";
  return make("span", {}, record.name || "", make("br"), about, hash && make("br"), hash);
}

function showSettings() {
  const column = one("#settings");
  const settings = run.settings || {}, changed = (run.changed || []).filter(name => name in settings);
  const others = Object.keys(settings).filter(name => !changed.includes(name));
  const rows = names => names.map(name => [name, setting(settings[name])]);
  if (changed.length) column.append(make("h3", {}, "Settings of this picture"), table("mono changed", rows(changed)));
  if (others.length) column.append(remembered(make("details", {},
    make("summary", {}, (changed.length ? "The other " + others.length + " settings" : "All " + others.length + " settings")),
    table("mono", rows(others))), "settings"));
  if ((run.notes || []).length)
    column.append(make("h3", {}, "Notes"), make("ul", {class: "notes"}, ...run.notes.map(note => make("li", {}, note))));
}

function remembered(details, name) {
  details.open = Boolean(kept[name]);
  details.addEventListener("toggle", () => keep(name, details.open));
  return details;
}

addCopyButtons();
remembered(one("details.all"), "details");
showViewer();
showCurves();
showFigures();
showSettings();
watch(page.live, () => player.playing() || zoomedNow());
