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
                       double times, const PhaseRuns& runs) {
  LinearWork work;
  work.site = static_cast<int64_t>(op.site);
  work.times = times;
  work.runs = runs;
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

double ChipWork::working(const chip::Chip& chip) const {
  return std::min(working_need_bytes, constants.working_sram_max_frac * chip.sram_mib * 1048576);
}

namespace {

void size_table(const recipe::Menu& menu, CostTable& table) {
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
  table.fixed_dram_bytes = 0;
  table.sram_bytes = 0;
  table.dram_bytes = 0;
}

}  // namespace

void ChipWork::reset(const chip::Chip& chip, CostTable& table) const {
  size_table(menu, table);
  table.fixed_dram_bytes = fixed_dram_bytes;
  table.sram_bytes = chip.sram_mib * 1048576 - working(chip);
  table.dram_bytes = chip.dram.capacity_gib * 1073741824.0;
}

const ChipWork* CostModel::Impl::work_of(const chip::Chip& chip, CostTable& table) const {
  const ChipWork* work = find_work(chip);
  if (work != nullptr) return work;
  size_table(menu, table);
  for (SiteCosts& site : table.sites) {
    for (std::vector<float>* array :
         {&site.latency_ns, &site.energy_pj, &site.resident_latency_ns, &site.resident_energy_pj}) {
      array->assign(array->size(), kIllegal);
    }
  }
  return nullptr;
}

namespace {

// What cannot run stays exactly kIllegal. A bound is rounded down, so that it stays below the table
// whose floats were rounded too.
void mean_of(double own_share, const std::vector<float>& other, double share, double rounding,
             std::vector<float>& own) {
  for (size_t t = 0; t < own.size(); ++t) {
    if (own[t] == kIllegal || other[t] == kIllegal) {
      own[t] = kIllegal;
    } else {
      own[t] = static_cast<float>(
          (own_share * static_cast<double>(own[t]) + share * static_cast<double>(other[t])) *
          rounding);
    }
  }
}

}  // namespace

Status CostModel::Impl::add_others(const chip::Chip& chip, Fill fill, CostTable& table) const {
  const double rounding = fill == &CostModel::fill_bound ? 1 - 2e-7 : 1;
  CostTable other;
  double own_share = own_share_frac;  // of what the table holds already
  for (const OtherClass& one : others) {
    DOVETAIL_TRY_STATUS((one.model.*fill)(chip, other));
    const double share = one.share_frac;
    for (size_t kind = 0; kind < table.sites.size(); ++kind) {
      SiteCosts& to = table.sites[kind];
      const SiteCosts& from = other.sites[kind];
      for (std::vector<float> SiteCosts::* costs :
           {&SiteCosts::latency_ns, &SiteCosts::energy_pj, &SiteCosts::resident_latency_ns,
            &SiteCosts::resident_energy_pj}) {
        mean_of(own_share, from.*costs, share, rounding, to.*costs);
      }
      for (size_t t = 0; t < to.bytes.size(); ++t) {
        to.bytes[t] = std::max(to.bytes[t], from.bytes[t]);
      }
    }
    table.fixed_latency_ns = own_share * table.fixed_latency_ns + share * other.fixed_latency_ns;
    table.fixed_energy_pj = own_share * table.fixed_energy_pj + share * other.fixed_energy_pj;
    table.fixed_dram_bytes = std::max(table.fixed_dram_bytes, other.fixed_dram_bytes);
    table.sram_bytes = std::min(table.sram_bytes, other.sram_bytes);
    own_share = 1;
  }
  return {};
}

// A site lies in one stage, so its energy and bytes are of that stage's chips; memory is of all.
void ChipWork::count_all_chips(CostTable& table) const {
  if (stage_chips * stages == 1) return;
  for (SiteCosts& site : table.sites) {
    for (std::vector<float>* array : {&site.energy_pj, &site.resident_energy_pj, &site.bytes}) {
      for (float& value : *array) {
        if (value != kIllegal) value *= static_cast<float>(stage_chips);
      }
    }
  }
  table.fixed_energy_pj *= stage_chips;
  table.fixed_dram_bytes *= stage_chips;
  table.sram_bytes *= stage_chips * stages;
  table.dram_bytes *= stage_chips * stages;
}

void ChipWork::add_vectors(const ChipRates& r, double working_bytes, CostTable& table) const {
  for (const VectorWork& work : vectors) {
    const bool spilled = work.bytes > working_bytes;
    const double dram = spilled ? work.bytes : (work.embedding ? work.bytes / 2 : 0);
    const double sram = work.bytes - dram;
    const double turn_ns = spilled ? work.bytes / 2 * r.dram_turn_ns_per_byte : 0;
    const double latency =
        constants.vector_op_overhead_ns +
        std::max({dram * r.dram_copy_ns_per_byte + turn_ns, sram * r.sram_ns_per_byte,
                  work.cycles * r.vector_ns_per_cycle});
    const double energy = work.cycles * r.vector_pj_per_cycle + work.bytes * r.noc_pj_per_byte +
                          dram * r.dram_pj_per_byte + sram * r.sram_pj_per_byte +
                          latency * r.leakage_mw;
    table.fixed_latency_ns += phase_latency(work.times, work.runs, latency);
    table.fixed_energy_pj += phase_energy(work.times, work.runs, latency, energy, r.leakage_mw);
  }
}

void ChipWork::add_collectives(const ChipRates& r, double working_bytes, CostTable& table) const {
  for (const CollectiveWork& work : collectives) {
    const bool spilled = work.memory_bytes > working_bytes;
    const double memory_ns =
        spilled ? r.dram_copy_ns_per_byte + r.dram_turn_ns_per_byte / 2 : r.sram_ns_per_byte;
    const double memory_pj = spilled ? r.dram_pj_per_byte : r.sram_pj_per_byte;
    const double latency =
        constants.vector_op_overhead_ns +
        std::max({work.memory_bytes * memory_ns, work.cycles * r.vector_ns_per_cycle,
                  work.sent_bytes * r.link_ns_per_byte + work.hops * r.link_hop_ns});
    const double energy = work.cycles * r.vector_pj_per_cycle +
                          work.memory_bytes * (r.noc_pj_per_byte + memory_pj) +
                          work.sent_bytes * r.link_pj_per_byte + latency * r.leakage_mw;
    table.fixed_latency_ns += phase_latency(work.times, work.runs, latency);
    table.fixed_energy_pj += phase_energy(work.times, work.runs, latency, energy, r.leakage_mw);
  }
}

namespace {

void add_phase(ChipWork& impl, const recipe::PhaseOps& phase, double times, const PhaseRuns& runs) {
  const auto layers = static_cast<double>(impl.ops.num_layers);
  const auto add = [&](const recipe::Op& op, double repeats) {
    if (op.kind == recipe::OpKind::kLinear) {
      // Sites are per layer, so a linear of a layer counts once.
      impl.linears.push_back(linear_work(impl.constants, impl.menu, op, times, runs));
      impl.working_need_bytes =
          std::max(impl.working_need_bytes,
                   2 * static_cast<double>(op.m) * static_cast<double>(op.k + op.n));
    } else if (op.kind == recipe::OpKind::kVector && op.vector != recipe::VectorKind::kSoftmax) {
      const auto elements = static_cast<double>(op.elements);
      impl.vectors.push_back(
          {.times = repeats * times,
           .runs = runs,
           .bytes = elements * 4,
           .cycles = elements * impl.constants.vector_cycles[static_cast<size_t>(op.vector)],
           .embedding = op.vector == recipe::VectorKind::kEmbedding});
    } else if (op.kind == recipe::OpKind::kCollective) {
      const auto steps = static_cast<double>(op.ring_steps);
      impl.collectives.push_back(
          {.times = repeats * times,
           .runs = runs,
           .memory_bytes = static_cast<double>(op.memory_bytes),
           .cycles = static_cast<double>(op.elements) *
                     impl.constants.vector_cycles[static_cast<size_t>(op.vector)],
           .sent_bytes = steps * static_cast<double>(op.step_bytes),
           .hops = steps});
    }
  };
  for (const recipe::Op& op : phase.before) add(op, 1);
  for (const recipe::Op& op : phase.layer) add(op, layers);
  for (const recipe::Op& op : phase.between) add(op, impl.stages - 1);
  for (const recipe::Op& op : phase.after) add(op, 1);
}

void add_kv(ChipWork& impl) {
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
    ChipWork::KvWork work;
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
    work.max_tokens_bytes = impl.cache_copies * last * work.token_bytes;
    impl.kv.push_back(work);
  }
}

// `shape` is the share of one chip, work.ops are its ops.
void prepare(const model::ModelShape& shape, const recipe::Workload& workload, int64_t stage_chips,
             ChipWork& work) {
  const recipe::ModelOps& ops = work.ops;
  work.id = next_id.fetch_add(1);
  work.stage_chips = static_cast<double>(stage_chips);
  work.stages = static_cast<double>(ops.num_stages);
  work.prefill_runs = prefill_runs(ops.num_stages, ops.num_micro_batches);
  work.decode_runs = decode_runs(ops.num_stages, ops.num_micro_batches);
  work.batch = static_cast<double>(ops.batch);
  work.kv_heads = static_cast<double>(shape.num_kv_heads);
  work.group = static_cast<double>(shape.num_heads / shape.num_kv_heads);
  work.head_dim = static_cast<double>(shape.head_dim);
  work.prompt = static_cast<double>(workload.prompt_tokens);
  work.steps = static_cast<double>(ops.num_decode_steps);
  work.copies = work.batch * work.kv_heads;
  work.cache_copies = static_cast<double>(workload.batch) * work.kv_heads;
  work.fixed_dram_bytes =
      fixed_dram_bytes(shape, workload.prompt_tokens, ops.batch, ops.num_stages);
  work.nodes = decode_nodes(ops.first_decode_context, ops.num_decode_steps, kMaxContextNodes);
  add_phase(work, ops.prefill, 1, work.prefill_runs);
  if (work.steps > 0) add_phase(work, ops.decode, work.steps, work.decode_runs);
  add_kv(work);
  work.mapper = {.constants = &work.constants,
                 .menu = &work.menu,
                 .works = &work.linears,
                 .nodes = &work.nodes,
                 .batch = work.batch,
                 .kv_heads = work.kv_heads,
                 .group = work.group,
                 .head_dim = work.head_dim,
                 .prompt = work.prompt};
}

}  // namespace

const ChipWork* CostModel::Impl::find_work(const chip::Chip& chip) const {
  const recipe::Split split = split_of(chip);
  if (split.pipeline_parallel == 1) {
    const auto it = works.find(split.tensor_parallel);
    return it == works.end() ? nullptr : &it->second;
  }
  const PipelineKey key = {split.tensor_parallel, split.pipeline_parallel, split.micro_batches};
  const std::scoped_lock lock(pipelines_mutex);
  const auto it = pipelines.find(key);
  if (it != pipelines.end()) return &it->second;
  auto ops = recipe::lower(shape, own, split);
  if (!ops.has_value()) return nullptr;  // of what lower refuses, create leaves only the split
  ChipWork& work = pipelines.try_emplace(key, constants, menu).first->second;
  work.ops = std::move(*ops);
  prepare(*recipe::shard_shape(shape, split.tensor_parallel), own, split.tensor_parallel, work);
  return &work;
}

CostModel::CostModel(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
CostModel::CostModel(CostModel&&) noexcept = default;
CostModel& CostModel::operator=(CostModel&&) noexcept = default;
CostModel::~CostModel() = default;

bool CostModel::can_share(const chip::Chip& chip) const {
  return impl_->find_work(chip) != nullptr;
}
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
  impl->shape = shape;
  impl->workload = workload;
  impl->menu = menu;
  impl->technology = technology;
  DOVETAIL_TRY(impl->constants, resolve_constants(technology));
  DOVETAIL_TRY_STATUS(recipe::check_workload(shape, workload));
  const std::vector<recipe::WorkloadClass> classes = recipe::workload_classes(workload);
  impl->own = classes[0].workload;
  impl->own_share_frac = classes[0].share_frac;
  for (size_t i = 1; i < classes.size(); ++i) {
    DOVETAIL_TRY(CostModel other, create(shape, classes[i].workload, menu, technology));
    impl->others.push_back({.share_frac = classes[i].share_frac, .model = std::move(other)});
  }
  for (int64_t chips = 1; chips <= chip::kMaxTensorParallel; ++chips) {
    const auto shard = recipe::shard_shape(shape, chips);
    if (!shard.has_value()) continue;
    ChipWork& work = impl->works.try_emplace(chips, impl->constants, impl->menu).first->second;
    DOVETAIL_TRY(work.ops, recipe::lower(shape, impl->own, {.tensor_parallel = chips}));
    prepare(*shard, impl->own, chips, work);
  }
  return CostModel(std::move(impl));
}

}  // namespace dovetail::silicon
