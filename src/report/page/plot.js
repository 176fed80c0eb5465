// A drawing surface with margins and axes, as wide as its place, drawn again when that changes.

// `draw(area)` gets {svg, width, height} inside the margins, empty. role: "img" with a label unless the
// picture has controls of its own.
class Plot {
  constructor(parent, { height, margin = {}, label, role = "img", draw, minWidth = 0 }) {
    Object.assign(this, { height, label, draw, role, minWidth });
    this.margin = { top: 10, right: 16, bottom: 40, left: 62, ...margin };
    this.node = element("div", { class: "plot", style: minWidth ? "overflow-x:auto" : null,
      tabindex: minWidth ? 0 : null, role: minWidth ? "region" : null, "aria-label": minWidth ? label : null });
    parent.append(this.node);
    new ResizeObserver(() => {
      if (this.node.clientWidth && this.node.clientWidth !== this.drawnWidth) this.refresh();
    }).observe(this.node);
  }

  refresh(changes = {}) {
    Object.assign(this, changes);
    const width = Math.max(this.node.clientWidth, this.minWidth);
    if (!width) return;
    this.drawnWidth = this.node.clientWidth;
    const height = typeof this.height === "function" ? this.height(width) : this.height;
    d3.select(this.node).selectAll("svg").remove();
    const svg = d3.select(this.node).append("svg")
      .attr("viewBox", `0 0 ${width} ${height}`).attr("width", width).attr("height", height)
      .attr("role", this.role).attr("aria-label", this.label);
    if (this.minWidth) svg.style("width", `${width}px`).style("max-width", "none");
    const inner = svg.append("g").attr("transform", `translate(${this.margin.left},${this.margin.top})`);
    this.draw({ svg: inner, root: svg, width: width - this.margin.left - this.margin.right,
      height: height - this.margin.top - this.margin.bottom });
  }
}

const PREFIXED = new Set(["s", "J", "W", "B"]);

// Ticks of a logarithmic axis at 1, 2, 5; as many as fit.
function logTicks(scale, most) {
  const [low, high] = scale.domain();
  const decades = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++) decades.push(e);
  for (const steps of [[1, 1.5, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]]) {
    const ticks = decades.flatMap((e) => steps.map((s) => Number((s * 10 ** e).toPrecision(2)))).filter((t) => t >= low && t <= high);
    if (ticks.length <= most) return ticks.length >= 2 ? ticks : scale.ticks(3);
  }
  const thin = decades.filter((e) => 10 ** e >= low && 10 ** e <= high);
  const every = Math.ceil(thin.length / most);
  return thin.filter((_, i) => i % every === 0).map((e) => 10 ** e);
}

function tickText(value, unit) {
  return PREFIXED.has(unit) ? si(value, unit) : digits(value);
}

// The two axes with grid lines and names. axis: {label, unit, log, ticks}
function drawAxes(area, x, y, xAxis, yAxis) {
  const { svg, width, height } = area;
  const xTicks = xAxis.log ? logTicks(x, width / 62) : x.ticks(Math.max(2, width / 90));
  const yTicks = yAxis.log ? logTicks(y, height / 30) : y.ticks(Math.max(2, height / 44));
  const bottom = svg.append("g").attr("class", "axis").attr("transform", `translate(0,${height})`);
  bottom.call(d3.axisBottom(x).tickValues(xTicks).tickFormat((v) => tickText(v, xAxis.unit)).tickSize(-height).tickPadding(8));
  const left = svg.append("g").attr("class", "axis");
  left.call(d3.axisLeft(y).tickValues(yTicks).tickFormat((v) => tickText(v, yAxis.unit)).tickSize(-width).tickPadding(8));
  const name = (axis) => axis.label + (axis.unit && !PREFIXED.has(axis.unit) ? `, ${axis.unit}` : "");
  svg.append("text").attr("class", "soft").attr("x", width).attr("y", height + 36).attr("text-anchor", "end").text(name(xAxis));
  svg.append("text").attr("class", "soft").attr("x", -area.svg.node().transform.baseVal[0].matrix.e + 2).attr("y", -10).text(name(yAxis));
}

// A domain that holds all values with a little room.
function domainOf(values, log) {
  const finite = values.filter((v) => Number.isFinite(v) && (!log || v > 0));
  if (!finite.length) return log ? [0.1, 1] : [0, 1];
  const [low, high] = d3.extent(finite);
  if (low === high) return log ? [low / 1.5, high * 1.5] : [low - Math.abs(low || 1) * 0.1, high + Math.abs(high || 1) * 0.1];
  if (log) {
    const room = (high / low) ** 0.06;
    return [low / room, high * room];
  }
  const room = (high - low) * 0.06;
  return [low - room, high + room];
}

// Cuts a text to a width, by a mean glyph width.
function fit(text, width, size = 12, bold = false) {
  const most = Math.floor(width / (size * (bold ? 0.68 : 0.59)));
  return text.length <= most ? text : most < 2 ? "" : `${text.slice(0, Math.max(1, most - 1))}…`;
}

// Black or white, whichever is easier to read on a colour.
function inkOn(background) {
  const { r, g, b } = d3.rgb(background);
  const linear = [r, g, b].map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.19 ? "#0d1620" : "#ffffff";
}
