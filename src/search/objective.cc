#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/config.h"
#include "search/enumerate.h"

namespace dovetail::search {
namespace {

constexpr std::array<std::pair<const char*, Objective>, 6> kObjectives = {{
    {"latency", {Metric::kLatency, Scale::kNone}},
    {"latency_area", {Metric::kLatency, Scale::kArea}},
    {"latency_price", {Metric::kLatency, Scale::kPrice}},
    {"energy", {Metric::kEnergy, Scale::kNone}},
    {"energy_area", {Metric::kEnergy, Scale::kArea}},
    {"energy_price", {Metric::kEnergy, Scale::kPrice}},
}};

}  // namespace

Result<Objective> parse_objective(const std::string& name) {
  std::vector<std::string> names;
  for (const auto& [known, objective] : kObjectives) {
    if (name == known) return objective;
    names.emplace_back(known);
  }
  const std::string nearest = nearest_name(name, names).value_or(names.front());
  return invalid_argument(fmt::format("objective \"{}\" is unknown, did you mean \"{}\"? Known: {}",
                                      name, nearest, fmt::join(names, ", ")));
}

std::string objective_name(const Objective& objective) {
  for (const auto& [known, candidate] : kObjectives) {
    if (candidate == objective) return known;
  }
  DOVETAIL_CHECK(false);
  return "";
}

}  // namespace dovetail::search
