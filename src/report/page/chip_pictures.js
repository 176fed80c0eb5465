// The chip as a treemap of its area, and as a block diagram: the die to scale, one core as a sketch.

const AREA_FAMILIES = [
  ["matrix units", "c0", ["multipliers_mm2", "registers_mm2", "scale_units_mm2", "decoder_mm2"]],
  ["vector units", "c2", ["vector_mm2"]],
  ["memory", "c4", ["sram_mm2", "buffers_mm2"]],
  ["DRAM interface", "c1", ["dram_phy_mm2", "dram_controller_mm2"]],
  ["network and control", "c3", ["noc_mm2", "control_mm2"]],
  ["rest of the die", "c7", ["fixed_mm2", "other_mm2"]],
];

const familyOf = (key) => AREA_FAMILIES.find(([, , keys]) => keys.includes(key)) || ["other", "c7", []];

function areaParts(point) {
  return Object.entries((point && point.area) || {}).filter(([key, value]) => key !== "total_mm2" && value > 0)
    .map(([key, value]) => ({ key, value, family: familyOf(key)[0], colour: familyOf(key)[1] }));
}

class TreemapPicture {
  constructor(parent, selection) {
    this.selection = selection;
    this.figure = new Figure(parent, { title: "Where the area goes", id: "treemap-figure", tiers: ["analytical"] });
    this.plot = new Plot(this.figure.body, { height: (w) => Math.max(300, Math.min(430, w * 0.74)), margin: { top: 0, right: 0, bottom: 0, left: 0 }, label: "Area treemap", draw: (area) => this.draw(area) });
    this.keys = element("div");
    this.figure.body.append(this.keys);
    selection.follow((change) => { if (change.point) this.refresh(); });
    this.refresh();
  }

  refresh() {
    this.parts = areaParts(this.selection.point);
    this.plot.node.hidden = !this.parts.length;
    this.keys.replaceChildren();
    if (!this.parts.length) return this.figure.set({ says: "The record holds no area by part for this point." });
    this.total = d3.sum(this.parts, (p) => p.value);
    this.plot.refresh({ label: `Area of the die by part, ${digits(this.total)} mm² in ${this.parts.length} parts` });
    const families = d3.nest().key((p) => p.family).rollup((v) => d3.sum(v, (p) => p.value)).entries(this.parts).sort((a, b) => b.value - a.value);
    this.keys.append(legend(AREA_FAMILIES.filter(([name]) => families.some((f) => f.key === name)).map(([name, c]) => [name, `var(--${c})`])));
    this.figure.set({
      says: `${digits(this.total)} mm²: ${families.slice(0, 3).map((f) => `${percent(f.value / this.total)} ${f.key}`).join(", ")}.`,
      rows: [...this.parts].sort((a, b) => b.value - a.value),
      columns: [{ name: "part", value: (p) => words(p.key) }, { name: "family", key: "family" }, { name: "area, mm²", key: "value", show: (v) => digits(v), number: true },
        { name: "share", value: (p) => p.value / this.total, show: (v) => percent(v), number: true },
        { name: "peak power", value: (p) => (this.selection.point.power || {})[p.key.replace("_mm2", "_mw")], show: (v) => show("x_mw", v), number: true }],
    });
  }

  draw({ svg, width, height }) {
    const nested = { children: AREA_FAMILIES.map(([name]) => ({ name, children: this.parts.filter((p) => p.family === name) })) };
    const root = d3.hierarchy(nested, (d) => d.children).sum((d) => d.value || 0).sort((a, b) => b.value - a.value);
    d3.treemap().size([width, height]).paddingInner(2).round(true)(root);
    const cell = svg.selectAll("g").data(root.leaves().filter((l) => l.value > 0)).join("g").attr("transform", (l) => `translate(${l.x0},${l.y0})`);
    cell.append("rect").attr("class", "mark").attr("width", (l) => l.x1 - l.x0).attr("height", (l) => l.y1 - l.y0).attr("rx", 2).style("fill", (l) => `var(--${l.data.colour})`);
    const line = (dy, text, weight) => cell.append("text").attr("x", 7).attr("y", dy).style("font-weight", weight)
      .style("fill", (l) => inkOn(colour(l.data.colour))).text((l) => {
        const room = l.x1 - l.x0 - 12;
        const shown = l.y1 - l.y0 > dy + 5 ? fit(text(l), room, 12, weight > 400) : "";
        return shown.length < (weight > 400 ? Math.min(4, text(l).length) : text(l).length) ? "" : shown;
      });
    line(17, (l) => capital(words(l.data.key)), 600);
    line(32, (l) => `${digits(l.value)} mm²`, 400);
    hover(cell, (l) => [capital(words(l.data.key)), `${digits(l.value)} mm², ${percent(l.value / this.total)} of the die`, l.data.family]);
  }
}

class BlockPicture {
  constructor(parent, selection) {
    this.selection = selection;
    this.figure = new Figure(parent, { title: "The chip as blocks", id: "block-figure", tiers: ["analytical"] });
    this.plot = new Plot(this.figure.body, { height: (w) => (w < 520 ? 640 : 430), margin: { top: 0, right: 0, bottom: 0, left: 0 }, label: "Block diagram", draw: (area) => this.draw(area) });
    selection.follow((change) => { if (change.point) this.refresh(); });
    this.refresh();
  }

  refresh() {
    const point = this.selection.point;
    this.chip = point && typeof point.chip === "object" ? point.chip : null;
    this.plot.node.hidden = !this.chip;
    if (!this.chip) return this.figure.set({ says: "The record names this chip but does not describe it." });
    this.area = point.area;
    this.plot.refresh({ label: `Block diagram: ${chipWords(this.chip)}` });
    const flat = [];
    const walk = (value, path) => {
      if (Array.isArray(value)) value.forEach((v, i) => walk(v, `${path}[${i}]`));
      else if (value && typeof value === "object") for (const [k, v] of Object.entries(value)) walk(v, path ? `${path}.${k}` : k);
      else flat.push({ key: path, value });
    };
    walk(this.chip, "");
    const limits = Object.entries(point.limits).filter(([, v]) => v !== undefined).map(([key, value]) => ({ key, value }));
    const roofs = Object.entries(point.roofs).filter(([, v]) => typeof v === "number").map(([key, value]) => ({ key: `roofs.${key}`, value }));
    this.figure.set({
      says: `${capital(chipWords(this.chip))}. The die on the left is drawn to scale, thin strips apart; one core on the right is a sketch.`,
      rows: [...flat, ...limits, ...roofs], columns: [{ name: "key", key: "key" }, { name: "value", value: (r) => r.value, show: (v, r) => show(r.key.split(/[.\]]/).pop(), v), number: true }],
    });
  }

  draw({ svg, width, height }) {
    const narrow = width < 520;
    const die = { x: 0, y: 58, width: narrow ? width : width * 0.5, height: (narrow ? 340 : height) - 62 };
    const core = narrow ? { x: 0, y: 376, width, height: height - 378 } : { x: width * 0.5 + 40, y: 58, width: width * 0.5 - 40, height: height - 62 };
    const first = this.drawDie(svg, die);
    this.drawCore(svg, core);
    if (first && !narrow) {
      for (const [from, to] of [[first.y, core.y], [first.y + first.height, core.y + core.height]]) {
        svg.append("line").attr("class", "dash").attr("x1", first.x + first.width).attr("y1", from).attr("x2", core.x).attr("y2", to);
      }
    }
  }

  box(svg, { x, y, width, height }, tone, lines, dashed) {
    const group = svg.append("g").attr("transform", `translate(${x},${y})`);
    group.append("rect").attr("class", "mark").attr("width", Math.max(1, width)).attr("height", Math.max(1, height)).attr("rx", 2)
      .style("fill", tone ? `var(--${tone})` : "none").style("stroke", tone ? "none" : "var(--soft)").style("stroke-dasharray", dashed ? "3 3" : null);
    const ink = tone ? inkOn(colour(tone)) : "var(--ink)";
    const room = Math.max(0, Math.floor((height - 2) / 14));
    const texts = lines.filter(Boolean).slice(0, room);
    texts.forEach((text, i) => group.append("text").attr("x", width / 2).attr("text-anchor", "middle")
      .attr("y", height / 2 + 4 + (i - (texts.length - 1) / 2) * 14).style("fill", ink).style("font-weight", i ? 400 : 600).text(width > 30 ? fit(text, width - 4, 12, !i) : ""));
    return group;
  }

  // Strips as wide as the die, each as high as its area: DRAM interface, SRAM, network, cores, rest.
  drawDie(svg, die) {
    const { chip, area } = this;
    const mm2 = (...keys) => d3.sum(keys, (key) => area[key] || 0);
    const perCore = ["multipliers_mm2", "registers_mm2", "scale_units_mm2", "decoder_mm2", "vector_mm2", "buffers_mm2", "control_mm2"];
    const strips = [
      ["dram", mm2("dram_phy_mm2", "dram_controller_mm2")], ["sram", mm2("sram_mm2")], ["noc", mm2("noc_mm2")], ["cores", mm2(...perCore)],
      ["rest", mm2("fixed_mm2", "other_mm2")]].map(([name, value]) => ({ name, value }));
    const total = d3.sum(strips, (s) => s.value);
    const least = { noc: 21, rest: 21, sram: 34, dram: 36, cores: 44 };
    const heights = strips.map((s) => Math.max(least[s.name], total ? (die.height * s.value) / total : die.height / 5));
    const excess = d3.sum(heights) - die.height;
    heights[d3.maxIndex ? d3.maxIndex(heights) : heights.indexOf(d3.max(heights))] -= excess;
    svg.append("rect").attr("x", die.x + 0.5).attr("y", die.y - 4).attr("width", die.width - 1).attr("height", die.height + 6).attr("rx", 4).style("fill", "var(--panel)").style("stroke", "var(--soft)");
    let y = die.y;
    let first = null;
    strips.forEach((strip, i) => {
      const place = { x: die.x + 4, y: y + 1, width: die.width - 8, height: heights[i] - 3 };
      y += heights[i];
      if (strip.name === "dram") this.drawChannels(svg, place, strip.value, die);
      else if (strip.name === "cores") first = this.drawCores(svg, place, strip.value);
      else if (strip.name === "sram") this.box(svg, place, "c4", ["shared SRAM", show("sram_mib", chip.sram_mib), strip.value ? `${digits(strip.value)} mm²` : ""]);
      else if (strip.name === "noc") this.box(svg, place, "c3", [`network on chip${strip.value ? `, ${digits(strip.value)} mm²` : ""}`]);
      else this.box(svg, place, "c7", [`fixed and other${strip.value ? `, ${digits(strip.value)} mm²` : ""}`]);
    });
    return first;
  }

  // One PHY a channel on the die's edge, its DRAM outside.
  drawChannels(svg, place, value, die) {
    const dram = this.chip.dram || {};
    const channels = Math.max(1, dram.channels || 1);
    const drawn = Math.min(channels, 16);
    const step = place.width / drawn;
    const bandwidth = this.selection.point.roofs.dram_gb_per_s;
    for (let i = 0; i < drawn; i++) {
      const x = place.x + i * step;
      this.box(svg, { x: x + 1, y: 18, width: step - 2, height: 22 }, null, [step > 60 ? dram.kind : ""], true);
      svg.append("line").attr("x1", x + step / 2).attr("x2", x + step / 2).attr("y1", 40).attr("y2", place.y).style("stroke", "var(--soft)").style("stroke-width", 2);
      this.box(svg, { x: x + 1, y: place.y, width: step - 2, height: place.height }, "c1", [step > 110 ? "PHY, controller" : "PHY", value && step > 52 ? `${digits(value / channels)} mm²` : ""]);
    }
    svg.append("text").attr("class", "soft").attr("x", die.x).attr("y", 11).text(fit(`DRAM: ${channels} × ${dram.kind || "?"}, ${digits(dram.capacity_gib)} GiB${bandwidth ? `, ${digits(bandwidth)} GB/s` : ""}`, die.width));
  }

  drawCores(svg, place, value) {
    const cores = Math.max(1, this.chip.cores || 1);
    const columns = Math.min(cores, Math.max(1, Math.ceil(Math.sqrt((cores * place.width) / Math.max(1, place.height) / 1.4))));
    const rows = Math.ceil(cores / columns);
    const [w, h] = [place.width / columns, place.height / rows];
    let first = null;
    const parts = [["multipliers_mm2", "registers_mm2", "scale_units_mm2", "decoder_mm2"], ["vector_mm2"], ["buffers_mm2"], ["control_mm2"]];
    for (let i = 0; i < cores; i++) {
      const box = { x: place.x + (i % columns) * w + 1, y: place.y + Math.floor(i / columns) * h + 1, width: w - 2, height: h - 2 };
      const leaves = parts.map((keys) => ({ keys, value: d3.sum(keys, (k) => this.area[k] || 0) })).filter((l) => l.value > 0);
      if (leaves.length) {
        const root = d3.hierarchy({ children: leaves }).sum((l) => l.value || 0).sort((a, b) => b.value - a.value);
        d3.treemap().size([box.width, box.height]).paddingInner(1)(root);
        for (const leaf of root.leaves()) {
          const wide = leaf.x1 - leaf.x0 > 58 && leaf.y1 - leaf.y0 > 18;
          this.box(svg, { x: box.x + leaf.x0, y: box.y + leaf.y0, width: leaf.x1 - leaf.x0, height: leaf.y1 - leaf.y0 }, familyOf(leaf.data.keys[0])[1],
            wide ? [leaf.data.keys.length > 1 ? "matrix" : words(leaf.data.keys[0]).replace(" units", "")] : []);
        }
      } else this.box(svg, box, "c0", [`core ${i}`]);
      svg.append("rect").attr("x", box.x).attr("y", box.y).attr("width", box.width).attr("height", box.height).attr("rx", 2).style("fill", "none").style("stroke", "var(--paper)").style("stroke-width", 2);
      if (i === columns - 1 || (!first && i === cores - 1)) first = box;
    }
    return first;
  }

  // What a core does with a weight, from left to right: buffers, decoder, matrix units, sums, vector unit.
  drawCore(svg, place) {
    const { chip } = this;
    const pad = 10;
    svg.append("text").attr("class", "soft").attr("x", place.x).attr("y", place.y - 10).text(fit(`${chip.cores > 1 ? `one of ${chip.cores} cores` : "the core"}, ${show("clock_mhz", chip.clock_mhz)}`, place.width));
    svg.append("rect").attr("x", place.x).attr("y", place.y - 4).attr("width", place.width).attr("height", place.height + 6).attr("rx", 4).style("fill", "none").style("stroke", "var(--soft)");
    const inner = { x: place.x + pad, y: place.y + pad, width: place.width - 2 * pad, height: place.height - 2 * pad - 4 };
    const row = (i, n, share, x0 = 0) => ({ x: inner.x + x0 * inner.width, width: share * inner.width, y: inner.y + (i * (inner.height + 14)) / n, height: (inner.height + 14) / n - 14 });
    const boxes = {
      weights: [row(0, 5, 0.47), "c4", ["weights", show("weight_buffer_kib", chip.weight_buffer_kib)]],
      activations: [row(0, 5, 0.47, 0.53), "c4", ["activations", show("activation_buffer_kib", chip.activation_buffer_kib)]],
      decoder: [row(1, 5, 0.47), "c0", ["decoder", `${digits(chip.decoder_values_per_cycle, 4)} a cycle`]],
      sums: [row(3, 5, 1), "c4", ["accumulators", show("accumulator_kib", chip.accumulator_kib)]],
      vector: [row(4, 5, 1), "c2", ["vector unit", `${digits(chip.vector_lanes, 4)} lanes`]],
    };
    const units = chip.units || [];
    units.forEach((unit, i) => {
      const at = row(2, 5, 1 / units.length, i / units.length);
      boxes[`unit${i}`] = [{ ...at, width: at.width - (i < units.length - 1 ? 6 : 0) }, "c0", [`matrix unit ${unit.rows}×${unit.cols}×${unit.depth}`, unit.format_set || "", (unit.pairs || []).map((p) => `${p.weight}×${p.activation}`).join(", ")]];
    });
    const arrow = (from, to, x) => {
      const [a, b] = [boxes[from], boxes[to]];
      if (!a || !b) return;
      const at = x ?? a[0].x + a[0].width / 2;
      const [y1, y2] = [a[0].y + a[0].height, b[0].y];
      svg.append("line").attr("x1", at).attr("x2", at).attr("y1", y1).attr("y2", y2 - 4).style("stroke", "var(--ink)").style("stroke-width", 1.4);
      svg.append("path").attr("d", `M${at - 4},${y2 - 6}h8l-4,6z`).style("fill", "var(--ink)");
    };
    for (const [at, tone, lines] of Object.values(boxes)) this.box(svg, at, tone, lines);
    arrow("weights", "decoder");
    arrow("decoder", "unit0", inner.x + inner.width * 0.235);
    arrow("activations", "unit0");
    arrow("unit0", "sums", inner.x + inner.width / 2);
    arrow("sums", "vector");
  }
}
