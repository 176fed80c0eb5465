// What every treatment costs on one chip, site kind by site kind: the table that the search reads.
//
// All layers are alike, so costs depend on the site kind and not on the layer. Costs of a design
// point add up: fixed + sum over sites. `estimate_cost` (estimate.h) is the slow, obvious sum over
// ops of one recipe; a test holds the two together.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "chip/chip.h"
#include "model/model.h"
#include "recipe/lower.h"
#include "recipe/site.h"
#include "recipe/workload.h"
#include "silicon/technology.h"

namespace dovetail::silicon {

inline constexpr float kIllegal = 1e30f;  // cost of a treatment that the chip cannot execute

// Costs of one site, per treatment of the menu; energies and bytes of all chips that share the
// model, whose shares are equal. One request batch from first prompt token to last
// generated token. A resident site keeps its weights (or KV) in shared SRAM throughout.
struct SiteCosts {
  std::vector<float> latency_ns;           // streamed from DRAM; kIllegal if not executable
  std::vector<float> energy_pj;            // leakage over latency_ns included
  std::vector<float> resident_latency_ns;  // from SRAM
  std::vector<float> resident_energy_pj;
  std::vector<float> bytes;  // in DRAM (capacity), or in SRAM when resident
};

struct CostTable {
  std::array<SiteCosts, recipe::kNumSiteKinds> sites;  // by SiteKind
  double fixed_latency_ns = 0;                         // ops that no treatment changes
  double fixed_energy_pj = 0;
  double fixed_dram_bytes = 0;  // untied embedding, norms, activations
  double sram_bytes = 0;        // shared SRAM that residency may use (working space taken off)
  double dram_bytes = 0;        // capacity; this and the lines above: of all chips
};

// Area, power and price of a chip, or of all chips that share a model: properties of the chip
// alone.
struct ChipLimits {
  int64_t num_chips = 1;
  double area_mm2 = 0;
  double peak_power_mw = 0;      // die and DRAM devices
  double die_peak_power_mw = 0;  // die alone: what W/mm2 is about
  double die_price_usd = 0;
  double dram_price_usd = 0;
  double dram_gb_per_s = 0;  // peak of all channels, 1e9 B/s; search limits it
};

// Everything about (model, workload, menu, technology) that no chip changes, prepared once; then
// one chip's table costs microseconds. Thread-safe to read: what a table needs of the mapper (the
// Pareto sets of mappings, which depend on the grid, the buffers and the number of cores, not on
// clock, bandwidth, SRAM or lanes) is kept per thread, so chips that share those fields come cheap.
class CostModel {
 public:
  [[nodiscard]] static Result<CostModel> create(const model::ModelShape& shape,
                                                const recipe::Workload& workload,
                                                const recipe::Menu& menu,
                                                const Technology& technology);
  CostModel(CostModel&&) noexcept;
  CostModel& operator=(CostModel&&) noexcept;
  ~CostModel();

  // T1. A number of chips that cannot share the model leaves every treatment kIllegal. `table` is
  // reused to avoid allocation. The chip has passed check_chip and its node and DRAM
  // kind are known (create's technology), else kInvalidArgument.
  [[nodiscard]] Status fill_table(const chip::Chip& chip, CostTable& table) const;
  // T0: never above T1, site by site and treatment by treatment, streamed and resident; depends
  // only on `bound_key` of the chip, so chips that share a key share the table (dram_bytes
  // included).
  [[nodiscard]] Status fill_bound(const chip::Chip& chip, CostTable& table) const;
  // Node, clock, DRAM kind, channels and capacity, shared SRAM, vector lanes of all cores, whether
  // there is a Hadamard unit, chips, how they share a model, and their links, and per native pair
  // the multiply-accumulates per cycle of the whole chip: nothing else moves T0.
  [[nodiscard]] static std::string bound_key(const chip::Chip& chip);
  // Whether the model can be divided among the chips (recipe::check_split).
  [[nodiscard]] bool can_share(const chip::Chip& chip) const;
  [[nodiscard]] Result<ChipLimits> limits(const chip::Chip& chip) const;
  // The clock that all its units reach; a property of node, depth and pairs alone.
  [[nodiscard]] Result<double> reaches_mhz(const chip::Chip& chip) const;
  // As given to create: search prices reported points with estimate_cost.
  [[nodiscard]] const model::ModelShape& shape() const;
  [[nodiscard]] const recipe::Workload& workload() const;
  [[nodiscard]] const Technology& technology() const;

  struct Impl;  // cost_model_impl.h, for the sources of this folder

 private:
  explicit CostModel(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dovetail::silicon
