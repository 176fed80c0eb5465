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

// The kinds of what the pages index into without asking again. `name[]` goes through an array. What
// is absent or null passes; what must be there, check_scenarios asks for.
struct Kind {
  std::string_view path;
  Json::value_t type;
};
constexpr Kind kKinds[] = {
    {"budget", Json::value_t::object},
    {"search", Json::value_t::object},
    {"search.exact", Json::value_t::boolean},
    {"products[]", Json::value_t::object},
    {"loss_table[]", Json::value_t::object},
    {"loss_table[].loss_nats[]", Json::value_t::array},
    {"scenarios[].recommendation", Json::value_t::object},
    {"scenarios[].recommendation.products[]", Json::value_t::object},
    {"scenarios[].recommendation.products[].recipe", Json::value_t::object},
    {"scenarios[].recommendation.products[].recipe.*", Json::value_t::string},
    {"scenarios[].baselines[]", Json::value_t::object},
    {"scenarios[].baselines[].feasible", Json::value_t::boolean},
    {"scenarios[].shadow_prices[]", Json::value_t::object},
    {"scenarios[].shadow_prices[].feasible", Json::value_t::boolean},
    {"scenarios[].tornado[]", Json::value_t::object},
    {"scenarios[].tornado[].winner_changes", Json::value_t::boolean},
};

std::string_view kind_word(Json::value_t type) {
  switch (type) {
    case Json::value_t::object:
      return "an object";
    case Json::value_t::array:
      return "an array";
    case Json::value_t::string:
      return "a text";
    default:
      return "true or false";
  }
}

// `path` leads from `node`, which stands at `where`, to what must be of `type`.
Status check_kind(const Json& node, std::string_view path, Json::value_t type,
                  const std::string& where) {
  if (node.is_null()) return {};
  if (path.empty()) {
    if (node.type() == type) return {};
    return invalid_argument(
        fmt::format("record: {} is {}, want {}", where, node.type_name(), kind_word(type)));
  }
  if (path.starts_with("[]")) {
    if (!node.is_array()) {
      return invalid_argument(
          fmt::format("record: {} is {}, want an array", where, node.type_name()));
    }
    path.remove_prefix(2);
    for (size_t i = 0; i < node.size(); ++i) {
      DOVETAIL_TRY_STATUS(check_kind(node[i], path, type, fmt::format("{}[{}]", where, i)));
    }
    return {};
  }
  if (path.starts_with('.')) path.remove_prefix(1);
  const size_t end = std::min(path.find_first_of(".["), path.size());
  const std::string_view key = path.substr(0, end);
  path.remove_prefix(end);
  if (!node.is_object()) return {};  // named by the entry of the shorter path
  for (const auto& [name, child] : node.items()) {
    if (key != "*" && name != key) continue;
    DOVETAIL_TRY_STATUS(
        check_kind(child, path, type, where.empty() ? name : fmt::format("{}.{}", where, name)));
  }
  return {};
}

// "n7" -> "7 nm".
std::string node_words(const std::string& node) {
  const bool sized = node.size() > 1 && node[0] == 'n' &&
                     node.find_first_not_of("0123456789", 1) == std::string::npos;
  return sized ? node.substr(1) + " nm" : node;
}

// The summary and the targets index into these without asking again.
Status check_scenarios(const Json& scenarios) {
  for (size_t i = 0; i < scenarios.size(); ++i) {
    const Json& scenario = scenarios[i];
    if (!scenario.is_object() || !scenario.contains("feasible") ||
        !scenario["feasible"].is_boolean()) {
      return invalid_argument(
          fmt::format("record: scenarios[{}].feasible is missing, want true or false", i));
    }
    if (!scenario["feasible"].get<bool>()) continue;
    const Json& products = at_path(scenario, "recommendation.products");
    if (!products.is_array() || products.empty() || !products[0].is_object() ||
        !at_path(scenario, "recommendation.chip").is_object()) {
      return invalid_argument(fmt::format(
          "record: scenarios[{}].recommendation lacks chip or products, want a point", i));
    }
    const Json& baselines = at_path(scenario, "baselines");
    if (!baselines.is_array()) {
      return invalid_argument(
          fmt::format("record: scenarios[{}].baselines is missing, want an array", i));
    }
    for (const Json& baseline : baselines) {
      if (!baseline.is_object() || !baseline.contains("feasible") ||
          !baseline["feasible"].is_boolean()) {
        return invalid_argument(fmt::format(
            "record: scenarios[{}].baselines[].feasible is missing, want true or false", i));
      }
    }
  }
  return {};
}

}  // namespace

bool flag_at(const Json& json, std::string_view key, bool fallback) {
  if (!json.is_object()) return fallback;
  const auto found = json.find(key);
  return found != json.end() && found->is_boolean() ? found->get<bool>() : fallback;
}

Status check_record(const Json& record) {
  if (!record.is_object() || !record.contains("schema_version")) {
    return invalid_argument("record: schema_version is missing, want the record of a study");
  }
  const Json& version = record["schema_version"];
  if (version != kRecordVersion && version != kOldestRecordVersion) {
    return invalid_argument(fmt::format("record: schema_version = {}, want {}",
                                        record["schema_version"].dump(), kRecordVersion));
  }
  for (const char* key : {"scenarios", "products", "front", "budget"}) {
    if (!record.contains(key)) {
      return invalid_argument(
          fmt::format("record: {} is missing, want the record of a study", key));
    }
    if (key != std::string("budget") && !record[key].is_array()) {
      return invalid_argument(
          fmt::format("record: {} is {}, want an array", key, record[key].type_name()));
    }
  }
  for (const Kind& kind : kKinds) {
    DOVETAIL_TRY_STATUS(check_kind(record, kind.path, kind.type, ""));
  }
  return check_scenarios(record["scenarios"]);
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

std::string baseline_words(const std::string& name) {
  static const std::map<std::string, std::string> kWords = {
      {"recipe_first", "compress first, then build"},
      {"size_first", "smallest recipe first, then build"},
      {"silicon_first_w8a8", "build for W8A8 first, then compress"},
      {"silicon_first_w4a16", "build for W4A16 first, then compress"},
      {"best_uniform", "best uniform format on its own best chip"}};
  const auto it = kWords.find(name);
  return it == kWords.end() ? name : it->second;
}

std::string resource_words(const std::string& resource) {
  static const std::map<std::string, std::string> kWords = {{"dram", "DRAM bandwidth"},
                                                            {"sram", "SRAM bandwidth"},
                                                            {"decoder", "the decoder"},
                                                            {"compute", "the multipliers"},
                                                            {"vector", "the vector unit"}};
  const auto it = kWords.find(resource);
  return it == kWords.end() ? resource : it->second;
}

std::string method_words(const std::string& method) {
  return method == "nsga2" ? "NSGA-II" : method.empty() ? "heuristic" : method;
}

std::string unit_words(const std::string& unit) {
  static const std::map<std::string, std::string> kWords = {
      {"mm2", "mm²"}, {"C", "°C"}, {"pair", "native pair"}};
  const auto it = kWords.find(unit);
  return it == kWords.end() ? unit : it->second;
}

std::string show_ns(double ns) {
  if (ns >= 1e9) return fmt::format("{:.3g} s", ns / 1e9);
  if (ns >= 1e6) return fmt::format("{:.3g} ms", ns / 1e6);
  return fmt::format("{:.3g} us", ns / 1e3);
}

std::string show_pj(double pj) {
  if (pj >= 1e12) return fmt::format("{:.3g} J", pj / 1e12);
  if (pj >= 1e9) return fmt::format("{:.3g} mJ", pj / 1e9);
  return fmt::format("{:.3g} uJ", pj / 1e6);
}

std::string show_count(double count) {
  std::string digits = fmt::format("{:.0f}", count);
  for (size_t i = digits.size(); i > 3 && digits[i - 4] != '-'; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

std::string describe_chip(const Json& chip) {
  const Json& units = list_at(chip, "units");
  std::string unit_words = "no unit";
  if (!units.empty()) {
    unit_words = fmt::format("{:.0f}x{:.0f}x{:.0f} {}", number_at(units[0], "rows"),
                             number_at(units[0], "cols"), number_at(units[0], "depth"),
                             text_at(units[0], "format_set"));
  }
  const double chips = number_at(chip, "scale_up.tensor_parallel", 1) *
                       number_at(chip, "scale_up.pipeline_parallel", 1);
  return fmt::format(
      "{}{}, {:.0f} core{} of {} at {:.0f} MHz, {:.0f} lanes, {:g} MiB SRAM, {:.0f} x {}",
      chips > 1 ? fmt::format("{:.0f} chips, each ", chips) : "", node_words(text_at(chip, "node")),
      number_at(chip, "cores"), number_at(chip, "cores") > 1 ? "s" : "", unit_words,
      number_at(chip, "clock_mhz"), number_at(chip, "vector_lanes"), number_at(chip, "sram_mib"),
      number_at(chip, "dram.channels"), text_at(chip, "dram.kind"));
}

namespace {

// Records from before rotations name none.
std::string rotation_of(const Json& json) {
  return json.contains("rotation") ? text_at(json, "rotation") : "none";
}

}  // namespace

const Json* loss_table_of(const Json& record, const Json& product) {
  for (const Json& table : list_at(record, "loss_table")) {
    if (text_at(table, "product") == text_at(product, "name") &&
        rotation_of(table) == rotation_of(product))
      return &table;
  }
  return nullptr;
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
  if (rotation_of(product) != "none") words += fmt::format(", rotated by {}", rotation_of(product));
  constexpr size_t kMaxNamed = 4;
  for (size_t i = 0; i < std::min(order.size(), kMaxNamed); ++i) {
    words += fmt::format("{} {} x{}", i == 0 ? ":" : ",", order[i].second, -order[i].first);
  }
  if (order.size() > kMaxNamed) words += fmt::format(" and {} more", order.size() - kMaxNamed);
  return words;
}

}  // namespace dovetail::report
