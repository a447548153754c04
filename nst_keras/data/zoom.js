// One view for all pictures of a board, by wheel, fingers and keys: the center in shares of the picture, and the zoom.

function makeZoom(board, options) {
  const {least, most, ratio, onLook, onDouble} = options;
  const view = {x: 0.5, y: 0.5, zoom: 1};

  function within(zoom) { return Math.min(most(), Math.max(least(), zoom)); }

  function look(x, y, zoom) {
    view.zoom = within(zoom);
    const edge = Math.min(0.5, 0.5 / view.zoom);
    view.x = Math.min(1 - edge, Math.max(edge, x));
    view.y = Math.min(1 - edge, Math.max(edge, y));
    Object.entries(view).forEach(([name, value]) => board.style.setProperty("--" + name, value));
    board.classList.toggle("zoomed", view.zoom > 1);
    onLook(view);
  }

  /* The place of a pointer from the middle of its stage, in shares of the picture at zoom 1. */
  function offset(stage, event) {
    const box = stage.getBoundingClientRect(), image = stage.querySelector("img");
    if (!image) return {x: 0, y: 0};
    return {x: (event.clientX - box.left - box.width / 2) / (image.offsetWidth || 1),
            y: (event.clientY - box.top - box.height / 2) / (image.offsetHeight || 1)};
  }

  /* Zoom so that what lies at `from` comes to lie at `to`. */
  function zoomAt(from, to, zoom) {
    const next = within(zoom);
    look(view.x + from.x / view.zoom - to.x / next, view.y + from.y / view.zoom - to.y / next, next);
  }

  function by(factor) { look(view.x, view.y, view.zoom * factor); }

  function whole() { look(0.5, 0.5, 1); }

  function listenToWheel() {
    let scrolled = -1e9, zoomed = -1e9;
    addEventListener("scroll", () => { scrolled = performance.now(); }, {passive: true});
    board.addEventListener("wheel", event => {
      const stage = event.target.closest(".stage"), now = performance.now();
      if (!stage || event.shiftKey) return;
      const out = event.deltaY > 0 && view.zoom <= 1;
      // Who scrolls through the page, or turns on where no zoom is left, goes on scrolling.
      if (!event.ctrlKey && !event.metaKey && now - zoomed > 300 && (out || now - scrolled < 300)) {
        scrolled = now;
        return;
      }
      event.preventDefault();
      zoomed = now;
      const lines = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
      const turn = Math.max(-160, Math.min(160, event.deltaY * lines));
      const place = offset(stage, event);
      zoomAt(place, place, view.zoom * Math.exp(-turn * (event.ctrlKey ? 0.01 : 0.0022)));
    }, {passive: false});
  }

  function listenToPointers() {
    const down = new Map();
    let stage = null;
    board.addEventListener("pointerdown", event => {
      const here = event.target.closest(".divider") ? null : event.target.closest(".stage");
      if (!here || event.button || down.size === 2 || down.size && here !== stage) return;
      stage = here;
      down.set(event.pointerId, offset(stage, event));
      if (view.zoom > 1 || down.size === 2) [...down.keys()].forEach(id => stage.setPointerCapture(id));
    });
    board.addEventListener("pointermove", event => {
      if (!down.has(event.pointerId)) return;
      const before = [...down.values()];
      down.set(event.pointerId, offset(stage, event));
      const after = [...down.values()];
      if (after.length === 1 && view.zoom > 1) zoomAt(before[0], after[0], view.zoom);
      if (after.length === 2) {
        const middle = ([a, b]) => ({x: (a.x + b.x) / 2, y: (a.y + b.y) / 2});
        const gap = ([a, b]) => Math.hypot((a.x - b.x) * ratio, a.y - b.y) || 1e-6;
        zoomAt(middle(before), middle(after), view.zoom * gap(after) / gap(before));
      }
    });
    ["pointerup", "pointercancel"].forEach(name => addEventListener(name, event => down.delete(event.pointerId)));
    // Two fingers are for the pictures, not for the page.
    board.addEventListener("touchmove", event => {
      if (event.touches.length > 1 && event.target.closest(".stage")) event.preventDefault();
    }, {passive: false});
    board.addEventListener("dblclick", event => {
      const stage = event.target.closest(".stage");
      if (stage) onDouble(offset(stage, event));
    });
  }

  /* Whether a key that was pressed is one of the zoom. */
  function key(event) {
    const found = {"+": () => by(1.5), "=": () => by(1.5), "-": () => by(1 / 1.5), "_": () => by(1 / 1.5), "0": whole}[event.key];
    if (found) found();
    return Boolean(found);
  }

  /* Whether an arrow key has moved the view. */
  function arrow(event) {
    const [x, y] = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key] || [0, 0];
    if (!(x || y) || view.zoom <= 1) return false;
    look(view.x + x * 0.1 / view.zoom, view.y + y * 0.1 / view.zoom, view.zoom);
    return true;
  }

  listenToWheel();
  listenToPointers();
  whole();
  return {view, look, zoomAt, by, whole, key, arrow};
}
