// Benchmarks: how the answers did against the released model, subject by subject, and what a loss in nats costs.

const DECISION_COLOURS = { pass: "var(--good)", fail: "var(--bad)", undecided: "var(--warn)" };

function targetWords(target) {
  const limit = target.floor_frac > 0 ? `at least ${percent(target.floor_frac)}` : `at most ${digits(100 * target.margin_frac)} points lost`;
  return `${target.benchmark}, ${limit} (${target.verdict})`;
}

// Returns its pictures.
function accuracySection(selection) {
  const { record } = selection;
  const { accuracy } = record;
  if (!accuracy) return [];
  const node = section("accuracy", "Accuracy", "Benchmarks, asked of the released model and of the answers, question by question. A pass is claimed only where all questions that may be asked were asked; what is undecided is no pass.");
  for (const found of accuracy.recommended) {
    const scenario = found.scenario === null ? null : record.scenarios[found.scenario];
    plain(node, scenario ? `For ${words(found.objective)} the cheapest answer that keeps every target is the one at a loss of at most ${digits(scenario.kl_cap_nats)} nats.`
      : `For ${words(found.objective)} no answer keeps every target: ${found.why_not}.`);
  }
  const pictures = [];
  accuracy.targets.forEach((target, index) => {
    if (target.why_not) {
      plain(node, `${targetWords(target)} could not be run: ${target.why_not}`);
      return;
    }
    const answers = accuracy.answers.flatMap((answer) => answer.targets.filter((t) => t.target === index).map((t) => ({ ...t, answer })));
    pictures.push(new VerdictPicture(node, target, index, answers));
    const pair = element("div", { class: "pair" });
    node.append(pair);
    if (answers.some((a) => a.tasks.length > 1)) pictures.push(new SubjectPicture(pair, target, index, answers));
    if (target.map) pictures.push(new MapPicture(pair, target, index));
    for (const found of accuracy.recommended) {
      const explained = (found.explained || []).find((e) => e.target === index);
      if (explained && explained.flips.length) flipTable(node, target, explained);
    }
  });
  return pictures;
}

// One row an answer: the difference with its interval, against the margin.
class VerdictPicture {
  constructor(parent, target, index, answers) {
    Object.assign(this, { target, answers });
    this.figure = new Figure(parent, { title: `${target.benchmark}: answers against the released model`, id: `accuracy-${index}-figure`, tiers: ["measured"] });
    this.plot = new Plot(this.figure.body, { height: 84 + 46 * Math.max(1, answers.length), margin: { top: 26, left: 12, bottom: 40 }, label: `Differences of ${count(answers.length, "answer")} from the released model`, draw: (area) => this.draw(area) });
    this.figure.body.append(legend([["pass", "var(--good)", "round"], ["undecided", "var(--warn)", "round"], ["fail", "var(--bad)", "round"], ["bar: 95 % interval of the difference, questions taken as independent", "var(--soft)", "dashed"]]));
    this.refresh();
  }

  limit() {
    return this.target.floor_frac > 0 ? this.target.floor_frac - this.target.baseline.score_frac : -this.target.margin_frac;
  }

  name(row) { return `${words(row.answer.objective)}, loss ≤ ${digits(row.answer.kl_cap_nats)}`; }

  difference(row) { return row.candidate.score_frac - (row.counts.both_right + row.counts.lost) / row.candidate.num_questions; }

  refresh() {
    this.plot.refresh();
    const base = this.target.baseline;
    this.figure.set({
      says: `The released model is right on ${percent(base.score_frac, 3)} of ${digits(base.num_questions, 5)} questions (standard error ${percent(base.stderr_frac)}). ${this.answers.map((row) => `${capital(this.name(row))}: ${row.decision}, ${row.counts.lost} lost and ${row.counts.gained} gained${row.stopped_early ? ", stopped early" : ""}${row.decision === "undecided" && row.verdict.questions_to_decide ? `; about ${digits(row.verdict.questions_to_decide, 5)} questions would decide it` : ""}.`).join(" ")}`,
      rows: this.answers,
      columns: [{ name: "answer", value: (r) => this.name(r) }, { name: "verdict", key: "decision" }, { name: "KL, third text", value: (r) => r.certified_kl_nats, show: (v) => digits(v), number: true },
        { name: "questions", key: "num_asked", number: true }, { name: "score", value: (r) => r.candidate.score_frac, show: (v) => percent(v, 3), number: true },
        { name: "difference, points", value: (r) => 100 * this.difference(r), show: (v) => digits(v), number: true },
        { name: "95 %", value: (r) => `${digits(100 * r.difference.lower_frac)} to ${digits(100 * r.difference.upper_frac)}` },
        { name: "95 %, subjects as clusters", value: (r) => (r.difference_clustered_by_task ? `${digits(100 * r.difference_clustered_by_task.lower_frac)} to ${digits(100 * r.difference_clustered_by_task.upper_frac)}` : "–") },
        { name: "lost / gained", value: (r) => `${r.counts.lost} / ${r.counts.gained}` }, { name: "McNemar p", value: (r) => r.mcnemar_p_exact, show: (v) => digits(v, 2), number: true },
        { name: "would decide", value: (r) => (r.verdict.questions_to_decide ? `${digits(r.verdict.questions_to_decide, 5)} questions` : "–") },
        { name: "chance to pass, fail at these rates", value: (r) => (r.power || []).map((p) => `${p.num_questions}: ${digits(p.pass_frac, 2)}, ${digits(p.fail_frac, 2)}`).join("; ") || "–", long: true }],
    });
  }

  draw({ svg, width, height }) {
    const limit = this.limit();
    const ends = this.answers.flatMap((r) => [r.difference.lower_frac, r.difference.upper_frac]);
    const x = d3.scaleLinear().domain(domainOf([0, limit, ...ends])).range([0, width]);
    const bottom = svg.append("g").attr("class", "axis").attr("transform", `translate(0,${height})`);
    bottom.call(d3.axisBottom(x).ticks(Math.max(2, width / 90)).tickFormat((v) => digits(100 * v)).tickSize(-height).tickPadding(8));
    svg.append("text").attr("class", "soft").attr("x", width).attr("y", height + 36).attr("text-anchor", "end").text("difference from the released model, points");
    svg.append("line").attr("class", "zero").attr("x1", x(0)).attr("x2", x(0)).attr("y2", height);
    svg.append("line").attr("class", "dash").attr("x1", x(limit)).attr("x2", x(limit)).attr("y1", -6).attr("y2", height).style("stroke", "var(--bad)");
    svg.append("text").attr("x", x(limit)).attr("y", -10).attr("text-anchor", x(limit) > width / 2 ? "end" : "start").text(`limit ${digits(100 * limit)}`);
    const row = svg.selectAll("g.row").data(this.answers).join("g").attr("transform", (_, i) => `translate(0,${i * 46 + 14})`);
    row.append("text").attr("y", 4).style("paint-order", "stroke").style("stroke", "var(--paper)").style("stroke-width", 5).text((r) => fit(`${this.name(r)}: ${r.decision}`, width));
    row.append("line").attr("x1", (r) => x(r.difference.lower_frac)).attr("x2", (r) => x(r.difference.upper_frac)).attr("y1", 20).attr("y2", 20).style("stroke", (r) => DECISION_COLOURS[r.decision]).style("stroke-width", 2);
    row.append("circle").attr("class", "mark").attr("r", 6).attr("cx", (r) => x(this.difference(r))).attr("cy", 20).style("fill", (r) => DECISION_COLOURS[r.decision]);
    hover(row, (r) => [capital(this.name(r)), `${r.decision}: ${digits(100 * this.difference(r))} points on ${digits(r.num_asked, 5)} questions`, `${r.counts.lost} lost, ${r.counts.gained} gained`, r.verdict.method && `by ${r.verdict.method}`]);
  }
}

// Lost and gained questions of each subject, for one answer at a time.
class SubjectPicture {
  constructor(parent, target, index, answers) {
    Object.assign(this, { answers: answers.filter((a) => a.tasks.length > 1), shown: 0 });
    this.figure = new Figure(parent, { title: `${target.benchmark}: flips by subject`, id: `accuracy-${index}-subjects-figure`, tiers: ["measured"] });
    this.controls = element("div");
    this.figure.body.append(this.controls);
    this.plot = new Plot(this.figure.body, { height: () => 40 + 18 * this.rows().length, margin: { top: 6, left: 190, bottom: 34 }, label: "Lost and gained questions by subject", draw: (area) => this.draw(area) });
    this.figure.body.append(legend([["lost", "var(--bad)"], ["gained", "var(--good)"]]));
    this.refresh();
  }

  // The subjects with the most flips.
  rows() {
    return [...this.answers[this.shown].tasks].filter((t) => t.lost + t.gained > 0).sort((a, b) => b.lost + b.gained - a.lost - a.gained || b.lost - a.lost).slice(0, 20);
  }

  refresh() {
    this.controls.replaceChildren(picker("Answer ", this.answers.map((a, i) => [String(i), `${words(a.answer.objective)}, loss ≤ ${digits(a.answer.kl_cap_nats)}`]), String(this.shown), (value) => { this.shown = Number(value); this.refresh(); }));
    this.plot.refresh();
    const { tasks } = this.answers[this.shown];
    this.figure.set({
      says: `${count(tasks.filter((t) => t.lost + t.gained > 0).length, "subject")} of ${tasks.length} with a flip; up to 20 are drawn.`, rows: tasks,
      columns: [{ name: "subject", key: "task" }, { name: "lost", key: "lost", number: true }, { name: "gained", key: "gained", number: true }, { name: "both right", key: "both_right", number: true }, { name: "both wrong", key: "both_wrong", number: true }],
    });
  }

  draw({ svg, width, height }) {
    const rows = this.rows();
    const most = d3.max(rows, (r) => Math.max(r.lost, r.gained)) || 1;
    const x = d3.scaleLinear().domain([-most, most]).range([0, width]);
    const y = d3.scaleBand().domain(rows.map((r) => r.task)).range([0, height]).padding(0.25);
    svg.append("g").attr("class", "axis").attr("transform", `translate(0,${height})`).call(d3.axisBottom(x).ticks(Math.min(2 * most, 8)).tickFormat((v) => digits(Math.abs(v))).tickSize(-height).tickPadding(6));
    const row = svg.selectAll("g.row").data(rows).join("g").attr("transform", (r) => `translate(0,${y(r.task)})`);
    row.append("text").attr("x", -8).attr("y", y.bandwidth() / 2 + 4).attr("text-anchor", "end").text((r) => fit(r.task.replace(/^mmlu_/, "").replaceAll("_", " "), 180));
    row.append("rect").attr("class", "mark").attr("x", (r) => x(-r.lost)).attr("width", (r) => x(0) - x(-r.lost)).attr("height", y.bandwidth()).style("fill", "var(--bad)");
    row.append("rect").attr("class", "mark").attr("x", x(0)).attr("width", (r) => x(r.gained) - x(0)).attr("height", y.bandwidth()).style("fill", "var(--good)");
    svg.append("line").attr("class", "zero").attr("x1", x(0)).attr("x2", x(0)).attr("y2", height);
    hover(row, (r) => [r.task.replaceAll("_", " "), `${r.lost} lost, ${r.gained} gained`, `${r.both_right} right and ${r.both_wrong} wrong in both`]);
  }
}

// The line from KL to accuracy with its band, and the answers that it was fitted to.
class MapPicture {
  constructor(parent, target, index) {
    this.target = target;
    this.figure = new Figure(parent, { title: `${target.benchmark}: what a loss costs`, id: `accuracy-${index}-map-figure`, tiers: ["measured", "predicted"] });
    this.plot = new Plot(this.figure.body, { height: (w) => Math.max(240, Math.min(340, w * 0.6)), margin: { top: 26, left: 58 }, label: "Difference in accuracy against KL", draw: (area) => this.draw(area) });
    this.figure.body.append(legend([["answers that were asked, with two standard errors", "var(--accent)", "round"], ["band: two standard errors of the slope", "var(--accent-soft)"]]));
    this.refresh();
  }

  refresh() {
    this.plot.refresh();
    const { map, points } = this.target;
    this.figure.set({
      says: `A nat of loss costs ${digits(-100 * map.slope_frac_per_nat)} ± ${digits(100 * map.stderr_frac_per_nat, 2)} points, from ${count(map.num_points, "recipe")}, if the difference is proportional to the loss.`,
      rows: points, columns: [{ name: "KL, third text", key: "kl_nats", show: (v) => digits(v), number: true }, { name: "difference, points", value: (p) => 100 * p.difference_frac, show: (v) => digits(v), number: true }, { name: "standard error", value: (p) => 100 * p.stderr_frac, show: (v) => digits(v, 2), number: true }],
    });
  }

  draw(area) {
    const { svg, width, height } = area;
    const { map, points } = this.target;
    const far = 1.15 * map.largest_kl_nats;
    const at = (kl, errors) => 100 * kl * (map.slope_frac_per_nat + errors * map.stderr_frac_per_nat);
    const values = points.flatMap((p) => [100 * (p.difference_frac - 2 * p.stderr_frac), 100 * (p.difference_frac + 2 * p.stderr_frac)]);
    const x = d3.scaleLinear().domain([0, far]).range([0, width]);
    const y = d3.scaleLinear().domain(domainOf([0, ...values, at(far, 2), at(far, -2)])).range([height, 0]);
    drawAxes(area, x, y, { label: "KL on the third text, nats/token" }, { label: "difference, points" });
    svg.append("path").attr("d", `M${x(0)},${y(0)}L${x(far)},${y(at(far, 2))}L${x(far)},${y(at(far, -2))}Z`).style("fill", "var(--accent-soft)").style("opacity", 0.6);
    svg.append("line").attr("x1", x(0)).attr("y1", y(0)).attr("x2", x(far)).attr("y2", y(at(far, 0))).style("stroke", "var(--accent)");
    svg.append("line").attr("class", "zero").attr("x1", 0).attr("x2", width).attr("y1", y(0)).attr("y2", y(0));
    svg.selectAll("line.error").data(points).join("line").attr("class", "error").attr("x1", (p) => x(p.kl_nats)).attr("x2", (p) => x(p.kl_nats)).attr("y1", (p) => y(100 * (p.difference_frac - 2 * p.stderr_frac))).attr("y2", (p) => y(100 * (p.difference_frac + 2 * p.stderr_frac))).style("stroke", "var(--accent)");
    hover(svg.selectAll("circle").data(points).join("circle").attr("class", "mark").attr("r", 5).attr("cx", (p) => x(p.kl_nats)).attr("cy", (p) => y(100 * p.difference_frac)).style("fill", "var(--accent)"), (p) => [`KL ${digits(p.kl_nats)} nats/token`, `${digits(100 * p.difference_frac)} ± ${digits(200 * p.stderr_frac, 2)} points`]);
  }
}

function flipTable(parent, target, explained) {
  const { groups, flips } = explained;
  parent.append(element("figure", {}, element("h3", {}, `${target.benchmark}: lost questions, and what rights them`),
    element("p", { class: "note" }, "Each lost question was asked again with one group of layers as released and the rest of the recipe as it is. A question that no single group rights is lost by several together."),
    table([{ name: "question", value: (f) => `${f.task}/${f.doc_id}` },
      { name: "margin, nats", value: (f) => (f.baseline_margin_nats === undefined ? "–" : `${digits(f.baseline_margin_nats)} to ${digits(f.candidate_margin_nats)}`) },
      ...groups.map((group) => ({ name: group, value: (f) => (f.righted_by.includes(group) ? "rights it" : "–") }))], flips, "Lost questions")));
}
