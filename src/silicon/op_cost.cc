#include "silicon/op_cost.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "formats/activation.h"
#include "silicon/mapping_sets.h"
#include "silicon/matrix_unit.h"

namespace dovetail::silicon {
namespace {

using formats::ActivationFormat;

// Relative difference below which two mappings count as equally quick; energy then decides.
constexpr double kTie = 1e-9;

// Bytes of an activation in SRAM between ops.
constexpr double kStoredActivationBytes = 2;  // bf16

double ceil_div(double a, double b) {
  return std::ceil(a / b);
}

void finish(const OpContext& x, OpCost& cost) {
  const double load = std::max(cost.dram_ns, cost.sram_ns);
  const double work = std::max({cost.decoder_ns, cost.compute_ns, cost.vector_ns});
  cost.latency_ns =
      cost.overhead_ns + std::max({load, cost.link_ns, cost.prologue_ns + work}) + cost.epilogue_ns;
  cost.energy.dram_pj = cost.dram_bytes * x.rates.dram_pj_per_byte;
  cost.energy.sram_pj = cost.sram_bytes * x.rates.sram_pj_per_byte;
  cost.energy.link_pj = cost.link_bytes * x.rates.link_pj_per_byte;
  cost.energy.leakage_pj = cost.latency_ns * x.rates.leakage_mw;
}

void keep_better(std::optional<OpCost>& best, const OpCost& cost) {
  if (!best.has_value()) {
    best = cost;
    return;
  }
  const bool quicker = cost.latency_ns < best->latency_ns * (1 - kTie);
  const bool tied = cost.latency_ns <= best->latency_ns * (1 + kTie);
  if (quicker || (tied && cost.energy.total_pj() < best->energy.total_pj())) best = cost;
}

// The unit's way of running a treatment.
struct Execution {
  chip::NativePair pair;
  double depth = 0;  // reduction per cycle with the pair's throughput
  double mac_pj = 0;
  bool needs_decoder = false;
};

std::optional<Execution> execution(const OpContext& x, const chip::MatrixUnit& unit,
                                   const formats::WeightFormat& weight,
                                   ActivationFormat activation) {
  const int64_t index = chip::native_pair(unit, weight, activation);
  if (index < 0) return std::nullopt;
  const chip::NativePair& pair = unit.pairs[static_cast<size_t>(index)];
  const auto switched = switched_um2(x.constants, unit);
  if (!switched.has_value()) return std::nullopt;
  return Execution{.pair = pair,
                   .depth = reduction_per_cycle(unit, pair, finest_group(weight, activation)),
                   .mac_pj = (*switched)[static_cast<size_t>(index)] * x.rates.mac_pj_per_um2,
                   .needs_decoder = !chip::stored_natively(pair.weight, weight)};
}

// A linear as the mapper sees it.
struct LinearProblem {
  double m = 0, k = 0, n = 0;
  double row_bytes = 0;
  double activation_bytes = 0;  // of one element at the multiplier
  bool quantizes = false;
  double granules_per_row = 0;
  double turn_stages = 0;  // of the online Hadamard transform of the inputs
  bool resident = false;
  bool spilled = false;  // activations pass through DRAM
};

// Work of the vector unit and, beside it, of the Hadamard unit: the slower of both counts.
void set_vector_work(const OpContext& x, double vector_cycles, double turned, double stages,
                     OpCost& cost) {
  cost.vector_ns = std::max(vector_cycles * x.rates.vector_ns_per_cycle,
                            turned * x.rates.hadamard_ns_per_element);
  cost.energy.vector_pj =
      vector_cycles * x.rates.vector_pj_per_cycle + turned * stages * x.rates.hadamard_pj_per_add;
}

OpCost price_linear(const OpContext& x, const chip::MatrixUnit& unit, const Execution& run,
                    const LinearProblem& p, const MappingCost& mapped) {
  const auto rows = static_cast<double>(unit.rows);
  const auto cols = static_cast<double>(unit.cols);
  const auto cores = static_cast<double>(x.chip.cores);
  const double weight_half_bytes = static_cast<double>(x.chip.weight_buffer_kib) * 1024 / 2;
  const double vector_cycles = (p.quantizes ? x.constants.quantize_cycles * p.m * p.k : 0) +
                               x.constants.convert_cycles * p.m * p.n;
  const double dram_rate =
      p.spilled ? x.rates.dram_spill_ns_per_byte : x.rates.dram_stream_ns_per_byte;
  double written_bytes = 0;  // to DRAM
  if (p.spilled) {
    written_bytes =
        p.m * p.n * kStoredActivationBytes + (p.quantizes ? p.m * p.k * p.activation_bytes : 0);
  }

  OpCost cost;
  cost.macs = p.m * p.k * p.n;
  cost.dram_bytes = mapped.dram_bytes;
  cost.sram_bytes = mapped.sram_bytes;
  cost.dram_ns = cost.dram_bytes * dram_rate + written_bytes * x.rates.dram_turn_ns_per_byte;
  cost.sram_ns = cost.sram_bytes * x.rates.sram_ns_per_byte;
  cost.compute_ns = x.rates.cycle_ns * mapped.compute_cycles;
  if (run.needs_decoder) {
    cost.decoder_ns = x.rates.decode_ns_per_value * mapped.decoded_rows * p.k;
    cost.energy.decoder_pj = x.rates.decode_pj_per_value * p.n * p.k * mapped.m_blocks;
  }
  const double turned = p.turn_stages > 0 ? p.m * p.k : 0;
  set_vector_work(x, vector_cycles, turned, p.turn_stages, cost);
  const double first_bytes =
      std::min(p.n * p.row_bytes, cores * std::min(cols * p.row_bytes, weight_half_bytes));
  cost.prologue_ns = first_bytes * (p.resident ? x.rates.sram_ns_per_byte : dram_rate);
  if (p.quantizes) {
    cost.prologue_ns +=
        x.constants.quantize_cycles * std::min(p.m, rows) * p.k * x.rates.vector_ns_per_cycle;
  }
  cost.epilogue_ns = x.constants.convert_cycles * std::min(p.m, rows) *
                     std::min(p.n, cols * cores) * x.rates.vector_ns_per_cycle;
  cost.overhead_ns = x.constants.op_overhead_ns;
  cost.energy.mac_pj = cost.macs * run.mac_pj;
  cost.energy.scale_pj =
      p.m * p.n * scaled_sums(unit, run.pair, p.granules_per_row, p.k) * x.rates.granule_pj;
  cost.energy.noc_pj = (cost.dram_bytes + cost.sram_bytes) * x.rates.noc_pj_per_byte;
  cost.energy.buffer_pj =
      p.n * p.row_bytes * mapped.m_blocks * x.rates.weight_buffer_pj_per_byte +
      p.m * p.k * p.activation_bytes * ceil_div(p.n, cols) * x.rates.activation_buffer_pj_per_byte;
  finish(x, cost);
  return cost;
}

// The Pareto set of a unit's mappings, each priced.
void try_mappings(const OpContext& x, const chip::MatrixUnit& unit, const Execution& run,
                  const LinearProblem& p, std::optional<OpCost>& best) {
  double other_bytes = p.m * p.n * kStoredActivationBytes;
  if (p.quantizes) other_bytes += p.m * p.k * (kStoredActivationBytes + p.activation_bytes);
  const MapperProblem problem = {.m = static_cast<int64_t>(p.m),
                                 .n = static_cast<int64_t>(p.n),
                                 .tile_cycles = ceil_div(p.k, run.depth),
                                 .weight_row_bytes = p.row_bytes,
                                 .input_row_bytes = p.k * p.activation_bytes,
                                 .inputs_in_dram = p.spilled,
                                 .weights_in_sram = p.resident,
                                 .decodes = run.needs_decoder,
                                 .other_dram_bytes = p.spilled ? other_bytes : 0,
                                 .other_sram_bytes = p.spilled ? 0 : other_bytes};
  const MapperRoom room = mapper_room(x.constants, x.chip, unit,
                                      kStoredActivationBytes * p.m * (p.k + p.n), x.working_bytes);
  std::vector<MappedCost> set;
  pareto_mappings(problem, room, set);
  for (const MappedCost& mapped : set) {
    keep_better(best, price_linear(x, unit, run, p, mapped.cost));
  }
}

// Vector work of attention that does not depend on the phase: per element of the score matrix and
// per token.
struct AttentionWork {
  double score_elements = 0;  // softmax
  double query_tokens = 0;    // whole batch
};

double attention_vector_cycles(const OpContext& x, const AttentionShape& s,
                               const recipe::KvTreatment& treatment, const AttentionWork& work) {
  const Constants& c = x.constants;
  const double query_size = s.kv_heads * s.group * s.head_dim;
  const double kv_size = s.kv_heads * s.head_dim;
  double cycles =
      work.score_elements * c.vector_cycles[static_cast<size_t>(recipe::VectorKind::kSoftmax)] +
      work.query_tokens * query_size * c.convert_cycles;
  if (treatment.query != ActivationFormat::kBf16) {
    cycles += c.quantize_cycles * (work.query_tokens * query_size + work.score_elements);
  }
  for (const formats::KvFormat format : {treatment.keys, treatment.values}) {
    if (format != formats::KvFormat::kBf16)
      cycles += c.quantize_cycles * work.query_tokens * kv_size;
  }
  return cycles;
}

// Queries and keys through the Hadamard unit.
double turned_elements(const AttentionShape& s, const recipe::KvTreatment& treatment,
                       const AttentionWork& work) {
  if (treatment.hadamard == 0) return 0;
  return work.query_tokens * s.kv_heads * (s.group + 1) * s.head_dim;
}

// Cores take pages from anywhere in DRAM, each the next of its problem.
double page_ns_per_byte(const OpContext& x, double copies, double page_bytes) {
  return ns_per_byte(x.rates.dram, {.streams = std::min(copies, static_cast<double>(x.chip.cores)),
                                    .turn_bytes = page_bytes,
                                    .extent_bytes = page_bytes});
}

// How a unit runs keys and values; nothing if it cannot run both.
struct AttentionExecution {
  Execution keys, values;
  double mac_pj = 0;            // mean of both
  double decoded_operands = 0;  // 0, 1 or 2
};

std::optional<AttentionExecution> attention_execution(const OpContext& x,
                                                      const chip::MatrixUnit& unit,
                                                      const recipe::KvTreatment& treatment) {
  const auto keys = execution(x, unit, chip::kv_as_weight(treatment.keys), treatment.query);
  const auto values = execution(x, unit, chip::kv_as_weight(treatment.values), treatment.query);
  if (!keys || !values || !chip::can_turn(x.chip, treatment.hadamard)) return std::nullopt;
  return AttentionExecution{
      .keys = *keys,
      .values = *values,
      .mac_pj = (keys->mac_pj + values->mac_pj) / 2,
      .decoded_operands = (keys->needs_decoder ? 1.0 : 0.0) + (values->needs_decoder ? 1.0 : 0.0)};
}

// How the independent problems (one per request and KV head) spread over the cores.
struct Spread {
  double copies = 0;
  double rounds = 1;  // problems that one core runs in turn
  double parts = 1;   // cores that share one problem
};

Spread spread_over_cores(const OpContext& x, const AttentionShape& s) {
  Spread spread;
  const auto cores = static_cast<double>(x.chip.cores);
  spread.copies = s.batch * s.kv_heads;
  if (spread.copies >= cores) {
    spread.rounds = ceil_div(spread.copies, cores);
  } else {
    spread.parts = std::floor(cores / spread.copies);
  }
  return spread;
}

}  // namespace

std::string_view resource_name(Resource resource) {
  constexpr std::array<std::string_view, 6> names = {"dram",    "sram",   "decoder",
                                                     "compute", "vector", "link"};
  return names[static_cast<size_t>(resource)];
}

double OpEnergy::total_pj() const {
  return mac_pj + scale_pj + decoder_pj + vector_pj + buffer_pj + sram_pj + noc_pj + link_pj +
         dram_pj + leakage_pj;
}

void OpEnergy::add(const OpEnergy& other, double times) {
  mac_pj += times * other.mac_pj;
  scale_pj += times * other.scale_pj;
  decoder_pj += times * other.decoder_pj;
  vector_pj += times * other.vector_pj;
  buffer_pj += times * other.buffer_pj;
  sram_pj += times * other.sram_pj;
  noc_pj += times * other.noc_pj;
  link_pj += times * other.link_pj;
  dram_pj += times * other.dram_pj;
  leakage_pj += times * other.leakage_pj;
}

Resource OpCost::binding() const {
  const std::array<double, 6> times = {dram_ns,    sram_ns,   decoder_ns,
                                       compute_ns, vector_ns, link_ns};
  return static_cast<Resource>(std::max_element(times.begin(), times.end()) - times.begin());
}

double activation_element_bytes(ActivationFormat activation, int64_t k) {
  return static_cast<double>(formats::stored_bits_per_token(activation, k)) / 8 /
         static_cast<double>(k);
}

double granules_per_output(const recipe::LinearTreatment& treatment, int64_t k) {
  const auto pieces = [k](int64_t group) { return group > 0 ? (k + group - 1) / group : 1; };
  const int64_t weights = treatment.weight.group_size;
  const int64_t inputs = formats::activation_facts(treatment.activation).row.group_size;
  const int64_t finer = std::min(weights, inputs);
  const int64_t coarser = std::max(weights, inputs);
  if (finer == 0 || coarser % finer == 0) {
    return static_cast<double>(std::max(pieces(weights), pieces(inputs)));
  }
  return static_cast<double>(pieces(weights) + pieces(inputs) - 1);  // borders of both
}

int64_t finest_group(const formats::WeightFormat& weight, ActivationFormat activation) {
  const int64_t inputs = formats::activation_facts(activation).row.group_size;
  if (weight.group_size == 0 || inputs == 0) return std::max(weight.group_size, inputs);
  return std::min(weight.group_size, inputs);
}

double hadamard_stages(int64_t block) {
  return block > 0 ? std::log2(static_cast<double>(block)) : 0;
}

double row_bytes(const Constants& c, const chip::Chip& chip, const formats::WeightFormat& weight,
                 int64_t k) {
  const auto dram = dram_of(c, chip);
  const double burst = dram.has_value() ? (*dram)->burst_bytes : 1;
  return ceil_div(static_cast<double>(formats::stored_bits_per_row(weight, k)) / 8, burst) * burst;
}

double working_bytes(const Constants& c, const chip::Chip& chip, const recipe::ModelOps& ops) {
  double need = 0;
  for (const recipe::PhaseOps* phase : {&ops.prefill, &ops.decode}) {
    for (const std::vector<recipe::Op>* list : {&phase->layer, &phase->after}) {
      for (const recipe::Op& op : *list) {
        if (op.kind != recipe::OpKind::kLinear) continue;
        need = std::max(need, kStoredActivationBytes * static_cast<double>(op.m) *
                                  static_cast<double>(op.k + op.n));
      }
    }
  }
  return std::min(need, c.working_sram_max_frac * chip.sram_mib * 1048576);
}

double embedding_dram_bytes(const model::ModelShape& shape) {
  if (shape.tied_embedding) return 0;
  return kStoredActivationBytes * static_cast<double>(shape.vocab_size) *
         static_cast<double>(shape.hidden_size);
}

double fixed_dram_bytes(const model::ModelShape& shape, int64_t prompt_tokens, int64_t batch,
                        int64_t stages) {
  const auto hidden = static_cast<double>(shape.hidden_size);
  const double norms = (2 * static_cast<double>(shape.num_layers) + 1) * hidden;
  const double tokens =
      static_cast<double>(stages) * static_cast<double>(batch) * static_cast<double>(prompt_tokens);
  const double activations = tokens * (hidden + 2 * static_cast<double>(shape.intermediate_size));
  return embedding_dram_bytes(shape) + kStoredActivationBytes * (norms + activations);
}

std::optional<OpCost> estimate_linear(const OpContext& x, const recipe::Op& op,
                                      const recipe::LinearTreatment& treatment, bool resident) {
  LinearProblem p;
  p.m = static_cast<double>(op.m);
  p.k = static_cast<double>(op.k);
  p.n = static_cast<double>(op.n);
  p.row_bytes = row_bytes(x.constants, x.chip, treatment.weight, op.k);
  p.activation_bytes = activation_element_bytes(treatment.activation, op.k);
  p.quantizes = treatment.activation != ActivationFormat::kBf16;
  p.granules_per_row = granules_per_output(treatment, op.k);
  p.turn_stages = hadamard_stages(treatment.hadamard);
  p.resident = resident;
  p.spilled = kStoredActivationBytes * p.m * (p.k + p.n) > x.working_bytes;
  std::optional<OpCost> best;
  if (!chip::can_turn(x.chip, treatment.hadamard)) return best;
  for (const chip::MatrixUnit& unit : x.chip.units) {
    const auto run = execution(x, unit, treatment.weight, treatment.activation);
    if (run.has_value()) try_mappings(x, unit, *run, p, best);
  }
  return best;
}

double kv_page_bytes(const OpContext& x, const AttentionShape& s,
                     const recipe::KvTreatment& treatment) {
  const auto dram = dram_of(x.constants, x.chip);
  const double burst = dram.has_value() ? (*dram)->burst_bytes : 1;
  const auto token_bits = static_cast<double>(
      recipe::stored_bits_per_cached_token(treatment, static_cast<int64_t>(s.head_dim)));
  return ceil_div(static_cast<double>(x.chip.kv_page_tokens) * token_bits / 8, burst) * burst;
}

std::optional<OpCost> estimate_prefill_attention(const OpContext& x, const AttentionShape& s,
                                                 int64_t tokens,
                                                 const recipe::KvTreatment& treatment,
                                                 bool resident) {
  const Spread spread = spread_over_cores(x, s);
  const auto prompt = static_cast<double>(tokens);
  const double page_bytes = kv_page_bytes(x, s, treatment);
  const auto page_tokens = static_cast<double>(x.chip.kv_page_tokens);
  const double cache_bytes = spread.copies * ceil_div(prompt, page_tokens) * page_bytes;
  const double query_bytes =
      2 * s.batch * prompt * s.kv_heads * s.group * s.head_dim * kStoredActivationBytes;
  const bool cache_on_chip = resident || cache_bytes <= x.working_bytes;
  const bool spilled = query_bytes > x.working_bytes;
  const AttentionWork work = {s.batch * s.kv_heads * s.group * prompt * (prompt + 1) / 2,
                              s.batch * prompt};
  const double vector_cycles = attention_vector_cycles(x, s, treatment, work);
  std::optional<OpCost> best;
  for (const chip::MatrixUnit& unit : x.chip.units) {
    const auto run = attention_execution(x, unit, treatment);
    if (!run.has_value()) continue;
    const auto rows = static_cast<double>(unit.rows);
    const auto cols = static_cast<double>(unit.cols);
    const double query_rows = prompt * s.group;
    // The last token that rows [0, end) reach: tokens are outermost, heads of a group inside.
    const auto seen = [&](double end) {
      return std::floor((std::min(end, query_rows) - 1) / s.group) + 1;
    };
    double cycles = 0;
    double last_tile_cycles = 0;
    for (double row = 0; row < query_rows; row += rows) {
      const double context = seen(row + rows);
      last_tile_cycles = ceil_div(context, cols) * ceil_div(s.head_dim, run->keys.depth) +
                         ceil_div(s.head_dim, cols) * ceil_div(context, run->values.depth) +
                         2 * x.constants.fill_cycles;
      cycles += last_tile_cycles;
    }
    // Row tiles of one block share one pass over the cache; a block keeps head_dim sums a row and
    // one tile of scores.
    const double block_tiles =
        std::max(1.0, std::floor(static_cast<double>(x.chip.accumulator_kib) * 256 /
                                 (rows * (s.head_dim + cols))));
    double read_tokens = 0;  // of one problem
    for (double row = 0; row < query_rows; row += rows * block_tiles) {
      read_tokens += seen(row + rows * block_tiles);
    }
    const double core_cycles =
        spread.parts > 1 ? cycles / spread.parts + last_tile_cycles : spread.rounds * cycles;
    const double read_bytes = spread.copies * read_tokens * page_bytes / page_tokens;
    OpCost cost;
    cost.macs = spread.copies * s.group * prompt * (prompt + 1) / 2 * 2 * s.head_dim;
    cost.dram_bytes = (resident ? 0 : cache_bytes) + (cache_on_chip ? 0 : read_bytes) +
                      (spilled ? query_bytes : 0);
    cost.sram_bytes = (resident ? cache_bytes : 0) + (cache_on_chip ? read_bytes : 0) +
                      (spilled ? 0 : query_bytes);
    const double written_bytes = (resident ? 0 : cache_bytes) + (spilled ? query_bytes / 2 : 0);
    cost.dram_ns = cost.dram_bytes * page_ns_per_byte(x, spread.copies, page_bytes) +
                   written_bytes * x.rates.dram_turn_ns_per_byte;
    cost.sram_ns = cost.sram_bytes * x.rates.sram_ns_per_byte;
    cost.compute_ns = x.rates.cycle_ns * core_cycles;
    if (run->decoded_operands > 0) {
      const double values = run->decoded_operands * read_tokens * s.head_dim;
      cost.decoder_ns = x.rates.decode_ns_per_value * values * spread.rounds / spread.parts;
      cost.energy.decoder_pj = x.rates.decode_pj_per_value * values * spread.copies;
    }
    set_vector_work(x, vector_cycles, turned_elements(s, treatment, work),
                    hadamard_stages(treatment.hadamard), cost);
    cost.overhead_ns = x.constants.op_overhead_ns;
    cost.energy.mac_pj = cost.macs * run->mac_pj;
    cost.energy.noc_pj = (cache_bytes + read_bytes + query_bytes) * x.rates.noc_pj_per_byte;
    cost.energy.buffer_pj = read_bytes * x.rates.weight_buffer_pj_per_byte;
    finish(x, cost);
    keep_better(best, cost);
  }
  return best;
}

std::optional<OpCost> estimate_decode_attention(const OpContext& x, const AttentionShape& s,
                                                const ContextNode& node,
                                                const recipe::KvTreatment& treatment,
                                                bool resident) {
  const Spread spread = spread_over_cores(x, s);
  const double tokens = node.tokens;
  const double page_bytes = kv_page_bytes(x, s, treatment);
  const double cache_bytes = spread.copies * mean_pages(node, x.chip.kv_page_tokens) * page_bytes;
  const double query_bytes =
      2 * s.batch * s.kv_heads * s.group * s.head_dim * kStoredActivationBytes;
  const double part_tokens = tokens / spread.parts;
  const AttentionWork work = {s.batch * s.kv_heads * s.group * tokens, s.batch};
  double vector_cycles = attention_vector_cycles(x, s, treatment, work);
  if (spread.parts > 1) {  // partial results of the cores that share a problem are added
    vector_cycles +=
        spread.copies * spread.parts * s.group * s.head_dim * x.constants.convert_cycles;
  }
  std::optional<OpCost> best;
  for (const chip::MatrixUnit& unit : x.chip.units) {
    const auto run = attention_execution(x, unit, treatment);
    if (!run.has_value()) continue;
    const auto cols = static_cast<double>(unit.cols);
    const double row_tiles = ceil_div(s.group, static_cast<double>(unit.rows));
    const double cycles =
        row_tiles * (ceil_div(part_tokens, cols) * ceil_div(s.head_dim, run->keys.depth) +
                     ceil_div(s.head_dim, cols) * ceil_div(part_tokens, run->values.depth) +
                     2 * x.constants.fill_cycles);
    OpCost cost;
    cost.macs = spread.copies * s.group * tokens * 2 * s.head_dim;
    cost.dram_bytes = resident ? 0 : cache_bytes;
    cost.sram_bytes = query_bytes + (resident ? cache_bytes : 0);
    cost.dram_ns = cost.dram_bytes * page_ns_per_byte(x, spread.copies, page_bytes);
    cost.sram_ns = cost.sram_bytes * x.rates.sram_ns_per_byte;
    cost.compute_ns = x.rates.cycle_ns * spread.rounds * cycles;
    if (run->decoded_operands > 0) {
      const double values = run->decoded_operands * part_tokens * s.head_dim;
      cost.decoder_ns = x.rates.decode_ns_per_value * values * spread.rounds * row_tiles;
      cost.energy.decoder_pj = x.rates.decode_pj_per_value * run->decoded_operands * tokens *
                               s.head_dim * spread.copies * row_tiles;
    }
    set_vector_work(x, vector_cycles, turned_elements(s, treatment, work),
                    hadamard_stages(treatment.hadamard), cost);
    cost.overhead_ns = x.constants.op_overhead_ns;
    cost.energy.mac_pj = cost.macs * run->mac_pj;
    cost.energy.noc_pj = (cache_bytes + query_bytes) * x.rates.noc_pj_per_byte;
    cost.energy.buffer_pj = cache_bytes * x.rates.weight_buffer_pj_per_byte;
    finish(x, cost);
    keep_better(best, cost);
  }
  return best;
}

OpCost estimate_vector(const OpContext& x, const recipe::Op& op) {
  const auto elements = static_cast<double>(op.elements);
  const double cycles = elements * x.constants.vector_cycles[static_cast<size_t>(op.vector)];
  const bool embedding = op.vector == recipe::VectorKind::kEmbedding;
  const double bytes = elements * kStoredActivationBytes * 2;  // in and out
  const bool spilled = bytes > x.working_bytes;
  OpCost cost;
  cost.dram_bytes = spilled ? bytes : (embedding ? bytes / 2 : 0);
  cost.sram_bytes = spilled ? 0 : (embedding ? bytes / 2 : bytes);
  cost.dram_ns = cost.dram_bytes * x.rates.dram_copy_ns_per_byte +
                 (spilled ? bytes / 2 : 0) * x.rates.dram_turn_ns_per_byte;
  cost.sram_ns = cost.sram_bytes * x.rates.sram_ns_per_byte;
  cost.vector_ns = cycles * x.rates.vector_ns_per_cycle;
  cost.overhead_ns = x.constants.vector_op_overhead_ns;
  cost.energy.vector_pj = cycles * x.rates.vector_pj_per_cycle;
  cost.energy.noc_pj = bytes * x.rates.noc_pj_per_byte;
  finish(x, cost);
  return cost;
}

OpCost estimate_collective(const OpContext& x, const recipe::Op& op) {
  const double cycles =
      static_cast<double>(op.elements) * x.constants.vector_cycles[static_cast<size_t>(op.vector)];
  const auto steps = static_cast<double>(op.ring_steps);
  const auto step_bytes = static_cast<double>(op.step_bytes);
  const auto bytes = static_cast<double>(op.memory_bytes);
  const bool spilled = bytes > x.working_bytes;
  OpCost cost;
  cost.dram_bytes = spilled ? bytes : 0;
  cost.sram_bytes = spilled ? 0 : bytes;
  cost.link_bytes = steps * step_bytes;
  cost.dram_ns = cost.dram_bytes * x.rates.dram_copy_ns_per_byte +
                 (spilled ? bytes / 2 : 0) * x.rates.dram_turn_ns_per_byte;
  cost.sram_ns = cost.sram_bytes * x.rates.sram_ns_per_byte;
  cost.vector_ns = cycles * x.rates.vector_ns_per_cycle;
  cost.link_ns = steps * (step_bytes * x.rates.link_ns_per_byte + x.rates.link_hop_ns);
  cost.overhead_ns = x.constants.vector_op_overhead_ns;
  cost.energy.vector_pj = cycles * x.rates.vector_pj_per_cycle;
  cost.energy.noc_pj = bytes * x.rates.noc_pj_per_byte;
  finish(x, cost);
  return cost;
}

}  // namespace dovetail::silicon
