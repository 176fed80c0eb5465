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
    table([{ name: "key", key: "key" }, { name: "value", long: true, value: (r) => r.value, show: (v, r) => (r.key.includes("max_price") && v >= 1e8 ? "no limit" : show(r.key.split(".").pop(), v)) }], rows, title)));
}

function assumptionSection(record) {
  const node = section("assumptions", "Assumptions and provenance", "What every number above rests on. Where a claim has no measurement behind it, this says so.");
  const borrowed = record.products.filter((p) => String(p.loss_profile).startsWith("borrowed"));
  const says = [
    "Latency, energy, area, power and price come from the analytical cost model; no simulation, synthesis or silicon has confirmed them.",
    record.texts && record.texts.select ? `Losses are KL divergences from the released weights on "${record.texts.select.description}"; on other text they differ.` : "",
    borrowed.length ? `The losses of ${borrowed.map((p) => p.name).join(", ")} are borrowed from another model and were not measured.` : "",
    `The search was ${searchWords(record)}.`,
  ].filter(Boolean);
  node.append(element("ul", {}, says.map((text) => element("li", {}, text))));
  node.append(element("h3", {}, "Tiers"), table([{ name: "tier", value: (t) => t, show: (t) => tier(t) }, { name: "what it means", value: (t) => TIERS[t][1] }],
    ["bound", "analytical", "predicted", "measured", "certified", "target"], "Tiers of the numbers"));
  quantityTable(node);
  rowTable(node, record);
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

// How each kind of number on this page was obtained.
function quantityTable(node) {
  const rows = [
    ["time, energy, power, area, price; also what follows from them: ratios, shadow prices, the tornado", ["analytical"]],
    ["lower bound of the latency", ["bound"]], ["loss of a point of the front; losses of single sites", ["predicted"]],
    ["loss of a recommendation or a baseline, of the recipes of the test of additivity", ["measured"]],
    ["loss of the same on the third text", ["certified"]],
    ["loss of a product whose weights are not here", ["predicted"]], ["limits of the budget, loss caps", ["target"]],
  ];
  node.append(element("h3", {}, "Which number has which tier"), table([{ name: "number", value: (r) => r[0] }, { name: "tier", value: (r) => r, show: (r) => element("span", {}, r[1].map(tier)) }], rows, "Which number has which tier"));
}

// The rows of the study's database that hold the numbers.
function databaseRows(record) {
  const rows = Object.entries(record.rows || {}).map(([key, row]) => [key === "sweep" ? "search and front" : key === "study" ? "this record" : key, row]);
  for (const product of record.products) rows.push([`losses of single sites, ${product.name}`, product.profile_row]);
  for (const scenario of record.scenarios) {
    rows.push([`${scenarioWords(scenario)}: answer, baselines, shadow prices, tornado`, scenario.row]);
    const points = scenario.feasible ? [["recommended", scenario.recommendation], ...(scenario.baselines || []).filter((b) => b.point).map((b) => [words(b.name), b.point])] : [];
    for (const [name, point] of points) {
      for (const product of point.products) {
        rows.push([`${scenarioWords(scenario)}, ${name}, ${product.name}: measured loss`, product.measured_row],
          [`${scenarioWords(scenario)}, ${name}, ${product.name}: certified loss`, product.certified_row]);
      }
    }
  }
  for (const recipe of (record.additivity || {}).recipes || []) rows.push([`test of additivity, ${recipe.name}: measured loss`, recipe.row]);
  return rows.filter(([, row]) => row).map(([what, row]) => ({ what, row }));
}

function rowTable(node, record) {
  const rows = databaseRows(record);
  if (!rows.length) return;
  node.append(element("details", { class: "rows", id: "database-rows" }, element("summary", {}, `Rows of the study's database behind the numbers (${count(rows.length, "row")})`),
    element("p", { class: "note" }, "Kind and key of each row of study.db, as: SELECT value FROM results WHERE kind = '…' AND key = '…'."),
    table([{ name: "what", key: "what" }, { name: "kind/key", key: "row", long: true }], rows, "Rows of the database")));
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
    table([{ name: "constant", key: "key" }, { name: "value", key: "value", show: (v) => digits(v, 4), number: true }, { name: "low", key: "low", show: (v) => digits(v, 4), number: true }, { name: "high", key: "high", show: (v) => digits(v, 4), number: true }, { name: "unit", key: "unit" }, { name: "date", key: "date" }, { name: "source", key: "source", long: true }], rows, "Technology constants")));
}
