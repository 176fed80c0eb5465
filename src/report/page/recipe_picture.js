// The recipe as a map: one column a layer, one row a kind of site; colour is bits, a bar is what stays
// in SRAM, a corner is quantised activations.

const SITE_ROWS = ["attn_qkv", "attn_o", "mlp_gate_up", "mlp_down", "kv"];

class RecipePicture {
  constructor(parent, selection, product) {
    Object.assign(this, { selection, product });
    this.mode = "bits";
    this.figure = new Figure(parent, { title: `Layer by site${ofProduct(selection.record, product)}`, id: `recipe-figure-${product}`, tiers: ["predicted"] });
    this.controls = element("div", { class: "controls" });
    this.keys = element("div");
    this.figure.body.append(this.controls);
    this.plot = new Plot(this.figure.body, { height: 250, margin: { top: 6, right: 6, bottom: 34, left: 118 }, minWidth: 620, label: "Recipe map", draw: (area) => this.draw(area) });
    this.figure.body.append(this.keys);
    selection.follow((change) => { if (change.point) this.refresh(); });
    this.refresh();
  }

  cells() {
    const product = this.selection.productAt(this.product);
    return Object.entries(product ? product.sites : {}).map(([site, treatment]) => {
      const found = /^layers\.(\d+)\.(.+)$/.exec(site);
      return { site, treatment, layer: found ? Number(found[1]) : -1, kind: found ? found[2] : site, bits: treatmentBits(treatment),
        resident: product.resident[site] || 0, activations: String(treatment).includes("+"),
        loss: siteLoss(this.selection.record, this.product, product.rotation, site, treatment) };
    });
  }

  refresh() {
    this.data = this.cells();
    const product = this.selection.productAt(this.product);
    const has = this.data.some((cell) => cell.loss !== undefined);
    this.controls.replaceChildren(has ? picker("Colour", [["bits", "bits per value"], ["loss", "share of the predicted loss"]], this.mode, (mode) => { this.mode = mode; this.refresh(); }) : "");
    if (!this.data.length) {
      this.plot.node.hidden = true;
      this.keys.replaceChildren();
      this.figure.set({ says: "The record holds no recipe for this point." });
      return;
    }
    this.plot.node.hidden = false;
    this.total = d3.sum(this.data, (cell) => cell.loss || 0);
    this.plot.refresh({ label: `Recipe of ${product.name || "the product"}: ${count(this.data.length, "site")}, ${digits(product.numbers.bits_per_weight)} bits per weight` });
    this.drawKeys();
    this.figure.set(this.content());
  }

  colour(cell) {
    if (this.mode === "loss") {
      const most = d3.max(this.data, (c) => c.loss || 0) || 1;
      return d3.interpolateRgb(colour("bits-low"), colour("c5"))(Math.sqrt(Math.max(0, cell.loss || 0) / most));
    }
    const bits = [...new Set(this.data.map((c) => c.bits))].sort((a, b) => a - b);
    const place = bits.length > 1 ? bits.indexOf(cell.bits) / (bits.length - 1) : 0.4;
    return d3.interpolateLab(colour("bits-low"), colour("bits-high"))(place);
  }

  draw({ svg, width, height }) {
    const layers = d3.max(this.data, (c) => c.layer) + 1;
    const rest = this.data.filter((c) => c.layer < 0);
    const kinds = [...new Set([...SITE_ROWS.filter((k) => this.data.some((c) => c.kind === k)), ...this.data.filter((c) => c.layer >= 0).map((c) => c.kind)])];
    const rows = kinds.length + (rest.length ? 1 : 0);
    const band = height / rows;
    const step = width / Math.max(1, layers);
    const place = (cell) => {
      if (cell.layer >= 0) return [cell.layer * step, kinds.indexOf(cell.kind) * band, step, band];
      const share = Math.min(width / rest.length, 260);
      return [rest.indexOf(cell) * share, kinds.length * band, share, band];
    };
    svg.selectAll("text.kind").data([...kinds, ...(rest.length ? [rest.length > 1 ? "whole model" : rest[0].kind] : [])]).join("text").attr("class", "kind")
      .attr("x", -10).attr("y", (_, i) => i * band + band / 2 + 4).attr("text-anchor", "end").text((k) => words(k));
    const gap = step > 6 ? 2 : 1;
    const cell = svg.selectAll("g.cell").data(this.data).join("g").attr("class", "cell").attr("transform", (c) => `translate(${place(c)[0]},${place(c)[1]})`);
    cell.append("rect").attr("class", "mark").attr("width", (c) => Math.max(1, place(c)[2] - gap)).attr("height", band - 2).attr("fill", (c) => this.colour(c));
    cell.filter((c) => c.resident > 0).append("rect").attr("y", band - 7).attr("height", 4).attr("x", 1).attr("width", (c) => Math.max(1, (place(c)[2] - gap - 2) * c.resident)).attr("fill", "var(--c1)");
    cell.filter((c) => c.activations && c.kind !== "kv").append("path").attr("d", (c) => `M${place(c)[2] - gap - Math.min(7, step * 0.5)},0h${Math.min(7, step * 0.5)}v${Math.min(7, step * 0.5)}z`).attr("fill", "var(--c5)");
    if (step >= 17) {
      const named = cell.filter((c) => c.layer >= 0 || place(c)[2] > 60);
      named.append("text").attr("x", (c) => (place(c)[2] - gap) / 2).attr("y", band / 2 + 4).attr("text-anchor", "middle").style("font-size", "11px")
        .style("fill", (c) => inkOn(this.colour(c))).text((c) => (c.layer >= 0 ? c.bits : fit(rest.length > 1 ? `${c.kind}: ${c.treatment}` : c.treatment, place(c)[2], 11)));
    }
    const ticks = d3.range(layers).filter((i) => i % Math.ceil(layers / (width / 34)) === 0);
    svg.selectAll("text.layer").data(ticks).join("text").attr("class", "soft layer").attr("x", (i) => i * step + step / 2).attr("y", height + 14).attr("text-anchor", "middle").text((i) => i);
    svg.append("text").attr("class", "soft").attr("x", 0).attr("y", height + 30).text("layer");
    hover(cell, (c) => [c.site, c.treatment, c.loss !== undefined && `predicted loss ${digits(c.loss)} nats/token${this.total ? `, ${percent(c.loss / this.total)} of all` : ""}`, c.resident > 0 && `${percent(c.resident)} stays in SRAM`]);
  }

  drawKeys() {
    const bits = [...new Map(this.data.map((c) => [c.bits, c])).values()].sort((a, b) => a.bits - b.bits);
    const entries = this.mode === "bits" ? bits.map((c) => [`${c.bits} bits`, this.colour(c)]) : [["low share", colour("bits-low")], ["high share", colour("c5")]];
    if (this.data.some((c) => c.resident > 0)) entries.push(["bar: share kept in SRAM", "var(--c1)"]);
    if (this.data.some((c) => c.activations && c.kind !== "kv")) entries.push(["corner: activations quantised too", "var(--c5)"]);
    this.keys.replaceChildren(legend(entries));
  }

  content() {
    const product = this.selection.productAt(this.product);
    const counts = d3.rollups ? d3.rollups(this.data, (v) => v.length, (c) => c.treatment) : d3.nest().key((c) => c.treatment).rollup((v) => v.length).entries(this.data).map((e) => [e.key, e.value]);
    counts.sort((a, b) => b[1] - a[1]);
    const kept = this.data.filter((c) => c.resident > 0).length;
    const worst = this.data.reduce((a, b) => ((b.loss || 0) > (a ? a.loss || 0 : 0) ? b : a), null);
    const says = `${digits(product.numbers.bits_per_weight)} bits per weight on average; most used: ${counts.slice(0, 3).map(([name, n]) => `${name} (${n})`).join(", ")}. ` +
      (product.rotation && product.rotation !== "none" ? `Before anything is rounded, the whole model is rotated by ${product.rotation.toUpperCase()}. ` : "") +
      (kept ? `${count(kept, "site")} stay in SRAM at least in part. ` : "Nothing stays in SRAM. ") +
      (worst && worst.loss && this.total ? `The dearest single choice is ${worst.site}, with ${percent(worst.loss / this.total)} of the predicted loss.` : "");
    return { says, rows: this.data, columns: [{ name: "site", key: "site" }, { name: "treatment", key: "treatment", long: true }, { name: "predicted loss, nats/token", key: "loss", show: (v) => digits(v), number: true },
      { name: "share", value: (c) => (this.total && c.loss !== undefined ? c.loss / this.total : undefined), show: (v) => percent(v), number: true },
      { name: "kept in SRAM", key: "resident", show: (v) => percent(v), number: true }] };
  }
}
