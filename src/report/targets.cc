#include "report/targets.h"

#include <fmt/format.h>

#include "report/record_view.h"

namespace dovetail::report {
namespace {

struct Row {
  const char* team;
  const char* quantity;
  double value;
  const char* unit;
  const char* tier;
  double low;
  double high;
  const char* depends_on;
};

Json to_row(const std::string& scenario, const std::string& product, const Row& row) {
  return Json{{"team", row.team},      {"scenario", scenario},
              {"product", product},    {"quantity", row.quantity},
              {"value", row.value},    {"unit", row.unit},
              {"tier", row.tier},      {"band_low", row.low},
              {"band_high", row.high}, {"depends_on", row.depends_on}};
}

// No calibration of T1 against measured machines exists yet; until it does, its band is the range
// that the record carries, or nothing is claimed (both ends equal the value).
Row analytical(const char* team, const char* quantity, double value, const char* unit,
               const char* depends_on) {
  return {team, quantity, value, unit, "analytical", value, value, depends_on};
}

void add_product_rows(const std::string& scenario, double kl_cap, const Json& product, Json& rows) {
  const std::string name = text_at(product, "name");
  const auto add = [&](const Row& row) { rows.push_back(to_row(scenario, name, row)); };
  if (has_number(product, "measured_kl_nats")) {
    const double kl = number_at(product, "measured_kl_nats");
    const double error = 2 * number_at(product, "measured_kl_stderr_nats");
    add({"model", "kl_nats_per_token", kl, "nats/token", "executed", kl - error, kl + error,
         "recipe, selection text"});
  } else {
    const double kl = number_at(product, "expected_kl_nats");
    add({"model", "kl_nats_per_token", kl, "nats/token", "predicted", kl, kl,
         "recipe, borrowed loss profile"});
  }
  add({"model", "kl_cap_nats_per_token", kl_cap, "nats/token", "target", kl_cap, kl_cap, "study"});
  add(analytical("model", "bits_per_weight", number_at(product, "bits_per_weight"), "bits",
                 "recipe"));
  add(analytical("compiler", "prefill_latency_ns", number_at(product, "cost.prefill_latency_ns"),
                 "ns", "chip, recipe, workload"));
  add(analytical("compiler", "dram_bytes", number_at(product, "cost.dram_bytes"), "bytes",
                 "chip, recipe, workload"));
  add(analytical("runtime", "time_per_token_ns", number_at(product, "cost.time_per_token_ns"), "ns",
                 "chip, recipe, workload"));
  add(analytical("runtime", "throughput_tokens_per_s",
                 number_at(product, "cost.throughput_tokens_per_s"), "tokens/s",
                 "chip, recipe, workload"));
  add(analytical("silicon", "energy_pj_per_token", number_at(product, "cost.energy_pj_per_token"),
                 "pJ", "chip, recipe, workload"));
}

}  // namespace

Result<Json> make_targets(const Json& record) {
  DOVETAIL_TRY_STATUS(check_record(record));
  Json rows = Json::array();
  for (const Json& scenario : record["scenarios"]) {
    if (!scenario["feasible"].get<bool>()) continue;
    const Json& point = scenario["recommendation"];
    const double kl_cap = number_at(scenario, "kl_cap_nats");
    const std::string name =
        fmt::format("{} at KL <= {:g}", text_at(scenario, "objective"), kl_cap);
    for (const Json& product : point["products"]) add_product_rows(name, kl_cap, product, rows);
    double area_low = number_at(point, "limits.area_mm2");
    double area_high = area_low;
    if (has_number(point, "area_low_mm2")) area_low = number_at(point, "area_low_mm2");
    if (has_number(point, "area_high_mm2")) area_high = number_at(point, "area_high_mm2");
    rows.push_back(to_row(name, "",
                          {"silicon", "area_mm2", number_at(point, "limits.area_mm2"), "mm2",
                           "analytical", area_low, area_high, "chip, technology constants"}));
    rows.push_back(
        to_row(name, "",
               analytical("silicon", "peak_power_mw", number_at(point, "limits.peak_power_mw"),
                          "mW", "chip, technology constants")));
    rows.push_back(to_row(
        name, "",
        analytical("silicon", "clock_mhz", number_at(point, "chip.clock_mhz"), "MHz", "chip")));
    rows.push_back(to_row(name, "",
                          analytical("silicon", "price_usd", number_at(point, "limits.price_usd"),
                                     "USD", "chip, technology constants")));
  }
  return Json{
      {"schema_version", kRecordVersion}, {"study", text_at(record, "name")}, {"targets", rows}};
}

}  // namespace dovetail::report
