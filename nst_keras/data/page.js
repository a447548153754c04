// What the scripts of all pages share; stands inside their function.

// Elements. Text enters the page as text nodes alone, so that a file name is never markup.

function one(selector) { return document.querySelector(selector); }

function fill(node, attributes, children) {
  Object.entries(attributes || {}).forEach(([name, value]) => {
    if (name === "onclick") node.addEventListener("click", value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  });
  (children || []).forEach(child => { if (child !== null && child !== "") node.append(child); });
  return node;
}

function make(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function draw(tag, attributes, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

// Words and numbers.

function count(number) { return Number(number).toLocaleString("en"); }

function size(record) { return record && record.width ? record.width + "\u00a0×\u00a0" + record.height : ""; }

function short(value) {
  if (typeof value !== "number") return "–";
  const large = Math.abs(value);
  return large !== 0 && (large < 1e-3 || large >= 1e5) ? value.toExponential(2) : String(+value.toPrecision(4));
}

function duration(seconds) {
  const whole = Math.round(seconds), hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  if (hours) return hours + " h " + minutes + " min";
  return minutes ? minutes + " min " + whole % 60 + " s" : whole + " s";
}

function setting(value) {
  if (value === null) return "not set";
  if (Array.isArray(value)) return value.map(setting).join(", ") || "none";
  return typeof value === "object" ? JSON.stringify(value) : String(value) || "none";
}

function listed(names) {
  return names.length < 2 ? names.join("") : names.slice(0, -1).join(", ") + " and " + names[names.length - 1];
}

// The player's button.

const PLAY = "M4 2v14l12-7z", PAUSE = "M3 2h4v14H3zM11 2h4v14h-4z";

// Charts.

const night = matchMedia("(prefers-color-scheme: dark)");

function ticks(low, high, most, least) {
  const rough = (high - low) / most, power = Math.pow(10, Math.floor(Math.log10(rough || 1)));
  const gap = Math.max(least || 0, power * [1, 2, 5, 10].find(factor => factor * power >= rough));
  const found = [];
  for (let at = Math.ceil(low / gap) * gap; at <= high; at += gap) found.push(at);
  return found;
}

function decades(low, high) {
  const found = [], factors = high / low > 1e3 ? [1] : high / low > 30 ? [1, 3] : [1, 2, 5];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1)
    factors.forEach(factor => found.push(+(factor * Math.pow(10, power)).toPrecision(3)));
  return found.filter(value => value >= low && value <= high);
}

function tick(value) {
  return value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e5) ? value.toExponential(0)
    : String(+value.toPrecision(6));
}

// Commands that can be copied.

function addCopyButtons() {
  document.querySelectorAll(".command").forEach(box => {
    const code = box.querySelector("code");
    box.append(copyButton("Copy", () => code.textContent, code));
  });
}

function copyButton(label, text, node) {
  const button = make("button", {type: "button", onclick: copy}, label);
  async function copy() {
    try {
      await navigator.clipboard.writeText(text());
    } catch (error) {  // not every browser lets a file:// page use the clipboard
      const area = make("textarea", {readonly: "", style: "position:fixed;opacity:0"});
      area.value = text();
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      if (node) getSelection().selectAllChildren(node);
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1600);
  }
  return button;
}

function table(kind, pairs) {
  return make("table", {class: kind}, make("tbody", {}, ...pairs.map(([name, value]) =>
    make("tr", {}, make("th", {scope: "row"}, ...(typeof name === "string" ? soft(name) : [name])),
      make("td", {}, ...(typeof value === "string" ? soft(value) : [value]))))));
}

/* A text that may end a line after each of its words. */
function soft(text) { return (text.match(/[^_/,=]*[_/,=]|[^_/,=]+/g) || []).flatMap((part, index) => index ? [make("wbr"), part] : [part]); }

// What a reload must not lose.

const storage = "nst_keras " + location.pathname;
let kept = {};
try { kept = JSON.parse(sessionStorage.getItem(storage)) || {}; } catch (error) { /* storage is off */ }

function keep(name, value) {
  kept[name] = value;
  try { sessionStorage.setItem(storage, JSON.stringify(kept)); } catch (error) { /* storage is off */ }
}
