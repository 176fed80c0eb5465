#include "report/record_view.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

namespace dovetail::report {
namespace {

// The value at a dotted path, null if any part is absent.
const Json& at_path(const Json& json, const std::string& path) {
  static const Json kNull;
  const Json* node = &json;
  size_t start = 0;
  while (start <= path.size()) {
    const size_t dot = std::min(path.find('.', start), path.size());
    const std::string key = path.substr(start, dot - start);
    if (!node->is_object() || !node->contains(key)) return kNull;
    node = &(*node)[key];
    start = dot + 1;
  }
  return *node;
}

}  // namespace

Status check_record(const Json& record) {
  if (!record.is_object() || !record.contains("schema_version")) {
    return invalid_argument("record: schema_version is missing, want the record of a study");
  }
  if (record["schema_version"] != kRecordVersion) {
    return invalid_argument(fmt::format("record: schema_version = {}, want {}",
                                        record["schema_version"].dump(), kRecordVersion));
  }
  for (const char* key : {"scenarios", "products", "front", "budget"}) {
    if (!record.contains(key)) {
      return invalid_argument(
          fmt::format("record: {} is missing, want the record of a study", key));
    }
  }
  return {};
}

double number_at(const Json& json, const std::string& path, double otherwise) {
  const Json& node = at_path(json, path);
  return node.is_number() ? node.get<double>() : otherwise;
}

bool has_number(const Json& json, const std::string& path) {
  return at_path(json, path).is_number();
}

std::string text_at(const Json& json, const std::string& path) {
  const Json& node = at_path(json, path);
  return node.is_string() ? node.get<std::string>() : node.is_null() ? "" : node.dump();
}

const Json& list_at(const Json& json, const std::string& path) {
  static const Json kEmpty = Json::array();
  const Json& node = at_path(json, path);
  return node.is_array() ? node : kEmpty;
}

std::string objective_words(const std::string& objective) {
  static const std::map<std::string, std::string> kWords = {{"latency", "request latency"},
                                                            {"latency_area", "latency x area"},
                                                            {"latency_price", "latency x price"},
                                                            {"energy", "energy per request"},
                                                            {"energy_area", "energy x area"}};
  const auto it = kWords.find(objective);
  return it == kWords.end() ? objective : it->second;
}

std::string show_ns(double ns) {
  if (ns >= 1e9) return fmt::format("{:.3g} s", ns / 1e9);
  if (ns >= 1e6) return fmt::format("{:.3g} ms", ns / 1e6);
  return fmt::format("{:.3g} us", ns / 1e3);
}

std::string show_bytes(double bytes) {
  if (bytes >= 1e9) return fmt::format("{:.3g} GB", bytes / 1e9);
  return fmt::format("{:.3g} MB", bytes / 1e6);
}

std::string describe_chip(const Json& chip) {
  const Json& units = list_at(chip, "units");
  std::string unit_words = "no unit";
  if (!units.empty()) {
    unit_words = fmt::format("{:.0f}x{:.0f}x{:.0f} {}", number_at(units[0], "rows"),
                             number_at(units[0], "cols"), number_at(units[0], "depth"),
                             text_at(units[0], "format_set"));
  }
  return fmt::format(
      "{}, {:.0f} core{} of {} at {:.0f} MHz, {:.0f} lanes, {:g} MiB SRAM, {:.0f} x {}",
      text_at(chip, "node"), number_at(chip, "cores"), number_at(chip, "cores") > 1 ? "s" : "",
      unit_words, number_at(chip, "clock_mhz"), number_at(chip, "vector_lanes"),
      number_at(chip, "sram_mib"), number_at(chip, "dram.channels"), text_at(chip, "dram.kind"));
}

std::string describe_recipe(const Json& product) {
  std::map<std::string, int64_t> counts;
  if (product.contains("recipe")) {
    for (const auto& [site, treatment] : product["recipe"].items()) {
      ++counts[treatment.get<std::string>() + (site.ends_with(".kv") ? " (kv)" : "")];
    }
  }
  std::vector<std::pair<int64_t, std::string>> order;
  for (const auto& [name, count] : counts) order.emplace_back(-count, name);
  std::sort(order.begin(), order.end());
  std::string words = fmt::format("{:.2f} bits/weight", number_at(product, "bits_per_weight"));
  constexpr size_t kMaxNamed = 4;
  for (size_t i = 0; i < std::min(order.size(), kMaxNamed); ++i) {
    words += fmt::format("{} {} x{}", i == 0 ? ":" : ",", order[i].second, -order[i].first);
  }
  if (order.size() > kMaxNamed) words += fmt::format(" and {} more", order.size() - kMaxNamed);
  return words;
}

}  // namespace dovetail::report
