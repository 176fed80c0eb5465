#include "report/roadmap_words.h"

#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "report/record_view.h"

namespace dovetail::report {

std::string scenario_words(const Json& scenario) {
  return fmt::format("{} within {} nats", objective_words(text_at(scenario, "objective")),
                     number_at(scenario, "kl_cap_nats"));
}

std::string show_share(double share) {
  return fmt::format("{:.{}f} %", share * 100, std::abs(share) < 0.0995 ? 2 : 1);
}

std::string band_words(const Json& json, const std::string& key, const std::string& unit,
                       double scale, const std::string& suffix) {
  if (!has_number(json, key + "_low" + unit) || !has_number(json, key + "_high" + unit)) return "";
  return fmt::format("{:.3g} to {:.3g}{}", number_at(json, key + "_low" + unit) * scale,
                     number_at(json, key + "_high" + unit) * scale, suffix);
}

std::string silicon_words(const Json& row) {
  std::vector<std::string> parts;
  for (const Json& pair : list_at(row, "silicon.pairs")) {
    std::vector<std::string> notes;
    if (flag_at(pair, "own", false)) notes.emplace_back("its own");
    if (flag_at(pair, "decoded", false)) notes.emplace_back("through the decoder");
    parts.push_back(fmt::format("{} x {}{}", text_at(pair, "weight"), text_at(pair, "activation"),
                                notes.empty() ? "" : fmt::format(" ({})", fmt::join(notes, ", "))));
  }
  const Json silicon = row.value("silicon", Json::object());
  if (has_number(silicon, "own_area_mm2"))
    parts.push_back(fmt::format("{:.3g} mm² of its own", number_at(silicon, "own_area_mm2")));
  if (flag_at(silicon, "hadamard_unit", false)) parts.emplace_back("a Hadamard unit");
  const double resident_mib = number_at(silicon, "resident_bytes") / 1048576.0;
  if (resident_mib > 0) parts.push_back(fmt::format("{:.3g} MiB in SRAM", resident_mib));
  return parts.empty() ? "nothing of its own" : fmt::format("{}", fmt::join(parts, "; "));
}

std::string parts_words(const Json& alternative) {
  return fmt::format("latency {}, energy {}, area {}",
                     show_share(number_at(alternative, "saved_latency_frac")),
                     show_share(number_at(alternative, "saved_energy_frac")),
                     show_share(number_at(alternative, "saved_area_frac")));
}

std::string place_words(const Json& row) {
  const std::string place = text_at(row, "place");
  if (place == "not on this chip") {
    std::vector<std::string> wanted;
    for (const Json& pair : list_at(row, "wanted_pairs")) wanted.push_back(pair.get<std::string>());
    return fmt::format("this chip executes none of it: no pair for {}", fmt::join(wanted, ", "));
  }
  if (place == "not used") {
    if (!has_number(row, "enters_at_frac"))
      return "would not make this answer cheaper even if it added no loss";
    const double frac = number_at(row, "enters_at_frac");
    const bool rotation = text_at(row, "kind") == "rotation";
    return frac <= 0 ? "would enter only if it added next to no loss"
                     : fmt::format("enters where {} {:.2g} of what is predicted",
                                   rotation ? "losses are" : "it adds", frac);
  }
  if (flag_at(row, "same_cost_without", false))
    return "at equal loss an answer without it costs the same, within the gap of solving";
  if (row.contains("without") && !flag_at(row["without"], "feasible", false)) {
    return flag_at(row.value("equal_loss", Json::object()), "feasible", false)
               ? "no answer without it leaves its nats unspent on this chip"
               : "no answer without it on this chip within this loss";
  }
  return "";
}

}  // namespace dovetail::report
