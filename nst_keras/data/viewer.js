// The viewer: the result, the photo over the result, and the pictures of the player, on one stage.

const ICONS = {
  whole: "M2 2h5v2H4v3H2zM11 2h5v5h-2V4h-3zM2 11h2v3h3v2H2zM14 11h2v5h-5v-2h3z",
  full: "M2 2h6l-2.2 2.2L8.6 7 7 8.6 4.2 5.8 2 8zM16 16h-6l2.2-2.2L9.4 11 11 9.4l2.8 2.8L16 10z",
};
let markStep = function () {};
let player = {playing: () => false};

function iconOf(name) { return draw("svg", {viewBox: "0 0 18 18", "aria-hidden": "true"}, draw("path", {d: ICONS[name]})); }

function showViewer() {
  const viewer = one(".viewer"), stage = one(".stage"), result = one("#result");
  if (!result) return;
  const photo = one('[data-role="content"]');
  const tabs = [["result", page.finished ? "Result" : "So far"]];
  if (photo) tabs.push(["compare", "Before / after"]);
  if (page.frames.length > 1) tabs.push(["making", "How it was made"]);
  const frame = make("img", {alt: "", draggable: "false", hidden: ""});
  const out = make("output", {"aria-live": "polite"});
  const ratio = +getComputedStyle(viewer).getPropertyValue("--ratio");
  let tab = "";

  // Pixels of the picture for each pixel of the screen.
  function real() { return (result.naturalWidth || 1) / (stage.clientWidth * devicePixelRatio || 1); }

  const zoom = makeZoom(viewer, {
    ratio, least: () => Math.min(1, real()), most: () => Math.max(16, 4 * real()), onLook, onDouble});

  function onLook(view) {
    const scale = view.zoom / real();
    out.textContent = Math.round(100 * scale) + " %";
    stage.classList.toggle("pixels", view.zoom > 1.01 && scale > 2.5);
  }

  function onDouble(place) {
    const target = Math.abs(real() - 1) < 0.05 ? 2 : real();
    if (Math.abs(zoom.view.zoom - 1) < 0.01) zoom.zoomAt(place, place, target);
    else zoom.whole();
  }

  function toggleFull() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (viewer.requestFullscreen) viewer.requestFullscreen().catch(() => {});
  }

  function tool(label, title, press) {
    return make("button", {type: "button", "aria-label": title, title: title, onclick: press}, label);
  }

  viewer.classList.add("live");
  fill(stage, {id: "stage", tabindex: 0, role: "tabpanel",
    "aria-label": "The picture. Plus and minus zoom, 0 shows it whole, 1 its real pixels, f fills the screen, arrow keys move."}, [frame]);
  const wipe = photo ? makeWipe(viewer, stage, photo, zoom) : null;
  player = page.frames.length > 1 ? makePlayer(frame) : player;
  const tools = make("div", {class: "tools", role: "group", "aria-label": "Zoom"},
    tool("−", "Zoom out", () => zoom.by(1 / 1.5)), out, tool("+", "Zoom in", () => zoom.by(1.5)),
    tool("1:1", "Real pixels (1)", () => zoom.look(zoom.view.x, zoom.view.y, real())),
    tool(iconOf("whole"), "The whole picture (0)", zoom.whole),
    viewer.requestFullscreen ? tool(iconOf("full"), "Full screen (f)", toggleFull) : "");
  viewer.append(player.node || "", make("div", {class: "under"}, tools, saving(result)));
  const buttons = tabs.map(([name, label]) => make("button", {type: "button", role: "tab", "data-tab": name,
    "aria-controls": "stage", onclick: () => show(name)}, label));
  fill(one(".tabs"), {}, buttons);
  one(".tabs").hidden = tabs.length < 2;

  function show(name) {
    tab = name;
    keep("tab", name);
    viewer.classList.toggle("comparing", name === "compare");
    viewer.classList.toggle("making", name === "making");
    frame.hidden = name !== "making";
    result.hidden = name === "making";
    if (wipe) wipe(name === "compare");
    if (player.show) player.show(name === "making");
    buttons.forEach(button => {
      const own = button.dataset.tab === name;
      fill(button, {"aria-selected": String(own), tabindex: own ? 0 : -1});
    });
    zoom.look(zoom.view.x, zoom.view.y, zoom.view.zoom);
  }

  one(".tabs").addEventListener("keydown", event => {
    const at = buttons.indexOf(event.target), last = buttons.length - 1;
    const to = {ArrowLeft: at ? at - 1 : last, ArrowRight: at < last ? at + 1 : 0, Home: 0, End: last}[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    buttons[to].focus();
    show(buttons[to].dataset.tab);
  });

  document.addEventListener("keydown", event => {
    const free = [document.body, stage].includes(event.target);
    const near = free || viewer.contains(event.target) && !["INPUT", "SELECT"].includes(event.target.tagName);
    if (event.ctrlKey || event.metaKey || event.altKey || !near) return;
    let used = zoom.key(event);
    if (!used && event.key === "1") used = zoom.look(zoom.view.x, zoom.view.y, real()) || true;
    if (!used && event.key === "f") used = toggleFull() || true;
    if (!used && event.target === stage) used = zoom.arrow(event);
    if (!used && tab === "making" && free) used = player.key(event);
    if (used) event.preventDefault();
  });
  document.addEventListener("fullscreenchange", zoom.whole);
  addEventListener("resize", () => zoom.look(zoom.view.x, zoom.view.y, zoom.view.zoom));
  result.addEventListener("load", () => onLook(zoom.view));
  zoomedNow = () => zoom.view.zoom > 1.01;
  show(tabs.some(([name]) => name === kept.tab) ? kept.tab : "result");
}

let zoomedNow = () => false;

function saving(result) {
  const name = document.title.replace(/[^\p{L}\p{N} ._-]+/gu, "_"), kind = result.src.slice(11, result.src.indexOf(";"));
  if (!page.finished) return "";
  const reduced = page.exact ? "" : " (reduced; result.png in the folder is the whole one)";
  return make("div", {class: "save"},
    make("a", {href: result.src, download: name + "." + kind.replace("jpeg", "jpg"), title: page.exact ? "result.png" : "Reduced" },
      "Save picture" + reduced),
    page.gif ? make("a", {href: page.gif, download: name + ".gif"}, "Save animation") : "");
}

/* The photo over the result, up to a line that can be moved; returns a function that shows or hides it. */
function makeWipe(viewer, stage, photo) {
  const before = make("img", {class: "before", src: photo.src, alt: "", draggable: "false"});
  const divider = make("span", {class: "divider"});
  const cut = make("input", {class: "wipe", type: "range", min: 0, max: 100, step: 1,
    "aria-label": "Where the photo ends and the result begins, from the left"});
  const chips = [make("span", {class: "chip left"}, "Photo"), make("span", {class: "chip right"}, page.finished ? "Result" : "So far")];

  function place(percent) {
    cut.value = percent;
    keep("cut", percent);
    viewer.style.setProperty("--cut", percent / 100);
  }
  function drag(event) {
    const box = stage.getBoundingClientRect();
    place(Math.min(100, Math.max(0, 100 * (event.clientX - box.left) / box.width)));
  }
  stage.append(before, divider, ...chips, cut);
  stage.addEventListener("pointerdown", event => {
    const held = event.target === divider || !viewer.classList.contains("zoomed");
    if (cut.hidden || event.button || !held || !event.isPrimary) return;
    stage.setPointerCapture(event.pointerId);
    stage.dataset.wiping = event.pointerId;
    drag(event);
  });
  stage.addEventListener("pointermove", event => { if (stage.dataset.wiping === String(event.pointerId)) drag(event); });
  ["pointerup", "pointercancel"].forEach(name => stage.addEventListener(name, () => { delete stage.dataset.wiping; }));
  cut.addEventListener("input", () => place(+cut.value));
  place(kept.cut === undefined ? 50 : kept.cut);
  return on => { [before, divider, cut, ...chips].forEach(node => { node.hidden = !on; }); };
}

/* The player of the pictures that were kept. */
function makePlayer(image) {
  const frames = page.frames, last = frames.length - 1;
  const path = draw("path", {}), button = make("button", {type: "button"}, draw("svg", {viewBox: "0 0 18 18", "aria-hidden": "true"}, path));
  const slider = make("input", {type: "range", min: 0, max: last, step: 1, "aria-label": "Step"});
  const label = make("output", {});
  const speed = make("select", {"aria-label": "Speed"}, ...[0.5, 1, 2, 4].map(value =>
    make("option", {value: value, selected: value === (kept.speed || 1) ? "" : null}, value === 0.5 ? "½×" : value + "×")));
  const loop = make("button", {type: "button", class: "pill", "aria-pressed": String(Boolean(kept.loop))}, "Loop");
  const thumbs = frames.map((frame, index) => make("button",
    {type: "button", "aria-label": "Step " + count(frame.step), tabindex: -1, onclick: () => { pause(); show(index); }},
    make("img", {src: frame.thumbnail, alt: "", decoding: "async", width: frame.width, height: frame.height})));
  const film = make("ol", {class: "film", "aria-label": "All steps"}, ...thumbs.map(thumb => make("li", {}, thumb)));
  const node = make("div", {class: "player"},
    make("div", {class: "controls"}, button, slider, make("div", {class: "pace"}, label, speed, loop)), film);
  let current = last, timer = null;

  function show(index) {
    const frame = frames[current = Math.min(last, Math.max(0, index))], step = "Step " + count(frame.step);
    image.src = frame.uri;
    image.alt = "The picture after step " + count(frame.step);
    slider.value = current;
    slider.setAttribute("aria-valuetext", step);
    label.replaceChildren(make("b", {}, step), size(frame) + " px");
    thumbs.forEach((thumb, at) => {
      thumb.setAttribute("aria-current", at === current);
      thumb.tabIndex = at === current ? 0 : -1;  // the strip is one stop of the Tab key
    });
    const thumb = thumbs[current].parentNode;
    film.scrollLeft = thumb.offsetLeft + thumb.offsetWidth / 2 - film.clientWidth / 2;
    // At the newest picture a reload moves on to the then newest.
    keep("step", current === last ? null : frame.step);
    markStep(frame.step);
  }

  function icon() {
    path.setAttribute("d", timer ? PAUSE : PLAY);
    button.setAttribute("aria-label", timer ? "Pause" : "Play");
  }

  function pause() { clearInterval(timer); timer = null; icon(); }

  function play() {
    clearInterval(timer);
    if (current === last) show(0);
    const rest = Math.min(400, Math.max(80, 6000 / frames.length)) / +speed.value;
    timer = setInterval(() => {
      if (current < last) show(current + 1);
      else if (kept.loop) show(0);
      else pause();
    }, rest);
    icon();
  }

  function toggle() { if (timer) pause(); else play(); }

  function key(event) {
    const to = {ArrowLeft: current - 1, ArrowRight: current + 1, Home: 0, End: last}[event.key];
    if (to === undefined && event.key !== " ") return false;
    if (event.key === " ") toggle();
    else { pause(); show(to); }
    return true;
  }

  slider.addEventListener("input", () => { pause(); show(+slider.value); });
  button.addEventListener("click", toggle);
  speed.addEventListener("change", () => { keep("speed", +speed.value); if (timer) play(); });
  loop.addEventListener("click", () => {
    keep("loop", !kept.loop);
    loop.setAttribute("aria-pressed", String(Boolean(kept.loop)));
  });
  film.addEventListener("keydown", event => {
    if (event.key === " " || event.ctrlKey || event.metaKey || event.altKey || !key(event)) return;
    event.preventDefault();
    event.stopPropagation();
    thumbs[current].focus();
  });
  icon();
  const found = frames.findIndex(frame => frame.step >= kept.step);
  const first = kept.step === undefined || kept.step === null || found < 0 ? last : found;
  show(first);
  return {node, key, playing: () => timer !== null, show: on => {
    node.hidden = !on;
    if (on) show(current);
    else pause();
  }};
}
