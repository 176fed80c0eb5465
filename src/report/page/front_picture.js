// The front: every chip that no other beats, the recommendations and the baselines, on axes of choice.
// Pointer or arrow keys preview a point in all pictures; a click or Enter keeps it.

const VIEWS = [["latency_ns", "predicted_kl_nats"], ["energy_pj_per_token", "predicted_kl_nats"], ["area_mm2", "predicted_kl_nats"],
  ["price_usd", "predicted_kl_nats"], ["latency_ns", "area_mm2"]];

class FrontPicture {
  constructor(parent, selection) {
    this.selection = selection;
    const { front, marked } = selection;
    this.axes = AXES.filter((axis) => axisColumn(front, axis, 0) || marked.some((p) => Number.isFinite(axisValue(p, axis, 0))));
    const has = (key) => this.axes.find((axis) => axis.key === key);
    this.x = has("latency_ns") || this.axes[0];
    this.y = has("area_mm2") || this.axes[1];
    this.caps = [...new Set([...Array(front.size).keys()].map((i) => front.at("kl_cap_nats", i)))].sort((a, b) => a - b);
    this.figure = new Figure(parent, { title: "What no other point beats", id: "front-figure", tiers: ["analytical", "predicted"] });
    this.build();
    selection.follow((change) => {
      if (change.product) this.refresh();
      else this.mark();
    });
    this.refresh();
  }

  build() {
    const { body } = this.figure;
    this.views = VIEWS.map(([x, y]) => [this.axes.find((a) => a.key === x), this.axes.find((a) => a.key === y)]).filter(([x, y]) => x && y);
    this.thumbs = this.views.map(([x, y]) => element("button", { type: "button", class: "thumb", onclick: () => this.show(x, y),
      "aria-label": `Show ${y.label} against ${x.label}` }, element("canvas", { "aria-hidden": "true" }),
      element("span", {}, `${y.label.split(" (")[0]} against ${x.label.split(" with")[0]}`)));
    this.controls = element("div", { class: "controls" });
    this.area = element("div", { id: "front-plot", role: "application", tabindex: 0, "aria-roledescription": "chart of points",
      "aria-label": "Front. Left and right arrow move through the points, up and down through recommendations and baselines, Enter keeps a point, Escape returns.",
      onkeydown: (event) => this.key(event) });
    body.append(element("div", { class: "thumbs" }, this.thumbs), this.controls, this.area,
      legend([...this.caps.map((cap, i) => [`front at loss ≤ ${digits(cap)}`, `var(--c${i % 8})`, "round"]),
        ["recommended", "var(--ink)", "diamond"], ["baseline", "var(--soft)", "hollow"], ["line: nothing lies left and below", "var(--soft)", "line"]]));
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.plot = new Plot(this.area, { height: (width) => Math.max(300, Math.min(460, width * 0.5)), margin: { top: 26, left: 70 },
      label: "Front", draw: (area) => this.draw(area) });
    this.plot.node.prepend(this.canvas);
    this.plot.node.addEventListener("pointermove", (event) => this.pointer(event));
    this.plot.node.addEventListener("pointerleave", () => this.leave());
    this.plot.node.addEventListener("click", (event) => this.click(event));
  }

  show(x, y) {
    this.x = x;
    this.y = y;
    this.refresh();
    say(`Front: ${y.label} against ${x.label}`);
  }

  refresh() {
    const names = this.axes.map((axis) => [axis.key, axis.label]);
    const choose = (which) => (key) => this.show(...(which === "x" ? [this.axes.find((a) => a.key === key), this.y] : [this.x, this.axes.find((a) => a.key === key)]));
    this.controls.replaceChildren(picker("Vertical", names, this.y.key, choose("y")), picker("Horizontal", names, this.x.key, choose("x")));
    this.thumbs.forEach((thumb, i) => {
      thumb.setAttribute("aria-pressed", this.views[i][0] === this.x && this.views[i][1] === this.y);
      this.drawThumb(thumb.querySelector("canvas"), ...this.views[i]);
    });
    this.collect();
    this.plot.refresh({ label: `${this.y.label} against ${this.x.label}: ${count(this.points.length, "point")}, of them ${this.selection.marked.length} recommendations and baselines` });
    this.figure.set(this.content());
  }

  // All drawable points as {x, y, cap, get()}, front first.
  collect() {
    const { front, marked, product } = this.selection;
    const [xs, ys] = [axisColumn(front, this.x, product), axisColumn(front, this.y, product)];
    this.points = [];
    for (let i = 0; xs && ys && i < front.size; i++) {
      if (Number.isFinite(xs[i]) && Number.isFinite(ys[i])) {
        this.points.push({ x: xs[i], y: ys[i], row: i, cap: this.caps.indexOf(front.at("kl_cap_nats", i)), get: () => front.point(i) });
      }
    }
    for (const point of marked) {
      const [x, y] = [axisValue(point, this.x, product), axisValue(point, this.y, product)];
      if (Number.isFinite(x) && Number.isFinite(y)) this.points.push({ x, y, marked: point, get: () => point });
    }
    this.order = [...this.points].sort((a, b) => a.x - b.x || a.y - b.y);
  }

  scale(values, range) {
    const positive = values.filter((v) => v > 0);
    const log = positive.length === values.length && d3.max(values) / d3.min(values) > 4;
    return [(log ? d3.scaleLog() : d3.scaleLinear()).domain(domainOf(values, log)).range(range), log];
  }

  draw(area) {
    this.drawing = area;
    if (!this.points.length) {
      area.svg.append("text").attr("x", area.width / 2).attr("y", area.height / 2).attr("text-anchor", "middle").text("No point has both numbers.");
      return;
    }
    const [x, xLog] = this.scale(this.points.map((p) => p.x), [0, area.width]);
    const [y, yLog] = this.scale(this.points.map((p) => p.y), [area.height, 0]);
    drawAxes(area, x, y, { ...this.x, log: xLog }, { ...this.y, log: yLog });
    for (const point of this.points) [point.px, point.py] = [x(point.x), y(point.y)];
    this.drawStairs(area, x, y);
    this.tree = d3.quadtree(this.points, (p) => p.px, (p) => p.py);
    this.paint(area);
    const shapes = area.svg.append("g").selectAll("path").data(this.points.filter((p) => p.marked)).join("path")
      .attr("class", "mark").attr("transform", (p) => `translate(${p.px},${p.py})`)
      .attr("d", (p) => d3.symbol().type(p.marked.kind === "recommended" ? d3.symbolDiamond : d3.symbolCircle).size(p.marked.kind === "recommended" ? 90 : 48)())
      .style("fill", (p) => (p.marked.kind === "recommended" ? "var(--ink)" : "var(--paper)"))
      .style("stroke", (p) => (p.marked.kind === "recommended" ? "var(--paper)" : "var(--soft)")).style("stroke-width", 1.4);
    shapes.filter((p) => p.marked.kind === "recommended").raise();
    this.ring = area.svg.append("circle").attr("r", 9).attr("class", "ring").style("fill", "none").style("stroke", "var(--ink)").style("stroke-width", 2);
    this.mark();
  }

  // What no point beats in the two shown numbers alone: one line a cap, one for all where loss is an axis.
  drawStairs(area, x, y) {
    if (this.x.more || this.y.more) return;
    const byLoss = [this.x.key, this.y.key].includes("predicted_kl_nats");
    const plain = this.order.filter((p) => !p.marked);
    const stairs = (byLoss ? [plain] : this.caps.map((_, cap) => plain.filter((p) => p.cap === cap))).map((points) => {
      let least = Infinity;
      return points.filter((p) => p.y < least && ((least = p.y), true));
    });
    area.svg.append("g").selectAll("path").data(stairs).join("path").attr("class", "stairs")
      .attr("d", d3.line().x((p) => x(p.x)).y((p) => y(p.y)).curve(d3.curveStepAfter))
      .style("fill", "none").style("stroke", (_, i) => (byLoss ? "var(--soft)" : `var(--c${i % 8})`)).style("stroke-opacity", 0.7);
  }

  // The points of the front, on the canvas under the axes: ten thousand are too many elements.
  paint(area) {
    const ratio = window.devicePixelRatio || 1;
    const { margin } = this.plot;
    const [width, height] = [area.width + margin.left + margin.right, area.height + margin.top + margin.bottom];
    Object.assign(this.canvas, { width: width * ratio, height: height * ratio });
    const pen = this.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.translate(margin.left, margin.top);
    const plain = this.points.filter((p) => !p.marked);
    const radius = plain.length > 3000 ? 1.6 : plain.length > 500 ? 2.4 : 4;
    const colours = this.caps.map((_, i) => colour(`c${i % 8}`));
    pen.globalAlpha = plain.length > 3000 ? 0.6 : 0.85;
    for (const point of plain) {
      pen.fillStyle = colours[point.cap] || colour("soft");
      pen.beginPath();
      pen.arc(point.px, point.py, radius, 0, 7);
      pen.fill();
    }
    this.canvas.dataset.points = String(plain.length);
  }

  drawThumb(canvas, xAxis, yAxis) {
    const { front, product, marked } = this.selection;
    const [xs, ys] = [axisColumn(front, xAxis, product), axisColumn(front, yAxis, product)];
    const pairs = [];
    for (let i = 0; xs && ys && i < front.size; i++) pairs.push([xs[i], ys[i], this.caps.indexOf(front.at("kl_cap_nats", i))]);
    for (const p of marked) if (p.kind === "recommended") pairs.push([axisValue(p, xAxis, product), axisValue(p, yAxis, product), -1]);
    const good = pairs.filter(([x, y]) => x > 0 && y > 0);
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth || 180, canvas.clientHeight || 84];
    Object.assign(canvas, { width: width * ratio, height: height * ratio });
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    if (!good.length) return;
    const x = d3.scaleLog().domain(domainOf(good.map((g) => g[0]), true)).range([4, width - 4]);
    const y = d3.scaleLog().domain(domainOf(good.map((g) => g[1]), true)).range([height - 4, 4]);
    const colours = this.caps.map((_, i) => colour(`c${i % 8}`));
    const ink = colour("ink");
    for (const [a, b, cap] of good) {
      pen.fillStyle = cap < 0 ? ink : colours[cap];
      const size = cap < 0 ? 5 : 2;
      pen.fillRect(x(a) - size / 2, y(b) - size / 2, size, size);
    }
  }

  // Moves the ring to what is shown.
  mark() {
    if (!this.ring) return;
    const shown = this.selection.point;
    const found = shown && this.points.find((p) => (shown.kind === "front" ? p.row === shown.row : p.marked === shown));
    this.ring.style("display", found ? null : "none");
    if (found) this.ring.attr("cx", found.px).attr("cy", found.py).attr("data-shown", shown.label);
  }

  nearest(event) {
    if (!this.tree) return null;
    const box = this.plot.node.getBoundingClientRect();
    return this.tree.find(event.clientX - box.left - this.plot.margin.left, event.clientY - box.top - this.plot.margin.top, 24);
  }

  pointer(event) {
    const found = this.nearest(event);
    this.plot.node.style.cursor = found ? "pointer" : "default";
    if (!found) return this.leave();
    const point = found.get();
    this.selection.hover(point);
    tip.show(event, [capital(point.label), ...describePoint(point, this.selection.product).split(" · "), fit(chipWords(point.chip), 620)]);
  }

  leave() {
    tip.hide();
    if (this.selection.hovered) this.selection.hover(null);
  }

  click(event) {
    const found = this.nearest(event);
    if (found) this.selection.choose(found.get());
  }

  key(event) {
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowUp: 1, ArrowDown: -1 };
    const { selection } = this;
    if (event.key === "Enter" || event.key === " ") {
      if (selection.hovered) selection.choose(selection.hovered);
    } else if (event.key === "Escape") {
      this.leave();
    } else if (event.key in steps || event.key === "Home" || event.key === "End") {
      const list = event.key === "ArrowUp" || event.key === "ArrowDown" ? this.order.filter((p) => p.marked) : this.order;
      if (!list.length) return;
      const shown = selection.point;
      const now = list.findIndex((p) => (shown.kind === "front" ? p.row === shown.row : p.marked === shown));
      const next = event.key === "Home" ? 0 : event.key === "End" ? list.length - 1 : (now + steps[event.key] + list.length) % list.length;
      const point = list[next].get();
      selection.hover(point);
      say(`${point.label}. ${describePoint(point, selection.product)}`);
    } else {
      return;
    }
    event.preventDefault();
  }

  content() {
    const { front, marked, record, product } = this.selection;
    const rows = [...marked, ...Array(Math.min(front.size, MAX_ROWS)).keys()].map((p) => (typeof p === "number" ? front.point(p) : p));
    const columns = [
      { name: "point", value: (p) => p, show: (p) => element("button", { type: "button", class: "quiet", onclick: () => this.selection.choose(p) }, capital(p.label)) },
      { name: "loss cap", value: (p) => p.cap, show: (v) => digits(v), number: true },
      ...this.axes.map((axis) => ({ name: axis.label, value: (p) => axisValue(p, axis, product), number: true,
        show: (v) => (Number.isFinite(v) ? (PREFIXED.has(axis.unit) ? si(v, axis.unit) : digits(v)) : "–") })),
      { name: "chip", value: (p) => chipWords(p.chip) },
    ];
    const search = record.search || {};
    const how = search.num_chips ? `${capital(searchWords(record))}${search.front_epsilon_frac ? `; of points closer than ${percent(search.front_epsilon_frac)} one is kept` : ""}.` : "";
    const says = front.size
      ? `Each dot is a chip with its own best recipe; further left and further down is better. ${how} Rest on a dot, and every picture below shows that point; click or press Enter to keep it.`
      : "The record holds no front (a given chip has none); the marks are the recommendations and baselines. Select one, and every picture below follows.";
    return { says, columns, rows, note: front.size > MAX_ROWS ? `The page draws all ${front.size.toLocaleString("en-US")} points.` : "" };
  }
}
