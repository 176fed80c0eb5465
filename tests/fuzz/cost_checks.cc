#include "cost_checks.h"

#include <cmath>

#include "base/paths.h"
#include "fuzz_target.h"
#include "silicon/check_chip.h"
#include "silicon/constants.h"
#include "silicon/estimate.h"

namespace dovetail::fuzz {
namespace {

// Read before a target may say otherwise.
const std::string kDataFolder = data_folder();

const silicon::Technology& technology() {
  static const auto loaded = silicon::Technology::load(kDataFolder + "/technology");
  require(loaded.has_value(), "the technology files of the repository can be read");
  return *loaded;
}

}  // namespace

const chip::Chip& reference_chip() {
  static const auto chip = chip::load_chip(kDataFolder + "/chips/reference_edge.toml");
  require(chip.has_value(), "the chip of the repository can be read");
  return *chip;
}

// Large enough that products of its sizes with the largest workload are near the limits.
model::ModelShape large_shape() {
  return {.family = model::Family::kLlama,
          .name = "large",
          .num_layers = 2,
          .hidden_size = 16384,
          .intermediate_size = 53248,
          .num_heads = 128,
          .num_kv_heads = 8,
          .head_dim = 128,
          .vocab_size = 128256,
          .max_positions = 131072};
}

void require_finite_costs(const chip::Chip& chip, const model::ModelShape& shape,
                          const recipe::Workload& workload) {
  const Status known = silicon::check_known(chip, technology(), "input.toml");
  if (!known.has_value()) {
    require_good_error(known.error());
    return;
  }
  for (const char* treatment : {"bf16", "int4_g128+a:int8_token+kv:int8+head:int8"}) {
    const auto recipe = recipe::parse_uniform_recipe(shape, treatment);
    const auto report = silicon::estimate_cost(chip, technology(), shape, workload, *recipe, {});
    if (!report.has_value()) {
      require_good_error(report.error());
      continue;
    }
    for (const double cost :
         {report->latency_ns, report->prefill_latency_ns, report->energy_pj,
          report->sustained_power_mw, report->area.total_mm2(), report->peak_power.total_mw(),
          report->price.die_usd, report->dram_bytes_needed}) {
      require(std::isfinite(cost) && cost > 0, "costs are finite and positive");
    }
    require(report->bound_latency_ns <= report->latency_ns * (1 + 1e-9),
            "no design is quicker than its bound");
    require(report->prefill_latency_ns <= report->latency_ns, "prefill is a part of the request");
  }
}

}  // namespace dovetail::fuzz
