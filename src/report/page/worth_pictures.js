// What one more unit of each resource is worth, and whether the winner survives the ranges of the
// technology constants. Both follow the scenario of the shown point.

class WorthPicture {
  constructor(parent, selection) {
    this.selection = selection;
    this.node = section("worth", "What constraints and extra units are worth", "One limit of the budget, or one property of the chip, moves by a step and the question is solved again. Left of zero is cheaper.");
    this.absent = plain(this.node, "");
    this.figure = new Figure(this.node, { title: "Shadow prices", id: "worth-figure", tiers: ["analytical"] });
    this.plot = new Plot(this.figure.body, { height: () => 40 + 30 * Math.max(1, this.rows.length), margin: { top: 6, right: 24, bottom: 36, left: 8 }, label: "Shadow prices", draw: (area) => this.draw(area) });
    this.figure.body.append(legend([["moves a limit of the budget, whole space searched again", "var(--c0)"], ["changes this chip, recipe solved again", "var(--c2)"], ["bold: one step makes the answer cheaper", "var(--ink)", "line"]]));
    selection.follow((change) => { if (change.scenario) this.refresh(); });
    this.refresh();
  }

  refresh() {
    const scenario = this.selection.record.scenarios[this.selection.scenario];
    this.scenario = scenario;
    this.rows = ((scenario && scenario.shadow_prices) || []).slice().sort((a, b) => Math.abs(b.objective_change_frac || 0) - Math.abs(a.objective_change_frac || 0));
    this.all = this.rows;
    this.rows = this.all.filter((r) => Number.isFinite(r.objective_change_frac));
    this.failed = this.all.filter((r) => !this.rows.includes(r));
    this.figure.node.hidden = !this.all.length;
    this.absent.hidden = this.all.length > 0;
    this.absent.textContent = scenario ? `For ${scenarioWords(scenario)} this was not computed${scenario.feasible ? "" : ": no point fits"}.` : "No scenario has an answer.";
    if (!this.all.length) return;
    this.plot.node.hidden = !this.rows.length;
    this.plot.refresh({ label: `Change of ${words(scenario.objective)} for one step of ${count(this.rows.length, "resource")}` });
    this.figure.set(this.content());
  }

  name(row) {
    const resource = row.resource.replace(/ x /g, " × ");
    if (row.unit === "pair") return `one more native format: ${resource.replace(/^native /, "")}`;
    const what = row.kind === "budget" && !/limit|headroom/.test(resource) ? `${resource} allowed` : resource;
    return `${row.step > 0 ? "+" : "−"}${digits(Math.abs(row.step))} ${unitText(row.unit)} ${what}`;
  }

  // The step's catch, if it has one.
  caveat(row) {
    if (row.broken_limit) return `would break the ${words(row.broken_limit.replace("max_", "maximum "))} of the budget`;
    return Number.isFinite(row.objective_change_frac) ? "" : "no recipe fits";
  }

  draw(area) {
    const { svg, width, height } = area;
    const most = Math.max(0.002, d3.max(this.rows, (r) => Math.abs(r.objective_change_frac)) || 0);
    const left = Math.min(300, width * 0.46);
    const x = d3.scaleLinear().domain([Math.min(0, d3.min(this.rows, (r) => r.objective_change_frac)) - most * (width < 420 ? 0.5 : 0.2), Math.max(0, d3.max(this.rows, (r) => r.objective_change_frac)) + most * (width < 420 ? 0.5 : 0.2)]).range([left, width]).nice(4);
    const band = height / this.rows.length;
    svg.append("g").attr("class", "axis").attr("transform", `translate(0,${height})`).call(d3.axisBottom(x).ticks(Math.max(2, width / 150)).tickFormat((v) => signedPercent(v)).tickSize(-height).tickPadding(6));
    svg.append("text").attr("class", "soft").attr("x", width).attr("y", height + 34).attr("text-anchor", "end").text(fit(`change of ${words(this.scenario.objective)}`, width));
    svg.append("line").attr("class", "zero").attr("x1", x(0)).attr("x2", x(0)).attr("y2", height);
    const row = svg.selectAll("g.row").data(this.rows).join("g").attr("class", "row").attr("transform", (_, i) => `translate(0,${i * band})`);
    row.append("text").attr("y", band / 2 + 4).text((r) => fit(this.name(r), left - 16)).style("font-weight", (r) => (r.binding ? 600 : 400));
    row.append("rect").attr("class", "mark").attr("x", (r) => Math.min(x(0), x(r.objective_change_frac))).attr("y", band / 2 - 7).attr("height", 14).attr("width", (r) => Math.max(1, Math.abs(x(r.objective_change_frac) - x(0)))).style("fill", (r) => (r.kind === "chip" ? "var(--c2)" : "var(--c0)"));
    row.append("text").attr("class", "soft halo").attr("y", band / 2 + 4).attr("x", (r) => (r.objective_change_frac < 0 ? x(r.objective_change_frac) - 5 : x(r.objective_change_frac) + 5)).attr("text-anchor", (r) => (r.objective_change_frac < 0 ? "end" : "start")).text((r) => signedPercent(r.objective_change_frac) + (r.broken_limit ? " *" : ""));
    hover(row, (r) => [capital(this.name(r)), `from ${digits(r.base)} ${unitText(r.unit)}: ${signedPercent(r.objective_change_frac)}`, r.binding && "this limit binds", r.recipe_changes && "the recipe changes", r.chip && `chip ${typeof r.chip === "string" ? r.chip : chipWords(r.chip)}`, this.caveat(r)]);
  }

  content() {
    const best = this.rows.filter((r) => r.objective_change_frac < 0).reduce((a, b) => (!a || b.objective_change_frac < a.objective_change_frac ? b : a), null);
    const binding = this.all.filter((r) => r.binding && r.kind === "budget").map((r) => r.resource);
    const broken = this.rows.filter((r) => r.broken_limit);
    const failed = this.failed.map((r) => this.name(r));
    const says = [best ? `The step worth most is ${this.name(best)}: ${signedPercent(best.objective_change_frac)}.` : "No step makes the answer cheaper.",
      binding.length ? `Limits of the budget that bind: ${[...new Set(binding)].join(", ")}.` : this.all.some((r) => r.kind === "budget") ? "No limit of the budget binds." : "",
      broken.length ? `A star: the changed chip ${this.caveat(broken[0])}${broken.some((r) => r.broken_limit !== broken[0].broken_limit) ? " or another limit" : ""}.` : "", failed.length ? `No recipe fits with ${failed.join("; ")}.` : ""].filter(Boolean).join(" ");
    return { says, rows: this.all, columns: [{ name: "step", value: (r) => this.name(r) }, { name: "what moves", value: (r) => (r.kind === "chip" ? "this chip" : "budget") }, { name: "from", value: (r) => r.base, show: (v, r) => `${digits(v, 4)} ${unitText(r.unit)}`, number: true },
      { name: "change", value: (r) => (r.feasible === false ? undefined : r.objective_change_frac), show: (v) => signedPercent(v), number: true },
      { name: "binds", value: (r) => (r.binding ? "yes" : "no") }, { name: "recipe changes", value: (r) => (r.recipe_changes ? "yes" : "no") }, { name: "chip", value: (r) => (typeof r.chip === "object" && r.chip ? chipWords(r.chip) : r.chip || "–") }, { name: "note", value: (r) => this.caveat(r) || "–" }] };
  }
}

class TornadoPicture {
  constructor(parent, selection) {
    this.selection = selection;
    this.node = section("robustness", "Does the winner survive?", "Each technology constant goes to both ends of its stated range. The bars show how the best answer moves; what matters for the decision is whether another chip would then win.");
    this.absent = plain(this.node, "");
    this.figure = new Figure(this.node, { title: "Tornado: the technology constants at the ends of their ranges", id: "tornado-figure", tiers: ["analytical"] });
    this.plot = new Plot(this.figure.body, { height: () => 42 + 30 * Math.max(1, this.rows.length), margin: { top: 6, right: 24, bottom: 36, left: 8 }, label: "Tornado", draw: (area) => this.draw(area) });
    this.figure.body.append(legend([["constant at the low end", "var(--c4)"], ["constant at the high end", "var(--c0)"], ["bold, ring: this chip is beaten or breaks a limit", "var(--c5)", "hollow"]]));
    selection.follow((change) => { if (change.scenario) this.refresh(); });
    this.refresh();
  }

  refresh() {
    const scenario = this.selection.record.scenarios[this.selection.scenario];
    this.scenario = scenario;
    // Before schema 2 the two constants of shared multipliers stood under "sensitivity".
    this.all = (scenario && (scenario.tornado || scenario.sensitivity)) || [];
    this.rows = this.all.slice(0, 20);
    this.figure.node.hidden = !this.all.length;
    this.absent.hidden = this.all.length > 0;
    this.absent.textContent = scenario && scenario.feasible ? `For ${scenarioWords(scenario)} this was not computed.` : "No point fits here, so there is no winner to test.";
    if (!this.all.length) return;
    this.plot.refresh({ label: `Change of ${words(scenario.objective)} over the ranges of ${count(this.rows.length, "constant")}` });
    this.figure.set(this.content());
  }

  draw(area) {
    const { svg, width, height } = area;
    const ends = this.rows.flatMap((r) => [r.objective_change_low_frac || 0, r.objective_change_high_frac || 0]);
    const most = Math.max(0.001, d3.max(ends.map(Math.abs)));
    const left = Math.min(330, width * 0.5);
    const x = d3.scaleLinear().domain([Math.min(0, d3.min(ends)) - most * 0.12, Math.max(0, d3.max(ends)) + most * 0.12]).range([left, width]).nice(4);
    const band = height / this.rows.length;
    svg.append("g").attr("class", "axis").attr("transform", `translate(0,${height})`).call(d3.axisBottom(x).ticks(Math.max(2, width / 150)).tickFormat((v) => signedPercent(v)).tickSize(-height).tickPadding(6));
    svg.append("text").attr("class", "soft").attr("x", width).attr("y", height + 34).attr("text-anchor", "end").text(fit(`change of the best ${words(this.scenario.objective)}`, width));
    const row = svg.selectAll("g.row").data(this.rows).join("g").attr("class", "row").attr("transform", (_, i) => `translate(0,${i * band})`);
    row.append("text").attr("x", 14).attr("y", band / 2 + 4).text((r) => fit(r.constant, left - 32)).style("font-weight", (r) => (r.winner_changes ? 600 : 400));
    for (const [key, tone] of [["objective_change_low_frac", "c4"], ["objective_change_high_frac", "c0"]]) {
      row.filter((r) => Number.isFinite(r[key])).append("rect").attr("class", "mark").attr("x", (r) => Math.min(x(0), x(r[key] || 0))).attr("y", band / 2 - 7).attr("height", 14).attr("width", (r) => Math.max(1, Math.abs(x(r[key] || 0) - x(0)))).style("fill", `var(--${tone})`).style("fill-opacity", 0.9);
    }
    svg.append("line").attr("class", "zero").attr("x1", x(0)).attr("x2", x(0)).attr("y2", height);
    row.append("text").attr("class", "soft halo").attr("x", width).attr("y", band / 2 + 4).attr("text-anchor", "end").style("font-size", "11px")
      .text((r) => fit(this.unfit(r), (width - left) * 0.48, 11));
    row.filter((r) => r.winner_changes).append("circle").attr("cx", 4).attr("cy", band / 2).attr("r", 4.5).style("fill", "none").style("stroke", "var(--c5)").style("stroke-width", 2);
    hover(row, (r) => [r.constant, `${digits(r.low)} to ${digits(r.high)} ${unitText(r.unit)}${r.value !== undefined ? `, used ${digits(r.value)}` : ""}`, `best answer ${signedPercent(r.objective_change_low_frac)} at low, ${signedPercent(r.objective_change_high_frac)} at high`,
      r.winner_changes ? this.unfit(r) ? `this chip ${this.unfit(r)}` : `another chip wins; keeping this one costs up to ${percent(Math.max(r.regret_low_frac || 0, r.regret_high_frac || 0))} more` : "the winner stays", r.searched === "contenders" && `tested on the ${r.num_contenders || ""} best chips of the space`]);
  }

  // Where today's chip would break a limit.
  unfit(row) {
    const ends = ["low", "high"].filter((end) => row[`winner_fits_${end}`] === false);
    return ends.length ? `breaks a limit at the ${ends.join(" and the ")} end` : "";
  }

  content() {
    const changed = this.all.filter((r) => r.winner_changes);
    const regret = d3.max(changed, (r) => Math.max(r.regret_low_frac || 0, r.regret_high_frac || 0)) || 0;
    const lost = changed.filter((r) => this.unfit(r)).length;
    const dearer = changed.filter((r) => Math.max(r.regret_low_frac || 0, r.regret_high_frac || 0) > 0).length;
    const says = changed.length
      ? [`Under ${changed.length} of ${count(this.all.length, "constant")} (bold, ring) this chip would not be the answer any more:`,
        [dearer && `under ${dearer} another one is better, by at most ${percent(regret)}`, lost && `under ${lost} this one breaks a limit of the budget at an end of the range`].filter(Boolean).join("; ") || "another one is as good"].join(" ") + "."
      : `The winner stays under all ${count(this.all.length, "constant")} shown, one at a time.`;
    const chip = (value) => (typeof value === "object" && value ? chipWords(value) : value ?? "–");
    return { says, rows: this.all, note: this.all.length > this.rows.length ? `The picture shows the ${this.rows.length} largest swings.` : "", columns: [{ name: "constant", key: "constant" }, { name: "range", value: (r) => `${digits(r.low, 4)} to ${digits(r.high, 4)}${r.value === undefined ? "" : `, used ${digits(r.value, 4)}`} ${unitText(r.unit)}` },
      { name: "best at low, high", value: (r) => `${signedPercent(r.objective_change_low_frac)}, ${signedPercent(r.objective_change_high_frac)}` },
      { name: "regret at low, high", value: (r) => `${percent(r.regret_low_frac)}, ${percent(r.regret_high_frac)}` },
      { name: "this chip", value: (r) => this.unfit(r) || (r.winner_changes ? "is beaten" : "stays the best") }, { name: "tried", value: (r) => (r.searched === "contenders" ? `${r.num_contenders ?? "the"} best chips` : "all chips") }, { name: "best chip at low, high", value: (r) => `${chip(r.chip_low)}, ${chip(r.chip_high)}` }] };
  }
}
