// The record inside the page, unpacked, and every design point in it as one kind of object.
//
// A point: {kind: "front" | "recommended" | "baseline", label, scenario (index, or -1), cap, metric,
//   chip, limits, area, power (absent on the front), roofs, products[]}; a product:
//   {name, sites{name: treatment}, resident{name: 0..1}, numbers{key: value}, groups[], ops[] (absent on
//   the front), energyParts}. Points of the front are made when they are asked for; their numbers stand
//   in columns (src/report/front_columns.h).

async function unpackRecord() {
  const text = atob(document.getElementById("record").textContent.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).json();
}

function unpackColumn(column, size) {
  if (column.letters !== undefined) return { length: column.length, letters: column.letters };
  if (column.numbers !== undefined) {
    const cells = column.numbers.split(",");
    const values = new Float64Array(size).fill(NaN);
    for (let i = 0; i < size; i++) if (cells[i]) values[i] = Number(cells[i]);
    return values;
  }
  return column.rows.split(",").map((cell) => (cell === "" ? undefined : column.values[Number(cell)]));
}

// Columns are unpacked when first read.
class Front {
  constructor(packed, record) {
    this.size = packed.num_points;
    this.packed = packed.columns;
    this.columns = new Map();
    this.record = record;
    this.letterIndex = new Map([...record.menu_letters].map((letter, i) => [letter, i]));
    this.points = new Map();
  }

  paths() { return Object.keys(this.packed); }

  column(path) {
    if (!this.packed[path]) return null;
    if (!this.columns.has(path)) this.columns.set(path, unpackColumn(this.packed[path], this.size));
    return this.columns.get(path);
  }

  at(path, row) {
    const column = this.column(path);
    if (!column) return undefined;
    const value = column[row];
    return typeof value === "number" && Number.isNaN(value) ? undefined : value;
  }

  // {key: value} of all columns "prefix/key".
  group(prefix, row) {
    const found = {};
    for (const path of this.paths()) {
      if (!path.startsWith(prefix + "/") || path.indexOf("/", prefix.length + 1) >= 0) continue;
      const value = this.at(path, row);
      if (value !== undefined) found[path.slice(prefix.length + 1)] = value;
    }
    return found;
  }

  sites(p, row) {
    const sites = {};
    const column = this.column(`products/${p}/treatments`);
    const names = siteNames(this.record, p);
    if (!column || !names) return sites;
    const read = column.letters !== undefined
      ? (i) => this.letterIndex.get(column.letters[row * column.length + i])
      : (i) => (column[row] || [])[i];
    names.forEach((name, i) => {
      const menu = name.endsWith(".kv") ? this.record.menu.kv : this.record.menu.linear;
      if (read(i) !== undefined) sites[name] = menu[read(i)];
    });
    return sites;
  }

  groups(p, row) {
    const prefix = `products/${p}/groups/`;
    const names = [...new Set(this.paths().filter((path) => path.startsWith(prefix))
      .map((path) => path.slice(prefix.length).split("/")[0]))];
    return names.map((name) => {
      const [phase, op] = [name.slice(0, name.indexOf(" ")), name.slice(name.indexOf(" ") + 1)];
      return { phase, op, ...this.group(prefix + name, row) };
    }).filter((group) => group.latency_ns !== undefined);
  }

  point(row) {
    if (this.points.has(row)) return this.points.get(row);
    const products = [];
    for (let p = 0; this.packed[`products/${p}/name`]; p++) {
      const numbers = this.group(`products/${p}`, row);
      products.push({ name: numbers.name, rotation: numbers.rotation, sites: this.sites(p, row),
        resident: numbers.resident_frac || {}, numbers, groups: this.groups(p, row) });
    }
    const cap = this.at("kl_cap_nats", row);
    const metric = this.at("metric", row);
    // Schema 1 kept limits and latency beside the chip's name.
    const flat = { area_mm2: this.at("area_mm2", row), peak_power_mw: this.at("peak_power_mw", row), price_usd: this.at("price_usd", row) };
    const chip = this.packed["chip"] ? this.at("chip", row) : this.group("chip", row);
    const point = {
      kind: "front", label: `front point ${row + 1}`, row, scenario: -1, cap, metric, chip,
      limits: { ...flat, ...this.group("limits", row) }, area: this.group("area_parts_mm2", row),
      roofs: this.group("roofs", row), products,
    };
    if (!products.length) products.push({ name: "", sites: {}, resident: {}, groups: [], numbers: { latency_ns: this.at("latency_ns", row), energy_pj: this.at("energy_pj", row) } });
    this.points.set(row, point);
    return point;
  }
}

// Of product p under a rotation; undefined if the record holds none.
function lossTable(record, p, rotation) {
  const name = ((record.products || [])[p] || {}).name;
  return (record.loss_table || []).find((table) => table.product === name && (table.rotation || "none") === (rotation || "none"));
}

function siteNames(record, p) {
  const name = ((record.products || [])[p] || {}).name;
  const losses = (record.loss_table || []).find((table) => table.product === name);
  return losses && losses.sites;
}

// The record's loss of one site's treatment, or undefined.
function siteLoss(record, p, rotation, site, treatment) {
  const losses = lossTable(record, p, rotation);
  if (!losses) return undefined;
  if (!losses.index) {
    losses.index = new Map(losses.sites.map((name, i) => [name, i]));
    losses.matrix = losses.loss_nats.split(";").map((row) => row.split(","));
  }
  const menu = site.endsWith(".kv") ? record.menu.kv : record.menu.linear;
  const cell = (losses.matrix[losses.index.get(site)] || [])[menu.indexOf(treatment)];
  return cell === undefined || cell === "" ? undefined : Number(cell);
}

function fullProduct(product) {
  const cost = product.cost || {};
  const numbers = {};
  for (const [key, value] of [...Object.entries(cost), ...Object.entries(product)]) {
    if (typeof value === "number") numbers[key] = value;
  }
  return {
    name: product.name, rotation: product.rotation, sites: product.recipe || {}, resident: product.resident_frac || {}, numbers,
    ops: cost.ops || [], energyParts: cost.energy_parts || {}, groups: groupsOfOps(cost.ops || []),
  };
}

const GROUPS = ["attn_qkv", "attn_o", "attention", "mlp_gate_up", "mlp_down", "head"];

function groupsOfOps(ops) {
  const groups = new Map();
  for (const op of ops) {
    const name = GROUPS.includes(op.op) ? op.op : "other";
    const key = `${op.phase} ${name}`;
    const group = groups.get(key) || { phase: op.phase, op: name, latency_ns: 0, energy_pj: 0, dram_bytes: 0, macs_count: 0, by: {} };
    for (const quantity of ["latency_ns", "energy_pj", "dram_bytes", "macs_count"]) group[quantity] += op[quantity] || 0;
    group.by[op.binding] = (group.by[op.binding] || 0) + op.latency_ns;
    group.binding = Object.keys(group.by).reduce((a, b) => (group.by[a] >= group.by[b] ? a : b));
    groups.set(key, group);
  }
  return [...groups.values()];
}

function fullPoint(json, kind, label, scenario, index) {
  return {
    kind, label, scenario: index, cap: scenario.kl_cap_nats, metric: scenario.objective, chip: json.chip,
    limits: json.limits || {}, area: json.area_parts_mm2 || {}, power: json.power_parts_mw || {},
    roofs: json.roofs || {}, products: (json.products || []).map(fullProduct), objective: json.objective_value,
    gap: json.gap_frac,
  };
}

// Recommendations and baselines, in the order of the scenarios.
function markedPoints(record) {
  const points = [];
  record.scenarios.forEach((scenario, index) => {
    if (!scenario.feasible) return;
    points.push(fullPoint(scenario.recommendation, "recommended", `recommended: ${scenarioWords(scenario)}`, scenario, index));
    for (const baseline of scenario.baselines || []) {
      if (!baseline.feasible || !baseline.point) continue;
      const point = fullPoint(baseline.point, "baseline", `${words(baseline.name)}: ${scenarioWords(scenario)}`, scenario, index);
      point.baseline = baseline;
      points.push(point);
    }
  });
  return points;
}

// What can stand on an axis of the front. Loss is the predicted one: every point has it.
const AXES = [
  ["predicted_kl_nats", "loss (predicted KL)", "nats/token"], ["latency_ns", "request latency", "s", 1e-9],
  ["energy_pj_per_token", "energy per token", "J", 1e-12], ["area_mm2", "die area", "mm²"], ["price_usd", "price with DRAM", "USD"],
  ["prefill_latency_ns", "time to first token", "s", 1e-9], ["time_per_token_ns", "time per token", "s", 1e-9],
  ["throughput_tokens_per_s", "throughput", "tokens/s"], ["peak_power_mw", "peak power", "W", 1e-3], ["bits_per_weight", "bits per weight", "bits"],
].map(([key, label, unit, scale = 1]) => ({ key, label, unit, scale, more: key === "throughput_tokens_per_s", chip: ["area_mm2", "price_usd", "peak_power_mw"].includes(key) }));

function axisValue(point, axis, p) {
  const value = axis.chip ? point.limits[axis.key] : (point.products[p] || point.products[0] || { numbers: {} }).numbers[axis.key];
  return value === undefined ? NaN : value * axis.scale;
}

function axisColumn(front, axis, p) {
  const column = front.column(axis.chip ? `limits/${axis.key}` : `products/${p}/${axis.key}`) || front.column(axis.key);
  if (!column || !(column instanceof Float64Array)) return null;
  return axis.scale === 1 ? column : column.map((value) => value * axis.scale);
}
