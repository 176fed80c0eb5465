// What each team has to reach, and how much room is left before a limit is met.

class TargetPicture {
  constructor(parent, selection) {
    this.selection = selection;
    this.node = section("targets", "Targets by team", "What the recommendation promises, team by team. Slack is how far a number may move the wrong way before it meets the limit named beside it, all else equal.");
    this.absent = plain(this.node, "");
    this.figure = new Figure(this.node, { title: "Room to the limits", id: "target-figure", tiers: ["measured", "analytical"] });
    this.plot = new Plot(this.figure.body, { height: () => 36 + 42 * Math.max(1, this.limited.length), margin: { top: 4, right: 16, bottom: 30, left: 8 }, label: "Targets", draw: (area) => this.draw(area) });
    this.tables = element("div");
    this.node.append(this.tables);
    selection.follow((change) => { if (change.point || change.scenario) this.refresh(); });
    this.refresh();
  }

  // Of a front point or a baseline the same rows with its own values.
  rowsFor(point) {
    const rows = this.selection.record.targets.filter((row) => row.scenario_index === this.selection.scenario);
    if (!point || point.kind === "recommended") return rows;
    return rows.map((row) => {
      const product = point.products.find((p) => p.name === row.product);
      const numbers = product ? product.numbers : {};
      const value = row.quantity === "kl_nats_per_token" ? numbers.measured_kl_nats ?? numbers.expected_kl_nats ?? numbers.predicted_kl_nats
        : row.quantity === "kl_cap_nats_per_token" ? row.value
        : row.product ? numbers[row.quantity] : point.limits[row.quantity] ?? (point.chip || {})[row.quantity];
      if (value === undefined) return null;
      const measured = row.quantity === "kl_nats_per_token" && numbers.measured_kl_nats !== undefined;
      const tierName = row.quantity === "kl_nats_per_token" ? (measured ? "executed" : "predicted") : row.tier;
      const better = row.quantity === "throughput_tokens_per_s" ? -1 : 1;
      return { ...row, value, tier: tierName, band_low: undefined, band_high: undefined, slack_frac: row.limit === undefined ? undefined : (better * (row.limit - value)) / value };
    }).filter(Boolean);
  }

  refresh() {
    const point = this.selection.point;
    this.rows = this.rowsFor(point);
    this.limited = this.rows.filter((r) => r.limit !== undefined);
    this.figure.node.hidden = !this.limited.length;
    this.absent.hidden = this.rows.length > 0;
    this.absent.textContent = "No point fits in this scenario, so there is nothing to aim for yet.";
    this.plot.refresh({ label: `${count(this.limited.length, "target")} against their limits` });
    const tight = this.limited.reduce((a, b) => (!a || b.slack_frac < a.slack_frac ? b : a), null);
    const over = this.limited.filter((r) => r.slack_frac < -1e-9);
    if (tight) {
      this.figure.set({
        says: `${over.length ? `Past its limit: ${over.map((r) => this.name(r)).join(", ")}. ` : ""}Tightest: ${this.name(tight)}, ${percent(tight.slack_frac)} before ${this.limitName(tight)}.${point && point.kind !== "recommended" ? " Shown for the selected point, against the scenario's limits." : ""}`,
        rows: this.limited, columns: this.columns(),
      });
    }
    this.fillTables();
  }

  name(row) { return `${words(row.quantity)}${row.product && this.selection.record.products.length > 1 ? ` (${row.product})` : ""}`; }

  limitName(row) {
    const closest = /^closest baseline (.*)$/.exec(row.limit_from);
    return closest ? `"${words(closest[1])}" is as good` : row.limit_from === "kl_cap_nats" ? "the loss cap" : `the budget's ${words(row.limit_from.replace("max_", "maximum "))}`;
  }

  draw({ svg, width, height }) {
    const most = Math.max(1.05, Math.min(1.6, d3.max(this.limited, (r) => r.value / r.limit) || 1));
    const x = d3.scaleLinear().domain([0, most]).range([0, width]);
    const band = height / this.limited.length;
    svg.append("g").attr("class", "axis").attr("transform", `translate(0,${height})`).call(d3.axisBottom(x).ticks(Math.max(2, width / 120)).tickFormat((v) => percent(v)).tickSize(-height).tickPadding(6));
    const row = svg.selectAll("g.row").data(this.limited).join("g").attr("transform", (_, i) => `translate(0,${i * band})`);
    row.append("text").attr("y", 14).text((r) => fit(`${capital(r.team)}: ${this.name(r)} ${show(r.quantity, r.value)} of ${show(r.quantity, r.limit)}, limit: ${this.limitName(r)}`, width));
    row.append("rect").attr("x", 0).attr("y", 20).attr("width", x(1)).attr("height", 11).style("fill", "var(--hair)");
    row.append("rect").attr("class", "mark").attr("x", 0).attr("y", 20).attr("height", 11).attr("width", (r) => Math.max(1, x(Math.min(most, r.value / r.limit)))).style("fill", (r) => (r.slack_frac < -1e-9 ? "var(--bad)" : "var(--accent)"));
    svg.append("line").attr("class", "zero").attr("x1", x(1)).attr("x2", x(1)).attr("y2", height);
    hover(row, (r) => [capital(this.name(r)), `${show(r.quantity, r.value)} of ${show(r.quantity, r.limit)}`, `slack ${percent(r.slack_frac)} before ${this.limitName(r)}`]);
  }

  columns() {
    return [{ name: "quantity", value: (r) => capital(this.name(r)) }, { name: "value", value: (r) => r, show: (r) => element("span", {}, show(r.quantity, r.value), tier(r.tier)), number: true },
      { name: "band", value: (r) => (r.band_low !== undefined && r.band_low !== r.band_high ? `${show(r.quantity, r.band_low)} to ${show(r.quantity, r.band_high)}` : "–") },
      { name: "slack", value: (r) => r.slack_frac, show: (v) => (v === undefined ? "–" : percent(v)), number: true }, { name: "until", value: (r) => (r.limit === undefined ? "–" : this.limitName(r)) }, { name: "depends on", key: "depends_on" }];
  }

  fillTables() {
    const teams = [...new Set(this.rows.map((r) => r.team))];
    this.tables.replaceChildren(...teams.map((team) => element("div", { class: "team" }, element("h3", {}, `${capital(team)} team`), table(this.columns(), this.rows.filter((r) => r.team === team), `Targets of the ${team} team`))));
  }
}
