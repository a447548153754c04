// Asks for the state once a second, and for a picture when there is a newer one.
const root = document.documentElement;
const token = root.dataset.token;
const query = "?t=" + encodeURIComponent(token) + "&w=" + Math.random().toString(36).slice(2, 12);
const byId = id => document.getElementById(id);
const PERIOD = 1000;  // ms
const QUESTIONS = {
  stop: ["Save the state and stop? The same command resumes the run later.", "Stop and save"],
  finish: ["End the run for good, with the picture as it is now, at its present size?", "Finish now"],
};
let shown = 0;  // the number of the newest picture asked for
let state = null;
let chosen = "";  // the action in the dialog
let gone = null;  // the button that had the focus when it was hidden

async function update() {
  try {
    const answer = await fetch("state.json" + query, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.statusText);
    state = await answer.json();
    show();
    if (state.ended) return;
  } catch {
    explainSilence();
  }
  setTimeout(update, document.hidden ? 4 * PERIOD : PERIOD);
}

function show() {
  root.dataset.phase = state.phase;
  document.title = `${state.headline}: ${state.title}`;
  setText("headline", state.headline);
  setText("note", state.note);
  setText("caption", state.caption);
  byId("trouble").hidden = true;
  byId("share").value = 100 * state.share;
  byId("facts").replaceChildren(...state.facts.map(fact => make("span", {}, fact)));
  showActions();
  if (!state.actions.includes(chosen)) byId("sure").close();
  showCurves();
  if (state.picture > shown) showPicture(state.picture);
}

// The buttons for what can be asked for now; who works with the keyboard stays among them.
function showActions() {
  const buttons = [...byId("actions").children], active = document.activeElement;
  if (active !== document.body) gone = null;
  for (const button of buttons) {
    button.hidden = !state.actions.includes(button.dataset.action);
    if (button === active && button.hidden) gone = button;
  }
  const first = buttons.find(button => !button.hidden);
  if (gone && first) {
    first.focus({ preventScroll: true });
    gone = null;
  }
}

function showPicture(number) {
  shown = number;
  const next = new Image();
  next.alt = "The picture at this moment";
  next.id = "picture";
  next.onload = () => byId("frame").replaceChildren(next);  // no flicker
  next.onerror = () => { if (shown === number) shown = 0; };
  next.src = `picture.jpg${query}&n=${number}`;
}

function showCurves() {
  const entries = Object.entries(state.curves).filter(([, points]) => points.length);
  byId("losses").replaceChildren(...entries.map(([name, points]) => {
    const latest = points[points.length - 1][1];
    return make("li", {}, make("b", {}, name), make("output", {}, short(latest)), sparkline(points));
  }));
}

// A small chart of a loss, on a logarithmic scale where all values are positive.
function sparkline(points) {
  const width = 100, height = 36;
  const positive = points.every(([, value]) => value > 0);
  const heights = points.map(([, value]) => positive ? Math.log(value) : value);
  const low = Math.min(...heights), range = Math.max(...heights) - low || 1;
  const first = points[0][0], span = points[points.length - 1][0] - first || 1;
  const places = points.map(([step], index) => {
    const x = width * (step - first) / span, y = height * (1 - (heights[index] - low) / range);
    return `${x.toFixed(2)},${y.toFixed(2)}`;
  });
  return draw("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": true },
    draw("polyline", { points: places.join(" ") }));
}

// Tells that the server does not answer.
function explainSilence() {
  const trouble = byId("trouble");
  for (const button of byId("actions").children) button.hidden = true;
  byId("sure").close();
  trouble.textContent = "No answer from the run. It has ended, or cannot be reached; what it "
    + "has written is in the files named here.";
  trouble.hidden = false;
}

async function ask(action) {
  try {
    await fetch("action", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Live-Token": token },
      body: JSON.stringify({ action }),
    });
  } catch {
    explainSilence();
  }
}

function setText(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;  // else it would be read out again
}

byId("actions").addEventListener("click", event => {
  const action = event.target.dataset.action;
  if (!action) return;
  if (!QUESTIONS[action]) { ask(action); return; }
  chosen = action;
  [byId("question").textContent, byId("yes").textContent] = QUESTIONS[action];
  byId("sure").showModal();
});
byId("yes").addEventListener("click", () => { byId("sure").close(); ask(chosen); });
byId("no").addEventListener("click", () => byId("sure").close());
update();
