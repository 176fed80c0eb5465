// Numbers and names in words: one way to write each unit, one phrase for each key of the record.

const SI = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"]];

// Three significant digits, never in powers of ten: 0.00123, 12.3, 12,300.
function digits(value, count = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const rounded = Number(value.toPrecision(count));
  const decimals = Math.min(8, Math.max(0, count - 1 - Math.floor(Math.log10(Math.abs(rounded)))));
  return rounded.toLocaleString("en-US", { maximumFractionDigits: decimals }).replace("-", "−");
}

// With a decimal prefix: si(0.0021, "s") = "2.1 ms".
function si(value, unit, count = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value === 0 || !Number.isFinite(value)) return `${digits(value)}\u00a0${unit}`;
  const [scale, prefix] = SI.find(([size]) => Math.abs(value) >= size * 0.9995) || SI[SI.length - 1];
  return `${digits(value / scale, count)}\u00a0${prefix}${unit}`;
}

function percent(frac, count = 2) {
  if (frac === null || frac === undefined || Number.isNaN(frac)) return "–";
  if (frac === 0) return "0\u00a0%";
  if (Math.abs(frac) < 5e-6) return "<0.001\u00a0%";
  return `${digits(100 * frac, count)}\u00a0%`;
}

function signedPercent(frac) {
  if (frac === null || frac === undefined || Number.isNaN(frac)) return "–";
  if (Math.abs(frac) < 5e-5) return "0\u00a0%";
  return `${frac > 0 ? "+" : ""}${digits(100 * frac, 2)}\u00a0%`;
}

// By the unit at the end of a key: latency_ns, energy_pj, area_mm2, price_usd, ...
const UNITS = [
  [/_tokens_per_s$/, (v) => `${digits(v)} tokens/s`],
  [/_gb_per_s$/, (v) => `${digits(v)} GB/s`],
  [/_gops_per_s$/, (v) => `${digits(v)} Gop/s`],
  [/_ns$/, (v) => si(v * 1e-9, "s")],
  [/_pj(_per_token)?$/, (v) => si(v * 1e-12, "J")],
  [/_mw$/, (v) => si(v * 1e-3, "W")],
  [/_mm2$/, (v) => `${digits(v)} mm²`],
  [/_usd$/, (v) => `${digits(v)} USD`],
  [/_bytes$/, (v) => si(v, "B")],
  [/_nats(_per_token)?$/, (v) => `${digits(v)} nats/token`],
  [/_mhz$/, (v) => `${digits(v)} MHz`],
  [/_kib$/, (v) => `${digits(v, 4)} KiB`],
  [/_mib$/, (v) => `${digits(v, 4)} MiB`],
  [/_gib$/, (v) => `${digits(v, 4)} GiB`],
  [/_w_per_mm2$/, (v) => `${digits(v)} W/mm²`],
  [/_w$/, (v) => `${digits(v)} W`],
  [/_frac$/, (v) => percent(v)],
  [/bits_per_weight$/, (v) => `${digits(v)} bits`],
];

function show(key, value) {
  if (typeof value !== "number") return value === null || value === undefined ? "–" : String(value);
  const unit = UNITS.find(([pattern]) => pattern.test(key));
  return unit ? unit[1](value) : digits(value, 4);
}

const PHRASES = {
  latency: "request latency", latency_area: "latency × area", latency_price: "latency × price",
  energy: "energy per request", energy_area: "energy × area",
  recipe_first: "compress first, then build", size_first: "smallest recipe first, then build",
  silicon_first_w8a8: "build for W8A8 first, then compress",
  silicon_first_w4a16: "build for W4A16 first, then compress",
  best_uniform: "best uniform format on its own best chip",
  dram: "DRAM", sram: "SRAM", compute: "multipliers", vector: "vector unit", decoder: "decoder",
  attn_qkv: "QKV projection", attn_o: "attention output", attention: "attention (KV)",
  mlp_gate_up: "MLP gate and up", mlp_down: "MLP down", head: "head", other: "other", kv: "KV cache",
  embedding: "embedding", attn_norm: "attention norm", mlp_norm: "MLP norm", attn_residual: "attention residual",
  mlp_residual: "MLP residual", silu_mul: "SiLU × gate", rope: "RoPE", qkv_bias: "QKV bias", argmax: "pick of the token",
  sram_mm2: "SRAM", dram_phy_mm2: "DRAM PHY", dram_controller_mm2: "DRAM controller", noc_mm2: "network on chip",
  fixed_mm2: "fixed blocks", other_mm2: "other", vector_mm2: "vector units", buffers_mm2: "core buffers",
  kl_nats_per_token: "loss", kl_cap_nats_per_token: "loss cap", latency_ns: "request latency",
  prefill_latency_ns: "time to first token", time_per_token_ns: "time per token", throughput_tokens_per_s: "throughput",
  energy_pj_per_token: "energy per token", dram_bytes: "DRAM filled", area_mm2: "die area", price_usd: "price with DRAM",
  clock_mhz: "clock", nsga2: "NSGA-II",
};

function words(name) {
  if (PHRASES[name]) return PHRASES[name];
  return String(name).replace(/_(mm2|mw|pj|ns|usd|bytes|nats|mhz|kib|mib|gib|frac|w)$/, "").replaceAll("_", " ");
}

// A ratio, to the third decimal: bands are that narrow.
function times(ratio) {
  return `×${ratio.toFixed(3)}`;
}

// Units as they are written in text: "mm2" -> "mm²".
function unitText(unit) {
  return String(unit ?? "").replace(/um2/g, "µm²").replace(/mm2/g, "mm²").replace(/^C$/, "°C").replace(/^frac$/, "(share)");
}

// How the answer was found, as a clause.
function searchWords(record) {
  const search = record.search || {};
  if (!search.num_chips) return "the chip is given, its recipe is solved for it";
  const chips = search.num_chips.toLocaleString("en-US");
  if (search.exact !== false) return `exact over ${chips} chips`;
  const tried = search.evaluations ? `best of ${search.evaluations.toLocaleString("en-US")} evaluated` : "best of those evaluated";
  return `heuristic (${words(search.method || "no name given")}): ${tried} among ${chips} chips, at most ${percent(search.bound_gap_frac)} above the bound`;
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

// " of chat" where a study has several products, else nothing.
function ofProduct(record, index) {
  return record.products.length > 1 ? `: ${record.products[index].name}` : "";
}

function count(number, noun) {
  return `${number.toLocaleString("en-US")} ${noun}${number === 1 ? "" : "s"}`;
}

function scenarioWords(scenario) {
  return `${words(scenario.objective)}, loss ≤ ${digits(scenario.kl_cap_nats)}`;
}

function unitWords(unit) {
  return `${unit.rows}×${unit.cols}×${unit.depth} ${unit.format_set || ""}`.trim();
}

function chipWords(chip) {
  if (typeof chip !== "object" || chip === null) return String(chip ?? "chip not in the record");
  const units = (chip.units || []).map(unitWords).join(" + ");
  const dram = chip.dram || {};
  return [
    chip.node && String(chip.node).replace(/^n(\d+)$/, "$1 nm"), `${count(chip.cores ?? 1, "core")} of ${units || "?"}`,
    show("clock_mhz", chip.clock_mhz), `${chip.vector_lanes} lanes`, show("sram_mib", chip.sram_mib) + " SRAM",
    `${dram.channels} × ${dram.kind}`,
  ].filter(Boolean).join(", ");
}

// Payload bits of a treatment's first part: "int4_asym_g32+a:int8_token" -> 4.
function treatmentBits(name) {
  const format = String(name).split("+")[0];
  const found = /^(?:bf|fp|int|uint|mxfp|nvfp|mxint)(\d+)/.exec(format);
  return found ? Number(found[1]) : 16;
}
