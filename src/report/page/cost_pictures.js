// Where time, energy and bytes go, which resource binds, and every operation under the chip's roofs.

const QUANTITIES = [["latency_ns", "Time of a request", "s", 1e-9], ["energy_pj", "Energy of a request", "J", 1e-12], ["dram_bytes", "DRAM bytes of a request", "B", 1]];
const RESOURCES = ["dram", "sram", "decoder", "compute", "vector"];

// Per op where the record has them, else per group of ops.
function partsOf(product) {
  if (!product) return [];
  return (product.ops && product.ops.length ? product.ops : product.groups).map((op) => ({ ...op }));
}

class BreakdownPicture {
  constructor(parent, selection, product, [key, title, unit, scale]) {
    Object.assign(this, { selection, product, key, unit, scale });
    this.figure = new Figure(parent, { title: title + ofProduct(selection.record, product), id: `breakdown-${key}-${product}`, tiers: ["analytical"] });
    this.plot = new Plot(this.figure.body, { height: () => 34 + 21 * Math.max(1, this.names.length), margin: { top: 4, right: 62, bottom: 26, left: 122 }, label: title, draw: (area) => this.draw(area) });
    this.figure.body.append(legend([["prefill", "var(--c1)"], ["decode", "var(--c0)"]]));
    selection.follow((change) => { if (change.point) this.refresh(); });
    this.refresh();
  }

  refresh() {
    this.parts = partsOf(this.selection.productAt(this.product));
    this.total = d3.sum(this.parts, (p) => p[this.key]);
    const sums = new Map();
    for (const part of this.parts) sums.set(part.op, (sums.get(part.op) || 0) + (part[this.key] || 0));
    const top = [...sums.keys()].reduce((a, b) => (sums.get(a) >= sums.get(b) ? a : b), "");
    // By time in every picture, so that one row is one operation across them.
    const time = (name) => d3.sum(this.parts.filter((p) => p.op === name), (p) => p.latency_ns);
    this.names = [...sums.keys()].sort((a, b) => time(b) - time(a));
    this.sums = sums;
    this.plot.node.hidden = !this.parts.length;
    if (!this.parts.length) return this.figure.set({ says: "The record holds no operations for this point." });
    const show1 = (value) => si(value * this.scale, this.unit);
    this.plot.refresh({ label: `${this.figure.title}: ${show1(this.total)} over ${count(this.names.length, "operation")}` });
    const decode = d3.sum(this.parts.filter((p) => p.phase === "decode"), (p) => p[this.key]);
    this.figure.set({
      says: `${show1(this.total)}: ${percent(decode / this.total)} in decode; ${words(top)} takes ${percent(sums.get(top) / this.total)}.`,
      rows: this.parts.filter((p) => p[this.key] > 0).sort((a, b) => b[this.key] - a[this.key]),
      columns: [{ name: "phase", key: "phase" }, { name: "operation", value: (p) => words(p.op) }, { name: "value", key: this.key, show: show1, number: true },
        { name: "share", value: (p) => p[this.key] / this.total, show: (v) => percent(v), number: true }, { name: "bound by", value: (p) => words(p.binding || "–") }],
    });
  }

  draw({ svg, width, height }) {
    const x = d3.scaleLinear().domain([0, d3.max([...this.sums.values()])]).range([0, width]);
    const band = height / this.names.length;
    svg.append("g").attr("class", "axis").attr("transform", `translate(0,${height})`).call(d3.axisBottom(x).ticks(Math.max(2, width / 80)).tickFormat((v) => si(v * this.scale, this.unit)).tickSize(-height).tickPadding(6));
    this.names.forEach((name, i) => {
      let left = 0;
      for (const phase of ["prefill", "decode"]) {
        const rows = this.parts.filter((p) => p.op === name && p.phase === phase);
        const value = d3.sum(rows, (p) => p[this.key]);
        if (!value) continue;
        hover(svg.append("rect").datum(rows[0]).attr("class", "mark").attr("x", x(left)).attr("y", i * band + 3).attr("height", band - 6).attr("width", Math.max(0.5, x(value))).style("fill", phase === "decode" ? "var(--c0)" : "var(--c1)"),
          (p) => [`${capital(words(name))}, ${phase}`, `${si(value * this.scale, this.unit)}, ${percent(value / this.total)} of the request`, p.binding && `bound by ${words(p.binding)}`]);
        left += value;
      }
      svg.append("text").attr("x", -8).attr("y", i * band + band / 2 + 4).attr("text-anchor", "end").text(words(name));
      svg.append("text").attr("class", "soft").attr("x", x(left) + 6).attr("y", i * band + band / 2 + 4).text(left ? percent(left / this.total) : "none");
    });
  }
}

class BindingPicture {
  constructor(parent, selection, product) {
    Object.assign(this, { selection, product });
    this.figure = new Figure(parent, { title: `Which resource binds where${ofProduct(selection.record, product)}`, id: `binding-figure-${product}`, tiers: ["analytical"] });
    this.plot = new Plot(this.figure.body, { height: () => 70 + 20 * Math.max(1, this.names.length), margin: { top: 44, right: 6, bottom: 6, left: 122 }, label: "Binding resources", draw: (area) => this.draw(area) });
    selection.follow((change) => { if (change.point) this.refresh(); });
    this.refresh();
  }

  refresh() {
    this.parts = partsOf(this.selection.productAt(this.product)).filter((p) => p.latency_ns > 0 && p.binding);
    const time = (name) => d3.sum(this.parts.filter((p) => p.op === name), (p) => p.latency_ns);
    this.names = [...new Set(this.parts.map((p) => p.op))].sort((a, b) => time(b) - time(a));
    this.plot.node.hidden = !this.parts.length;
    if (!this.parts.length) return this.figure.set({ says: "The record does not say what binds at this point." });
    this.plot.refresh({ label: `Busy share of each resource for ${count(this.names.length, "operation")} in prefill and decode` });
    const top = (phase) => {
      const rows = this.parts.filter((p) => p.phase === phase);
      const total = d3.sum(rows, (p) => p.latency_ns);
      const by = d3.nest().key((p) => p.binding).rollup((v) => d3.sum(v, (p) => p.latency_ns)).entries(rows).sort((a, b) => b.value - a.value)[0];
      return by ? `${phase}: ${words(by.key)} binds ${percent(by.value / total)} of the time` : "";
    };
    const full = this.parts.some((p) => p.compute_ns !== undefined);
    this.figure.set({
      says: `${[top("prefill"), top("decode")].filter(Boolean).map(capital).join(". ")}. ${full ? "The darker a cell, the longer the resource is busy while the operation runs; the ring marks the one that sets the time." : "For a point of the front only the binding resource is kept."}`,
      rows: this.parts, columns: [{ name: "phase", key: "phase" }, { name: "operation", value: (p) => words(p.op) }, { name: "time", key: "latency_ns", number: true },
        ...RESOURCES.map((r) => ({ name: words(r), key: `${r}_ns`, number: true })), { name: "bound by", value: (p) => words(p.binding) }],
    });
  }

  draw({ svg, width, height }) {
    const phases = ["prefill", "decode"];
    const half = (width - 14) / 2;
    const step = half / RESOURCES.length;
    const band = height / this.names.length;
    phases.forEach((phase, k) => {
      const left = k * (half + 14);
      svg.append("text").attr("x", left).attr("y", -30).style("font-weight", 600).text(capital(phase));
      RESOURCES.forEach((r, i) => svg.append("text").attr("class", "soft").attr("x", left + i * step + step / 2).attr("y", -9).attr("text-anchor", "middle").text(fit({ compute: "mult.", decoder: "dec.", vector: "vec." }[r] || words(r), step)));
      for (const part of this.parts.filter((p) => p.phase === phase)) {
        RESOURCES.forEach((resource, i) => {
          const known = part[`${resource}_ns`];
          const busy = known === undefined ? (part.binding === resource ? 1 : 0) : Math.min(1, known / part.latency_ns);
          const cell = svg.append("rect").datum(part).attr("class", "mark").attr("x", left + i * step + 1).attr("y", this.names.indexOf(part.op) * band + 1).attr("width", step - 2).attr("height", band - 2).attr("rx", 2)
            .attr("fill", busy < 0.005 ? colour("hair") : d3.interpolateLab(colour("bits-low"), colour("bits-high"))(0.08 + 0.92 * busy));
          if (part.binding === resource) cell.style("stroke", "var(--c5)").style("stroke-width", 2);
          hover(cell, () => [`${capital(words(part.op))}, ${phase}`, known === undefined ? "" : `${words(resource)} busy ${percent(busy)} of ${show("latency_ns", part.latency_ns)}`, `bound by ${words(part.binding)}`]);
        });
      }
    });
    this.names.forEach((name, i) => svg.append("text").attr("x", -8).attr("y", i * band + band / 2 + 4).attr("text-anchor", "end").text(words(name)));
  }
}

class RooflinePicture {
  constructor(parent, selection, product) {
    Object.assign(this, { selection, product });
    this.figure = new Figure(parent, { title: `Roofline: every operation under the chip's roofs${ofProduct(selection.record, product)}`, id: `roofline-figure-${product}`, tiers: ["analytical"] });
    this.plot = new Plot(this.figure.body, { height: (w) => Math.max(320, Math.min(430, w * 0.7)), margin: { top: 26, right: 20, left: 70 }, label: "Roofline", draw: (area) => this.draw(area) });
    this.figure.body.append(legend([["prefill", "var(--c1)", "round"], ["decode", "var(--c0)", "round"], ["triangle: vector work, counted in operations", "var(--soft)", "triangle"]]));
    selection.follow((change) => { if (change.point) this.refresh(); });
    this.refresh();
  }

  // MACs of a group of a front point: those of the same product elsewhere, the model's own property.
  macsOf(part) {
    if (part.macs_count !== undefined) return part.macs_count;
    const other = this.selection.marked[0];
    const product = other && other.products[Math.min(this.product, other.products.length - 1)];
    const group = product && product.groups.find((g) => g.phase === part.phase && g.op === part.op);
    return group ? group.macs_count : 0;
  }

  refresh() {
    const point = this.selection.point;
    this.roofs = (point && point.roofs) || {};
    const vector = this.roofs.vector_gops_per_s;
    this.dots = partsOf(this.selection.productAt(this.product)).map((part) => {
      const macs = this.macsOf(part);
      const work = macs > 0 ? macs : vector && part.vector_ns ? part.vector_ns * vector : 0;
      return { ...part, work, macs: macs > 0, rate: work / part.latency_ns, intensity: part.dram_bytes > 0 ? work / part.dram_bytes : Infinity };
    }).filter((d) => d.work > 0 && d.latency_ns > 0);
    this.plot.node.hidden = !this.dots.length;
    if (!this.dots.length) return this.figure.set({ says: "The record holds no operations to place under the roofs for this point." });
    this.pairs = Object.entries(this.roofs.gmacs_per_s || {}).sort((a, b) => a[1] - b[1]);
    this.plot.refresh({ label: `Roofline with ${count(this.dots.length, "operation")}` });
    this.figure.set({ says: this.says(), rows: this.dots, columns: [{ name: "phase", key: "phase" }, { name: "operation", value: (d) => words(d.op) },
      { name: "work per DRAM byte", key: "intensity", show: (v) => digits(v), number: true }, { name: "Gwork/s", key: "rate", show: (v) => digits(v), number: true }, { name: "time", key: "latency_ns", number: true }, { name: "energy", key: "energy_pj", number: true }, { name: "DRAM", key: "dram_bytes", number: true },
      { name: "counts", value: (d) => (d.macs ? "MACs" : "vector ops") }, { name: "bound by", value: (d) => words(d.binding || "–") }] });
  }

  says() {
    const slope = this.roofs.dram_gb_per_s;
    if (!slope) return "Each dot is an operation; the record holds no roofs for this chip. Further right means more work for each byte from DRAM.";
    const peak = d3.max(this.pairs, (p) => p[1]) || 0;
    const ridge = peak / slope;
    const left = this.dots.filter((d) => d.macs && d.intensity < ridge);
    const share = d3.sum(left, (d) => d.latency_ns) / d3.sum(this.dots, (d) => d.latency_ns);
    return `DRAM gives ${digits(slope)} GB/s${peak ? ` and the multipliers at most ${digits(peak)} GMAC/s, so below ${digits(ridge)} MACs a byte no operation can run faster than DRAM feeds it: ${percent(share)} of the time is spent there` : ""}. A dot on a roof can gain only from a higher roof.`;
  }

  draw(area) {
    const { svg, width, height } = area;
    const finite = this.dots.map((d) => d.intensity).filter(Number.isFinite);
    const [low, high] = domainOf([...finite, 1], true);
    const x = d3.scaleLog().domain([low, Math.max(high * 3, 10)]).range([0, width]);
    const edge = x.domain()[1] / 1.15;
    const slope = this.roofs.dram_gb_per_s;
    const y = d3.scaleLog().domain(domainOf([...this.dots.map((d) => d.rate), ...this.pairs.map((p) => p[1]), ...(this.roofs.vector_gops_per_s ? [this.roofs.vector_gops_per_s] : [])], true)).range([height, 0]);
    drawAxes(area, x, y, { label: "work per DRAM byte, MACs or operations (right edge: no DRAM traffic)", log: true }, { label: "achieved, GMAC/s or Gop/s", log: true });
    const clip = `roof-${this.product}`;
    svg.append("clipPath").attr("id", clip).append("rect").attr("width", width).attr("height", height);
    const named = [];  // places of the roofs' names
    const roofs = svg.append("g").attr("clip-path", `url(#${clip})`);
    if (slope) {
      const [x0, x1] = x.domain();
      roofs.append("path").attr("class", "roof").attr("d", `M${x(x0)},${y(slope * x0)}L${x(x1)},${y(slope * x1)}`);
      const at = Math.max(x0 * 1.1, (y.domain()[0] * 3) / slope);
      const place = [x(at) + 6, Math.min(height - 6, y(slope * at) + 18)];
      named.push({ left: place[0], right: place[0] + 110, top: place[1] - 12, bottom: place[1] + 4 });
      svg.append("text").attr("class", "soft").attr("x", place[0]).attr("y", place[1]).text(`DRAM ${digits(slope)} GB/s`);
    }
    const flat = [...this.pairs.map(([name, value]) => [name, value]), ...(this.roofs.vector_gops_per_s ? [["vector unit", this.roofs.vector_gops_per_s]] : [])];
    const levels = d3.nest().key((f) => f[1].toPrecision(3)).entries(flat).map((e) => [e.values.map((v) => v[0]).join(", "), e.values[0][1]]).sort((a, b) => b[1] - a[1]);
    let last = -Infinity;
    for (const [name, value] of levels) {
      roofs.append("line").attr("class", "roof").attr("x1", slope && name !== "vector unit" ? x(Math.max(x.domain()[0], Math.min(x.domain()[1], value / slope))) : 0).attr("x2", width).attr("y1", y(value)).attr("y2", y(value)).style("stroke-dasharray", name === "vector unit" ? "5 4" : null);
      const ty = Math.max(y(value) - 5, last + 14);
      last = ty;
      named.push({ left: width * 0.5, right: width, top: ty - 12, bottom: ty + 4 });
      svg.append("text").attr("class", "soft").attr("x", width).attr("y", ty).attr("text-anchor", "end").text(fit(`${name}  ${digits(value)} G/s`, width * 0.75));
    }
    const size = d3.scaleSqrt().domain([0, d3.max(this.dots, (d) => d.latency_ns)]).range([30, 260]);
    const dots = svg.append("g").selectAll("path").data([...this.dots].sort((a, b) => b.latency_ns - a.latency_ns)).join("path").attr("class", "mark")
      .attr("transform", (d) => `translate(${x(Math.min(d.intensity, edge))},${y(d.rate)})`)
      .attr("d", (d) => d3.symbol().type(d.macs ? d3.symbolCircle : d3.symbolTriangle).size(size(d.latency_ns))())
      .style("fill", (d) => (d.phase === "decode" ? "var(--c0)" : "var(--c1)")).style("fill-opacity", 0.8).style("stroke", "var(--paper)");
    this.nameDots(svg, width, named, (d) => x(Math.min(d.intensity, edge)), (d) => y(d.rate));
    hover(dots, (d) => [`${capital(words(d.op))}, ${d.phase}`, `${digits(d.rate)} ${d.macs ? "GMAC/s" : "Gop/s"} at ${digits(d.intensity)} per byte`, `${show("latency_ns", d.latency_ns)}, bound by ${words(d.binding || "–")}`]);
  }

  // Names beside the dots that take most time, as long as they do not lie on each other.
  nameDots(svg, width, named, x, y) {
    const taken = [...named];
    for (const dot of this.dots.filter((d) => d.macs).sort((a, b) => b.latency_ns - a.latency_ns)) {
      const text = `${words(dot.op)}, ${dot.phase}`;
      const wide = text.length * 6.6;
      const left = x(dot) + 12 + wide > width ? x(dot) - 12 - wide : x(dot) + 12;
      const box = { left, right: left + wide, top: y(dot) - 8, bottom: y(dot) + 8 };
      if (taken.some((b) => b.left < box.right && box.left < b.right && b.top < box.bottom && box.top < b.bottom)) continue;
      taken.push(box);
      svg.append("text").attr("class", "halo").attr("x", left).attr("y", y(dot) + 4).style("font-size", "11px").text(text);
    }
  }
}
