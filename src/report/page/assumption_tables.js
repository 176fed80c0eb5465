// What the answer rests on: tiers, search, texts, products, budget, constants with their sources.

function flatRows(value, path = "") {
  if (value === null || value === undefined) return [];
  if (typeof value !== "object") return [{ key: path, value }];
  if (Array.isArray(value) && value.every((v) => typeof v !== "object")) return [{ key: path, value: value.join(", ") }];
  return Object.entries(value).flatMap(([k, v]) => flatRows(v, path ? `${path}.${k}` : k));
}

function keyTable(parent, title, value, says) {
  const rows = flatRows(value);
  if (!rows.length) return;
  parent.append(element("details", { class: "rows" }, element("summary", {}, `${title} (${count(rows.length, "row")})`),
    says ? element("p", { class: "note" }, says) : null,
    table([{ name: "key", key: "key" }, { name: "value", value: (r) => r.value, show: (v, r) => (r.key.includes("max_price") && v >= 1e8 ? "no limit" : show(r.key.split(".").pop(), v)) }], rows, title)));
}

function assumptionSection(record) {
  const node = section("assumptions", "Assumptions and provenance", "What every number above rests on. Where a claim has no measurement behind it, this says so.");
  const borrowed = record.products.filter((p) => String(p.loss_profile).startsWith("borrowed"));
  const says = [
    "Latency, energy, area, power and price come from the analytical cost model; no simulation, synthesis or silicon has confirmed them.",
    record.texts && record.texts.select ? `Losses are KL divergences from the released weights on "${record.texts.select.description}"; on other text they differ.` : "",
    borrowed.length ? `The losses of ${borrowed.map((p) => p.name).join(", ")} are borrowed from another model and were not measured.` : "",
    (record.search || {}).exact === false ? "The space was too large to enumerate; the answer is the best found, not a proven optimum." : "",
  ].filter(Boolean);
  node.append(element("ul", {}, says.map((text) => element("li", {}, text))));
  node.append(element("h3", {}, "Tiers"), table([{ name: "tier", value: (t) => t, show: (t) => tier(t) }, { name: "what it means", value: (t) => TIERS[t][1] }],
    ["bound", "analytical", "predicted", "measured", "certified", "target"], "Tiers of the numbers"));
  for (const product of record.products) keyTable(node, `Product ${product.name}`, product);
  keyTable(node, "Texts", record.texts);
  keyTable(node, "Budget", record.budget);
  keyTable(node, "Search", { num_chips: record.num_chips, optimality_gap_frac: record.optimality_gap_frac, ...record.search });
  keyTable(node, "Space", record.space);
  keyTable(node, "Menu of treatments", record.menu);
  settleTable(node, record);
  constantTable(node, record);
  keyTable(node, "Run", record.run, "Time and host; nothing above depends on it.");
}

function settleTable(node, record) {
  const rows = record.scenarios.flatMap((s) => Object.entries(s.settle_steps || {}).flatMap(([side, steps]) => steps.map((step, i) => ({ scenario: scenarioWords(s), side, step: i + 1, ...step }))));
  if (!rows.length) return;
  node.append(element("details", { class: "rows" }, element("summary", {}, `How each side settled at measured loss (${count(rows.length, "row")})`),
    table([{ name: "scenario", key: "scenario" }, { name: "side", value: (r) => words(r.side) }, { name: "step", key: "step", number: true, show: String }, { name: "predicted cap", key: "predicted_cap_nats", show: (v) => digits(v, 4), number: true }, { name: "measured over cap", key: "worst_ratio", show: (v) => digits(v, 4), number: true }], rows.slice(0, MAX_ROWS), "Settling")));
}

function constantTable(node, record) {
  const rows = record.constants || [];
  if (!rows.length) return;
  node.append(element("details", { class: "rows" }, element("summary", {}, `Technology constants with their sources (${count(rows.length, "row")})`),
    table([{ name: "constant", key: "key" }, { name: "value", key: "value", show: (v) => digits(v, 4), number: true }, { name: "low", key: "low", show: (v) => digits(v, 4), number: true }, { name: "high", key: "high", show: (v) => digits(v, 4), number: true }, { name: "unit", key: "unit" }, { name: "date", key: "date" }, { name: "source", key: "source" }], rows, "Technology constants")));
}
