// The joint answer against the other ways of working, at measured loss: ratio and band, per scenario.

// Returns its pictures.
function baselineSection(selection) {
  const { record } = selection;
  const node = section("baselines", "Together against in turn",
    "How much more each other way of working costs than choosing recipe and chip together, both at the same loss. A margin is established only if its whole band lies above 1.");
  const scenarios = record.scenarios.map((scenario, index) => ({ scenario, index }));
  const compared = scenarios.filter(({ scenario }) => scenario.feasible && (scenario.baselines || []).length);
  for (const { scenario } of scenarios.filter((s) => !s.scenario.feasible)) {
    plain(node, `${capital(scenarioWords(scenario))}: no point fits. ${capital(scenario.why_not || "The record gives no reason")}.`);
  }
  if (!compared.length) {
    plain(node, "There is no baseline in this study, so whether choosing together pays is not established.");
    return [];
  }
  const grid = element("div", { class: "trio even" });
  node.append(grid);
  const ratios = compared.flatMap(({ scenario }) => scenario.baselines.flatMap((b) => [b.ratio_low, b.ratio_high, b.ratio])).filter(Number.isFinite);
  const room = 0.03 * Math.max(0.03, (d3.max(ratios) ?? 1) - Math.min(1, d3.min(ratios) ?? 1));
  const domain = [Math.min(0.995, (d3.min(ratios) ?? 1) - room), Math.max(1.02, (d3.max(ratios) ?? 1) + room)];
  return compared.map((one) => new BaselinePanel(grid, selection, one, domain));
}

class BaselinePanel {
  constructor(parent, selection, { scenario, index }, domain) {
    Object.assign(this, { selection, scenario, index, domain });
    const measured = scenario.recommendation.products.every((p) => Number.isFinite(p.measured_kl_nats));
    this.figure = new Figure(parent, { title: capital(scenarioWords(scenario)), id: `baselines-${index}`, tiers: [measured ? "measured" : "predicted", "analytical"] });
    this.rows = scenario.baselines;
    this.plot = new Plot(this.figure.body, { height: 42 + 40 * this.rows.length, margin: { top: 4, right: 14, bottom: 38, left: 6 },
      label: `Cost of ${count(this.rows.length, "other way")} of working over the joint answer, ${scenarioWords(scenario)}`, draw: (area) => this.draw(area) });
    this.refresh();
    selection.follow(() => this.highlight());
  }

  refresh() {
    this.figure.set(this.content());
    this.plot.refresh();
    this.highlight();
  }

  draw({ svg, width, height }) {
    const x = d3.scaleLinear().domain(this.domain).range([0, width]);
    const band = height / this.rows.length;
    svg.append("g").attr("class", "axis").attr("transform", `translate(0,${height})`)
      .call(d3.axisBottom(x).ticks(Math.max(2, width / 80)).tickFormat((v) => `×${v}`).tickSize(-height).tickPadding(6));
    svg.append("text").attr("class", "soft").attr("x", width).attr("y", height + 34).attr("text-anchor", "end").text(fit(`its ${words(this.scenario.objective)} over the joint answer's`, width));
    svg.append("line").attr("class", "zero").attr("x1", x(1)).attr("x2", x(1)).attr("y2", height);
    const row = svg.selectAll("g.row").data(this.rows).join("g").attr("class", "row").attr("transform", (_, i) => `translate(0,${i * band})`);
    this.marks = row;
    row.append("text").attr("x", 0).attr("y", 14).text((b) => fit(capital(words(b.name)), width - 64)).attr("class", "name halo");
    row.append("text").attr("x", width).attr("y", 14).attr("text-anchor", "end").style("font-weight", 600)
      .text((b) => (b.feasible ? (b.verdict === "same point" ? "same" : times(b.ratio)) : "–"))
      .style("fill", (b) => (b.verdict === "established" ? "var(--good)" : "var(--soft)"));
    const fits = row.filter((b) => b.feasible);
    fits.append("line").attr("x1", (b) => x(b.ratio_low)).attr("x2", (b) => x(b.ratio_high)).attr("y1", 25).attr("y2", 25)
      .style("stroke", (b) => (b.verdict === "established" ? "var(--good)" : "var(--soft)")).style("stroke-width", 3).style("stroke-linecap", "round");
    fits.append("circle").attr("class", "mark").attr("cx", (b) => x(b.ratio)).attr("cy", 25).attr("r", 4.5)
      .style("fill", (b) => (b.verdict === "established" ? "var(--good)" : "var(--paper)")).style("stroke", (b) => (b.verdict === "established" ? "var(--good)" : "var(--soft)")).style("stroke-width", 1.6);
    row.filter((b) => !b.feasible).append("text").attr("class", "soft halo").attr("y", 29).text((b) => fit(b.why_not || "nothing fits", width));
    fits.style("cursor", "pointer").on("click", (...args) => this.choose(args.find((a) => a && a.name)));
    hover(row, (b) => [capital(words(b.name)), b.feasible ? `${times(b.ratio)}, band ${times(b.ratio_low)} to ${times(b.ratio_high)}` : b.why_not, b.verdict, b.fixed_first && `fixed first: ${b.fixed_first}`]);
  }

  choose(baseline) {
    const point = this.selection.marked.find((p) => p.baseline === baseline);
    if (point) this.selection.choose(point);
  }

  highlight() {
    if (!this.marks) return;
    const shown = this.selection.point;
    this.marks.select(".name").style("font-weight", (b) => (shown && shown.baseline === b ? 700 : 400));
  }

  content() {
    const fits = this.rows.filter((b) => b.feasible && Number.isFinite(b.ratio));
    const closest = fits.reduce((a, b) => (!a || b.ratio < a.ratio ? b : a), null);
    const proven = fits.filter((b) => b.verdict === "established").length;
    const says = !closest ? "No other way of working meets the limits here."
      : `Established against ${proven} of ${fits.length}. Closest: ${words(closest.name)}, ${closest.verdict === "same point" ? "which ends at the same point" : closest.verdict === "established" ? `${percent(closest.ratio - 1)} dearer` : "a difference that is not established"}.`;
    const number = (key, name) => ({ name, key, show: (v) => (v === undefined ? "–" : times(v)), number: true });
    return { says, rows: this.rows, columns: [
      { name: "way of working", value: (b) => b, show: (b) => (b.feasible ? element("button", { type: "button", class: "quiet", onclick: () => this.choose(b) }, words(b.name)) : words(b.name)) },
      number("ratio", "ratio"), number("ratio_low", "low"), number("ratio_high", "high"), { name: "verdict", value: (b) => b.verdict || b.why_not },
      { name: "fixed first", key: "fixed_first", long: true }, { name: "loss", value: (b) => (b.point ? lossWords(fullProduct(b.point.products[0]).numbers) : "–") },
      { name: "chip", value: (b) => (b.point ? chipWords(b.point.chip) : "–") }] };
  }
}
