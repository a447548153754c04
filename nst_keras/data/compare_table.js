// The numbers of all runs as a table.

function tableColumns() {
  const keys = name => [...new Set(runs.flatMap(run => Object.keys(run[name])))];
  const terms = keys("final_terms"), term = name => ({title: name, value: run => own(run.final_terms, name), text: short});
  return [
    {title: "run", value: run => run.name},
    ...page.varied.map(name => ({title: name, value: run => own(run.settings, name), text: shown})),
    ...keys("scores").map(name => ({title: name, kind: "score", value: run => own(run.scores, name), text: short})),
    ...terms.filter(name => name === TOTAL).map(term),
    {title: "time", value: run => run.seconds, text: value => typeof value === "number" ? duration(value) : "–"},
    {title: "steps", value: run => run.step, text: value => typeof value === "number" ? count(value) : "–"},
    ...terms.filter(name => name !== TOTAL).map(term),
  ];
}

function showTable() {
  const list = tableColumns(), body = make("tbody", {});
  const words = column => runs.some(run => isNaN(Number(column.value(run) || 0)));
  const heads = list.map((column, index) => make("th", {scope: "col", class: !index || words(column) ? "words" : null,
    title: noteOf(column.title) || null},
    make("button", {type: "button", onclick: () => sort(column)}, ...soft(column.title))));
  const rows = runs.map(run => make("tr", {"data-run": run.index},
    make("th", {scope: "row", class: "words"},
      make("div", {}, dot(run), named(run), run.mark ? make("i", {class: "badge"}, run.mark) : "")),
    ...list.slice(1).map(column => make("td", {class: [column.kind, words(column) ? "words" : ""].filter(Boolean).join(" ")},
      make("span", {}, column.text(column.value(run)))))));
  let by = null, way = 1;

  function sort(column) {
    way = by === column ? -way : 1;
    by = column;
    heads.forEach((head, index) => {
      if (list[index] === by) head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    const order = [...runs].sort((a, b) => ordered(column.value(a), column.value(b), way) || a.index - b.index);
    body.append(...order.map(run => rows[run.index]));
    const grid = board.querySelector(".grid");
    if (grid) grid.append(...order.map(run => run.stage.parentNode));
  }

  body.append(...rows);
  explain(list);
  one("#numbers .scroll").append(make("table", {class: "runs"}, make("thead", {}, make("tr", {}, ...heads)), body));
  const box = one("#numbers .scroll"), more = one("#numbers .more");
  new ResizeObserver(() => { more.hidden = box.scrollWidth <= box.clientWidth + 2; }).observe(box);
  if (!page.layout.length) one("#numbers .hint").textContent = "A click on a heading sorts the runs, here and in the pictures above.";
}

function noteOf(name) { return own(page.score_notes, name.split("/")[0]); }

/* What the columns mean. */
function explain(list) {
  const kinds = [...new Set(list.filter(column => noteOf(column.title)).map(column => column.title.split("/")[0]))];
  const notes = kinds.map(kind => [kind, noteOf(kind)]);
  if (list.some(column => column.title === TOTAL)) notes.push([TOTAL,
    "Sum of all weighted losses of the result; lower is closer to the goals. Comparable only between runs with the same goals and weights."]);
  if (!notes.length) return;
  one("#numbers .explained").append(make("dl", {}, ...notes.map(([kind, note]) =>
    make("div", {}, make("dt", {}, kind), make("dd", {}, note)))));
}

function showShared() {
  const shared = Object.entries(page.shared);
  if (!shared.length) return;
  one("#shared").append(make("details", {}, make("summary", {}, "The " + shared.length + " settings that all runs share"),
    make("table", {class: "mono"}, make("tbody", {}, ...shared.map(([name, value]) =>
      make("tr", {}, make("th", {scope: "row"}, ...soft(name)), make("td", {}, ...soft(shown(value)))))))));
}
