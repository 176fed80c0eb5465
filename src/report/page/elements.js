// Building blocks of the page: elements, figures with the rows behind them, badges, the hover note.

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") node.className = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

const TIERS = {
  bound: ["bound", "T0: a physical lower bound"],
  analytical: ["analytical", "T1: computed by the cost model; not simulated, not measured"],
  predicted: ["predicted", "from the loss model, not executed"],
  measured: ["measured", "executed on the host, selection text"],
  executed: ["measured", "executed on the host, selection text"],
  certified: ["certified", "executed once on a third text that nothing was chosen on"],
  target: ["target", "set by the study"],
};

function tier(name) {
  const [label, title] = TIERS[name] || [name, name];
  return element("span", { class: `tier ${label}`, title }, label);
}

// columns: [{name, key | value(row), show(value, row), number, long}]; long: may be broken anywhere
function table(columns, rows, label) {
  const read = (column, row) => (column.value ? column.value(row) : row[column.key]);
  const write = (column, row) => {
    const value = read(column, row);
    if (value instanceof Node) return value;
    return column.show ? column.show(value, row) : show(column.key || "", value);
  };
  const head = columns.map((c) => element("th", { scope: "col", class: c.number ? "number" : null }, c.name));
  const body = rows.map((row) => element("tr", {}, columns.map((c, i) =>
    element(i ? "td" : "th", { class: c.number ? "number" : c.long ? "long" : null, scope: i ? null : "row" }, write(c, row) ?? "–"))));
  return element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label },
    element("table", {}, element("thead", {}, element("tr", {}, head)), element("tbody", {}, body)));
}

const MAX_ROWS = 500;

// A picture: caption, what it says, the drawing, the rows behind it. `draw(body)` fills the drawing
// anew each time refresh() is called and returns {says, columns, rows, note}.
class Figure {
  constructor(parent, { title, id, tiers = [] }) {
    this.title = title;
    this.says = element("span", { class: "says" });
    this.body = element("div", { class: "body" });
    this.summary = element("summary");
    this.rows = element("details", { class: "rows" }, this.summary);
    this.rows.addEventListener("toggle", () => this.fillRows());
    this.node = element("figure", { id },
      element("figcaption", {}, element("span", { class: "title" }, title, tiers.map(tier)), this.says),
      this.body, this.rows);
    parent.append(this.node);
  }

  set(content) {
    this.says.replaceChildren(content.says || "");
    this.content = content;
    this.rows.hidden = !content.rows || !content.rows.length;
    this.summary.textContent = `Numbers behind this picture (${count((content.rows || []).length, "row")})`;
    this.filled = false;
    this.fillRows();
  }

  fillRows() {
    if (!this.rows.open || this.filled || this.rows.hidden) return;
    const { columns, rows, note } = this.content;
    this.filled = true;
    this.rows.replaceChildren(this.summary, table(columns, rows.slice(0, MAX_ROWS), `${this.title}: numbers`),
      rows.length > MAX_ROWS ? element("p", { class: "note" }, `The first ${MAX_ROWS} of ${rows.length}; the record holds all.`) : "",
      note ? element("p", { class: "note" }, note) : "");
  }
}

function section(id, title, lead) {
  const node = element("section", { id, "aria-labelledby": `${id}-title` },
    element("h2", { id: `${id}-title` }, title), lead ? element("p", { class: "lead" }, lead) : null);
  document.getElementById("main").append(node);
  return node;
}

function plain(parent, text) {
  const node = element("p", { class: "plain" }, text);
  parent.append(node);
  return node;
}

function legend(entries) {
  return element("ul", { class: "legend" }, entries.map(([label, colour, shape]) =>
    element("li", {}, element("i", { style: shape === "hollow" ? `border-color:${colour}` : `background:${colour}`, class: shape || null, "aria-hidden": "true" }), label)));
}

function picker(label, options, value, onchange) {
  const select = element("select", { onchange: () => onchange(select.value) },
    options.map(([key, text]) => element("option", { value: key, selected: key === value }, text)));
  return element("label", {}, label, select);
}

// The note beside the pointer. Lines: strings, the first one bold.
const tip = {
  node: null,
  show(event, lines) {
    if (!this.node) document.body.append((this.node = element("div", { class: "tip", hidden: true, "aria-hidden": "true" })));
    this.node.replaceChildren(...lines.filter(Boolean).map((line, i) => element(i ? "div" : "b", {}, line)));
    this.node.hidden = false;
    const box = this.node.getBoundingClientRect();
    const x = event.clientX + 14 + box.width > innerWidth ? event.clientX - box.width - 14 : event.clientX + 14;
    const y = event.clientY + 14 + box.height > innerHeight ? event.clientY - box.height - 14 : event.clientY + 14;
    this.node.style.left = `${Math.max(4, x)}px`;
    this.node.style.top = `${Math.max(4, y)}px`;
  },
  hide() { if (this.node) this.node.hidden = true; },
};

function hover(selection, lines) {
  return selection
    .on("mousemove", function (event) { tip.show(d3.event || event, lines(d3.select(this).datum())); })
    .on("mouseleave", () => tip.hide());
}

function say(text) {
  document.getElementById("live").textContent = text;
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
