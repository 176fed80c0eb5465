// CostModel: what is prepared once per (model, workload, menu, technology).
#include <algorithm>
#include <atomic>

#include <fmt/format.h>

#include "silicon/cost_model_impl.h"

namespace dovetail::silicon {
namespace {

using recipe::SiteKind;

std::atomic<uint64_t> next_id{1};

LinearWork linear_work(const Constants& c, const recipe::Menu& menu, const recipe::Op& op,
                       double times) {
  LinearWork work;
  work.site = static_cast<int64_t>(op.site);
  work.times = times;
  work.m = static_cast<double>(op.m);
  work.k = static_cast<double>(op.k);
  work.n = static_cast<double>(op.n);
  work.treatments = menu.linear.size();
  work.rows.assign(kNumWorkRows * work.treatments, 0.0);
  for (size_t t = 0; t < work.treatments; ++t) {
    const recipe::LinearTreatment& treatment = menu.linear[t];
    const auto set = [&](WorkRow row, double value) {
      work.rows[row * work.treatments + t] = value;
    };
    const double bytes = activation_element_bytes(treatment.activation, op.k);
    const bool quantizes = treatment.activation != formats::ActivationFormat::kBf16;
    set(kActivationBytes, bytes);
    set(kVectorCycles,
        (quantizes ? c.quantize_cycles * work.m * work.k : 0) + c.convert_cycles * work.m * work.n);
    set(kQuantizeBytes, quantizes ? work.m * work.k * (2 + bytes) : 0);
    if (treatment.hadamard > 0) {
      set(kTurned, work.m * work.k);
      set(kTurnAdds, work.m * work.k * hadamard_stages(treatment.hadamard));
    }
    set(kGranules, work.m * work.n * granules_per_output(treatment, op.k));
    set(kStoredRowBytes,
        static_cast<double>(formats::stored_bits_per_row(treatment.weight, op.k)) / 8);
  }
  return work;
}

}  // namespace

double CostModel::Impl::working(const chip::Chip& chip) const {
  return std::min(working_need_bytes, constants.working_sram_max_frac * chip.sram_mib * 1048576);
}

void CostModel::Impl::reset(const chip::Chip& chip, CostTable& table) const {
  for (size_t kind = 0; kind < table.sites.size(); ++kind) {
    const auto size = static_cast<size_t>(menu.size(static_cast<SiteKind>(kind)));
    SiteCosts& site = table.sites[kind];
    for (std::vector<float>* array : {&site.latency_ns, &site.energy_pj, &site.resident_latency_ns,
                                      &site.resident_energy_pj, &site.bytes}) {
      array->assign(size, 0.0F);
    }
  }
  table.fixed_latency_ns = 0;
  table.fixed_energy_pj = 0;
  table.fixed_dram_bytes = fixed_dram_bytes;
  table.sram_bytes = chip.sram_mib * 1048576 - working(chip);
  table.dram_bytes = chip.dram.capacity_gib * 1073741824.0;
}

void CostModel::Impl::add_vectors(const ChipRates& r, double working_bytes,
                                  CostTable& table) const {
  for (const VectorWork& work : vectors) {
    const bool spilled = work.bytes > working_bytes;
    const double dram = spilled ? work.bytes : (work.embedding ? work.bytes / 2 : 0);
    const double sram = work.bytes - dram;
    const double latency = constants.vector_op_overhead_ns +
                           std::max({dram * r.dram_mixed_ns_per_byte, sram * r.sram_ns_per_byte,
                                     work.cycles * r.vector_ns_per_cycle});
    const double energy = work.cycles * r.vector_pj_per_cycle + work.bytes * r.noc_pj_per_byte +
                          dram * r.dram_pj_per_byte + sram * r.sram_pj_per_byte +
                          latency * r.leakage_mw;
    table.fixed_latency_ns += work.times * latency;
    table.fixed_energy_pj += work.times * energy;
  }
}

namespace {

void add_phase(CostModel::Impl& impl, const recipe::PhaseOps& phase, double times) {
  const auto layers = static_cast<double>(impl.ops.num_layers);
  const auto add = [&](const recipe::Op& op, double repeats) {
    if (op.kind == recipe::OpKind::kLinear) {
      // Sites are per layer, so a linear of a layer counts once.
      impl.linears.push_back(linear_work(impl.constants, impl.menu, op, times));
      impl.working_need_bytes =
          std::max(impl.working_need_bytes,
                   2 * static_cast<double>(op.m) * static_cast<double>(op.k + op.n));
    } else if (op.kind == recipe::OpKind::kVector && op.vector != recipe::VectorKind::kSoftmax) {
      const auto elements = static_cast<double>(op.elements);
      impl.vectors.push_back(
          {.times = repeats * times,
           .bytes = elements * 4,
           .cycles = elements * impl.constants.vector_cycles[static_cast<size_t>(op.vector)],
           .embedding = op.vector == recipe::VectorKind::kEmbedding});
    }
  };
  for (const recipe::Op& op : phase.before) add(op, 1);
  for (const recipe::Op& op : phase.layer) add(op, layers);
  for (const recipe::Op& op : phase.after) add(op, 1);
}

void add_kv(CostModel::Impl& impl) {
  const Constants& c = impl.constants;
  const double softmax = c.vector_cycles[static_cast<size_t>(recipe::VectorKind::kSoftmax)];
  const double queries = impl.kv_heads * impl.group * impl.head_dim;  // of one token
  const double scores = impl.copies * impl.group;                     // per token of context
  const double last = impl.prompt + impl.steps;
  for (const recipe::KvTreatment& treatment : impl.menu.kv) {
    const double quantize_query =
        treatment.query == formats::ActivationFormat::kBf16 ? 0 : c.quantize_cycles;
    const double treated_vectors = (treatment.keys == formats::KvFormat::kBf16 ? 0 : 1) +
                                   (treatment.values == formats::KvFormat::kBf16 ? 0 : 1);
    const double per_token =
        impl.batch * (queries * (c.convert_cycles + quantize_query) +
                      treated_vectors * impl.kv_heads * impl.head_dim * c.quantize_cycles);
    const double per_score = softmax + quantize_query;
    CostModel::Impl::KvWork work;
    work.token_bytes = static_cast<double>(recipe::stored_bits_per_cached_token(
                           treatment, static_cast<int64_t>(impl.head_dim))) /
                       8;
    if (treatment.hadamard > 0) {
      work.turned_per_token = impl.batch * (queries + impl.kv_heads * impl.head_dim);
    }
    work.turn_stages = hadamard_stages(treatment.hadamard);
    work.prefill_vector_cycles =
        impl.prompt * per_token + scores * impl.prompt * (impl.prompt + 1) / 2 * per_score;
    work.decode_vector_cycles = per_token;
    work.vector_cycles_per_context = scores * per_score;
    work.max_tokens_bytes = impl.copies * last * work.token_bytes;
    impl.kv.push_back(work);
  }
}

}  // namespace

CostModel::CostModel(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CostModel::CostModel(CostModel&&) noexcept = default;
CostModel& CostModel::operator=(CostModel&&) noexcept = default;
CostModel::~CostModel() = default;

const model::ModelShape& CostModel::shape() const {
  return impl_->shape;
}
const recipe::Workload& CostModel::workload() const {
  return impl_->workload;
}
const Technology& CostModel::technology() const {
  return impl_->technology;
}

Result<CostModel> CostModel::create(const model::ModelShape& shape,
                                    const recipe::Workload& workload, const recipe::Menu& menu,
                                    const Technology& technology) {
  if (menu.linear.empty() || menu.kv.empty()) {
    return invalid_argument("menu: empty, want at least one linear and one kv treatment");
  }
  DOVETAIL_TRY_STATUS(chip::check_priced(menu));
  auto impl = std::make_unique<Impl>();
  impl->id = next_id.fetch_add(1);
  impl->shape = shape;
  impl->workload = workload;
  impl->menu = menu;
  impl->technology = technology;
  DOVETAIL_TRY(impl->ops, recipe::lower(shape, workload));
  DOVETAIL_TRY(impl->constants, resolve_constants(technology));
  impl->batch = static_cast<double>(workload.batch);
  impl->kv_heads = static_cast<double>(shape.num_kv_heads);
  impl->group = static_cast<double>(shape.num_heads / shape.num_kv_heads);
  impl->head_dim = static_cast<double>(shape.head_dim);
  impl->prompt = static_cast<double>(workload.prompt_tokens);
  impl->steps = static_cast<double>(impl->ops.num_decode_steps);
  impl->copies = impl->batch * impl->kv_heads;
  impl->fixed_dram_bytes = silicon::fixed_dram_bytes(shape, workload);
  impl->nodes =
      decode_nodes(impl->ops.first_decode_context, impl->ops.num_decode_steps, kMaxContextNodes);
  add_phase(*impl, impl->ops.prefill, 1);
  if (impl->steps > 0) add_phase(*impl, impl->ops.decode, impl->steps);
  add_kv(*impl);
  impl->mapper = {.constants = &impl->constants,
                  .menu = &impl->menu,
                  .works = &impl->linears,
                  .nodes = &impl->nodes,
                  .batch = impl->batch,
                  .kv_heads = impl->kv_heads,
                  .group = impl->group,
                  .head_dim = impl->head_dim,
                  .prompt = impl->prompt};
  return CostModel(std::move(impl));
}

}  // namespace dovetail::silicon
