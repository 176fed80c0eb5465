#include "report/targets.h"

#include <optional>

#include <fmt/format.h>

#include "report/record_view.h"

namespace dovetail::report {
namespace {

struct Limit {
  double value = 0;
  std::string from;
};

struct Row {
  const char* team;
  const char* quantity;
  double value;
  const char* unit;
  const char* tier;
  double low;
  double high;
  const char* depends_on;
  std::optional<Limit> limit = std::nullopt;
  bool more_is_better = false;
};

// What is the same in all rows of a scenario.
struct Scope {
  const Json& record;
  const Json& scenario;
  size_t index;
  std::string name;
  Json& rows;
};

void add_row(const Scope& scope, const std::string& product, const Row& row) {
  Json json = {{"team", row.team},
               {"scenario", scope.name},
               {"scenario_index", scope.index},
               {"product", product},
               {"quantity", row.quantity},
               {"value", row.value},
               {"unit", row.unit},
               {"tier", row.tier},
               {"band_low", row.low},
               {"band_high", row.high},
               {"depends_on", row.depends_on}};
  if (row.limit.has_value() && row.value != 0) {
    const double sign = row.more_is_better ? -1 : 1;
    json["limit"] = row.limit->value;
    json["limit_from"] = row.limit->from;
    json["slack_frac"] = sign * (row.limit->value - row.value) / row.value;
  }
  scope.rows.push_back(std::move(json));
}

// No calibration of T1 against measured machines exists yet; until it does, its band is the range
// that the record carries, or nothing is claimed (both ends equal the value).
Row analytical(const char* team, const char* quantity, double value, const char* unit,
               const char* depends_on, std::optional<Limit> limit = std::nullopt) {
  return {team, quantity, value, unit, "analytical", value, value, depends_on, std::move(limit)};
}

std::optional<Limit> budget_limit(const Json& record, const char* key, double scale) {
  const std::string path = fmt::format("budget.{}", key);
  // Studies write "no limit" as an absurdly large one.
  constexpr double kNoLimit = 1e8;
  if (!has_number(record, path) || number_at(record, path) >= kNoLimit) return std::nullopt;
  return Limit{scale * number_at(record, path), key};
}

// How much the scenario's objective may grow until the closest baseline is as good; nothing if that
// margin is not established.
std::optional<std::pair<double, std::string>> baseline_room(const Json& scenario) {
  std::optional<std::pair<double, std::string>> room;
  for (const Json& baseline : scenario["baselines"]) {
    if (!flag_at(baseline, "feasible", false)) continue;
    const double ratio = number_at(baseline, "ratio", 1);
    if (!room.has_value() || ratio < room->first) {
      room = {ratio,
              text_at(baseline, "verdict") == "established" ? text_at(baseline, "name") : ""};
    }
  }
  if (room.has_value() && (room->second.empty() || room->first <= 1)) return std::nullopt;
  return room;
}

// A limit only where the scenario's objective is proportional to the quantity.
std::optional<Limit> against_baseline(const Scope& scope, const char* factor, double value,
                                      bool one_product) {
  if (!one_product || text_at(scope.scenario, "objective").find(factor) == std::string::npos) {
    return std::nullopt;
  }
  const auto room = baseline_room(scope.scenario);
  if (!room.has_value()) return std::nullopt;
  return Limit{value * room->first, "closest baseline " + room->second};
}

Row loss_row(const Json& product, double kl_cap) {
  const Limit cap{kl_cap, "kl_cap_nats"};
  if (has_number(product, "measured_kl_nats")) {
    const double kl = number_at(product, "measured_kl_nats");
    const double error = 2 * number_at(product, "measured_kl_stderr_nats");
    return {"model",    "kl_nats_per_token",      kl, "nats/token", "executed", kl - error,
            kl + error, "recipe, selection text", cap};
  }
  const double kl = number_at(product, "expected_kl_nats");
  return {"model",     "kl_nats_per_token",
          kl,          "nats/token",
          "predicted", kl,
          kl,          "recipe, borrowed loss profile",
          cap};
}

void add_product_rows(const Scope& scope, const Json& product, bool one_product) {
  const std::string name = text_at(product, "name");
  const double kl_cap = number_at(scope.scenario, "kl_cap_nats");
  constexpr const char* kAll = "chip, recipe, workload";
  const auto cost = [&](const char* key) { return number_at(product, std::string("cost.") + key); };
  const auto add = [&](const Row& row) { add_row(scope, name, row); };
  add(loss_row(product, kl_cap));
  add({"model", "kl_cap_nats_per_token", kl_cap, "nats/token", "target", kl_cap, kl_cap, "study"});
  add(analytical("model", "bits_per_weight", number_at(product, "bits_per_weight"), "bits",
                 "recipe"));
  add(analytical("compiler", "latency_ns", cost("latency_ns"), "ns", kAll,
                 against_baseline(scope, "latency", cost("latency_ns"), one_product)));
  add(analytical("compiler", "prefill_latency_ns", cost("prefill_latency_ns"), "ns", kAll));
  add(analytical("compiler", "dram_bytes", cost("dram_bytes"), "bytes", kAll));
  add(analytical("runtime", "time_per_token_ns", cost("time_per_token_ns"), "ns", kAll));
  Row throughput = analytical("runtime", "throughput_tokens_per_s", cost("throughput_tokens_per_s"),
                              "tokens/s", kAll);
  throughput.more_is_better = true;
  add(throughput);
  add(analytical("silicon", "energy_pj_per_token", cost("energy_pj_per_token"), "pJ", kAll,
                 against_baseline(scope, "energy", cost("energy_pj_per_token"), one_product)));
  add(analytical("silicon", "sustained_power_mw", cost("sustained_power_mw"), "mW", kAll,
                 budget_limit(scope.record, "max_sustained_power_w", 1000)));
}

void add_chip_rows(const Scope& scope) {
  const Json& point = scope.scenario["recommendation"];
  constexpr const char* kChip = "chip, technology constants";
  const double area = number_at(point, "limits.area_mm2");
  Row area_row = analytical("silicon", "area_mm2", area, "mm2", kChip,
                            budget_limit(scope.record, "max_area_mm2", 1));
  area_row.low = number_at(point, "area_low_mm2", area);
  area_row.high = number_at(point, "area_high_mm2", area);
  add_row(scope, "", area_row);
  add_row(scope, "",
          analytical("silicon", "peak_power_mw", number_at(point, "limits.peak_power_mw"), "mW",
                     kChip, budget_limit(scope.record, "max_peak_power_w", 1000)));
  add_row(scope, "",
          analytical("silicon", "clock_mhz", number_at(point, "chip.clock_mhz"), "MHz", "chip"));
  add_row(scope, "",
          analytical("silicon", "price_usd", number_at(point, "limits.price_usd"), "USD", kChip,
                     budget_limit(scope.record, "max_price_usd", 1)));
}

}  // namespace

Result<Json> make_targets(const Json& record) {
  return reading_record([&]() -> Result<Json> {
    DOVETAIL_TRY_STATUS(check_record(record));
    Json rows = Json::array();
    const Json& scenarios = record["scenarios"];
    for (size_t i = 0; i < scenarios.size(); ++i) {
      const Json& scenario = scenarios[i];
      if (!flag_at(scenario, "feasible", false)) continue;
      const Json& products = scenario["recommendation"]["products"];
      const Scope scope{record, scenario, i,
                        fmt::format("{} at KL <= {:g}", text_at(scenario, "objective"),
                                    number_at(scenario, "kl_cap_nats")),
                        rows};
      for (const Json& product : products) add_product_rows(scope, product, products.size() == 1);
      add_chip_rows(scope);
    }
    return Json{
        {"schema_version", kRecordVersion}, {"study", text_at(record, "name")}, {"targets", rows}};
  });
}

}  // namespace dovetail::report
