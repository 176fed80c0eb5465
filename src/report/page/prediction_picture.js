// Predicted against measured loss, and whether losses of single choices add up.

// Returns its pictures.
function predictionSection(selection) {
  const { record } = selection;
  const node = section("prediction", "Predicted against measured loss",
    "The search trusts a prediction: the losses of single choices, added. Here whole recipes were executed to see how far that holds.");
  const additivity = record.additivity || {};
  const borrowed = record.products.filter((p) => String(p.loss_profile).startsWith("borrowed"));
  for (const product of borrowed) plain(node, `${product.name} (${product.model}) has no weights here: its losses are ${product.loss_profile} and were not measured on it.`);
  if (!(additivity.recipes || []).length) {
    plain(node, "No whole recipe was measured in this study, so how well predictions add up is not established.");
    return [];
  }
  return [new PredictionPicture(node, selection, additivity)];
}

class PredictionPicture {
  constructor(parent, selection, additivity) {
    Object.assign(this, { selection, additivity });
    this.recipes = additivity.recipes.map((r) => ({ name: r.name, x: r.predicted_nats_per_token, y: r.measured_nats_per_token, bits: r.bits_per_weight }))
      .filter((r) => r.x > 0 && r.y > 0);
    this.settled = selection.marked.flatMap((point) => point.products.filter((p) => p.numbers.measured_kl_nats > 0)
      .map((p) => ({ name: `${point.label}, ${p.name}`, x: p.numbers.predicted_kl_nats, y: p.numbers.measured_kl_nats, point, error: 2 * (p.numbers.measured_kl_stderr_nats || 0), certified: p.numbers.certified_kl_nats })));
    this.figure = new Figure(parent, { title: "Whole recipes, predicted and then executed", id: "prediction-figure", tiers: ["predicted", "measured"] });
    this.plot = new Plot(this.figure.body, { height: (w) => Math.max(300, Math.min(420, w * 0.55)), margin: { top: 26, left: 66 }, label: `Measured against predicted loss of ${count(this.recipes.length + this.settled.length, "recipe")}`, draw: (area) => this.draw(area) });
    this.figure.body.append(legend([["recipes drawn for the test", "var(--soft)", "hollow"], ["recommended and baselines, with two standard errors", "var(--accent)", "round"], ["band: smallest to largest ratio in the test", "var(--accent-soft)"], ["dashes: measured as predicted", "var(--soft)", "dashed"]]));
    this.refresh();
    selection.follow(() => this.highlight());
  }

  refresh() {
    this.plot.refresh();
    this.figure.set(this.content());
  }

  draw(area) {
    const { svg, width, height } = area;
    const all = [...this.recipes, ...this.settled];
    const domain = domainOf([...all.map((r) => r.x), ...all.map((r) => r.y)], true);
    const x = d3.scaleLog().domain(domain).range([0, width]);
    const y = d3.scaleLog().domain(domain).range([height, 0]);
    drawAxes(area, x, y, { label: "predicted, nats/token", log: true }, { label: "measured, nats/token", log: true });
    svg.append("clipPath").attr("id", "prediction-clip").append("rect").attr("width", width).attr("height", height);
    const inside = svg.append("g").attr("clip-path", "url(#prediction-clip)");
    const { bias_ratio: bias, bias_min_ratio: low, bias_max_ratio: high } = this.additivity;
    const [a, b] = domain;
    if (low && high) inside.append("path").attr("d", `M${x(a)},${y(a * low)}L${x(b)},${y(b * low)}L${x(b)},${y(b * high)}L${x(a)},${y(a * high)}Z`).style("fill", "var(--accent-soft)").style("opacity", 0.6);
    inside.append("line").attr("class", "dash").attr("x1", x(a)).attr("y1", y(a)).attr("x2", x(b)).attr("y2", y(b));
    if (bias) inside.append("line").attr("x1", x(a)).attr("y1", y(a * bias)).attr("x2", x(b)).attr("y2", y(b * bias)).style("stroke", "var(--accent)").style("stroke-width", 1.4);
    hover(svg.append("g").selectAll("circle").data(this.recipes).join("circle").attr("class", "mark").attr("r", 4).attr("cx", (r) => x(r.x)).attr("cy", (r) => y(r.y)).style("fill", "none").style("stroke", "var(--soft)").style("stroke-width", 1.5), (r) => this.lines(r));
    svg.append("g").selectAll("line").data(this.settled).join("line").attr("x1", (r) => x(r.x)).attr("x2", (r) => x(r.x)).attr("y1", (r) => y(Math.max(domain[0], r.y - r.error))).attr("y2", (r) => y(r.y + r.error)).style("stroke", "var(--accent)");
    this.dots = svg.append("g").selectAll("circle").data(this.settled).join("circle").attr("class", "mark").attr("r", 4).attr("cx", (r) => x(r.x)).attr("cy", (r) => y(r.y)).style("fill", "var(--accent)").style("cursor", "pointer");
    this.dots.on("click", (...args) => this.selection.choose(args.find((r) => r && r.point).point));
    hover(this.dots, (r) => this.lines(r));
    this.highlight();
  }

  lines(r) {
    return [capital(r.name), `predicted ${digits(r.x)}, measured ${digits(r.y)}${r.error ? ` ± ${digits(r.error, 2)}` : ""} nats/token`, r.certified !== undefined && `third text: ${digits(r.certified)}`, r.bits && `${digits(r.bits)} bits per weight`];
  }

  // What a rank correlation allows to be said of adding up single losses.
  trust(spearman) {
    if (!(spearman >= 0.8)) return ": single losses do not add up here, and the order of recipes is not established.";
    return spearman >= 0.95 ? ": single losses add up well enough to order recipes." : ": single losses order recipes roughly.";
  }

  highlight() {
    if (this.dots) this.dots.attr("r", (r) => (r.point === this.selection.point ? 7 : 4));
  }

  content() {
    const a = this.additivity;
    const says = `Over ${count(a.num_recipes ?? this.recipes.length, "recipe")} Spearman is ${digits(a.spearman ?? this.selection.record.additivity_spearman, 4)}${a.r2_log !== undefined ? ` and R² of the logarithms ${digits(a.r2_log, 4)}` : ""}${this.trust(a.spearman ?? this.selection.record.additivity_spearman)} Measured over predicted is ${digits(a.bias_ratio)} (${digits(a.bias_min_ratio)} to ${digits(a.bias_max_ratio)}); the search multiplies by it, and every answer is measured again.`;
    return { says, rows: [...this.settled, ...this.recipes], columns: [{ name: "recipe", key: "name" }, { name: "bits per weight", key: "bits", show: (v) => digits(v), number: true }, { name: "predicted", key: "x", show: (v) => digits(v), number: true },
      { name: "measured", key: "y", show: (v) => digits(v), number: true }, { name: "measured / predicted", value: (r) => r.y / r.x, show: (v) => digits(v), number: true }, { name: "third text", key: "certified", show: (v) => digits(v), number: true }] };
  }
}
