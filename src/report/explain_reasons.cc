#include "report/explain_reasons.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "report/record_view.h"

namespace dovetail::report {
namespace {

// A change smaller than this is not worth a word.
constexpr double kNoticeableFrac = 5e-4;

std::string percent(double frac) {
  const double value = 100 * std::abs(frac);
  return value < 9.95 ? fmt::format("{:.1f} %", value) : fmt::format("{:.0f} %", value);
}

struct Axis {
  std::string_view name;
  std::string value;
};

// What one can choose of a chip, in words.
std::vector<Axis> axes_of(const Json& chip) {
  const Json& units = list_at(chip, "units");
  const Json none = Json::object();
  const Json& unit = units.empty() ? none : units[0];
  return {
      {"format set", text_at(unit, "format_set")},
      {"array", fmt::format("{:.0f}x{:.0f}x{:.0f}", number_at(unit, "rows"),
                            number_at(unit, "cols"), number_at(unit, "depth"))},
      {"cores", fmt::format("{:.0f}", number_at(chip, "cores"))},
      {"SRAM", fmt::format("{:g} MiB", number_at(chip, "sram_mib"))},
      {"DRAM",
       fmt::format("{:.0f} x {}", number_at(chip, "dram.channels"), text_at(chip, "dram.kind"))},
      {"clock", fmt::format("{:.0f} MHz", number_at(chip, "clock_mhz"))},
      {"vector lanes", fmt::format("{:.0f}", number_at(chip, "vector_lanes"))},
      {"decoder", fmt::format("{:.0f} values/cycle", number_at(chip, "decoder_values_per_cycle"))},
      {"node", text_at(chip, "node")}};
}

// Time by resource in one phase: of ops in a full point, of groups in a point of the front.
std::map<std::string, double> time_by_resource(const Json& point, const std::string& phase) {
  std::map<std::string, double> time_ns;
  for (const Json& product : list_at(point, "products")) {
    for (const Json& op : list_at(product, "cost.ops")) {
      if (text_at(op, "phase") == phase)
        time_ns[text_at(op, "binding")] += number_at(op, "latency_ns");
    }
    for (const Json& group :
         list_at(product, "groups")) {  // [phase, group, ns, pJ, bytes, binding]
      if (group.size() == 6 && group[0] == phase) {
        time_ns[group[5].get<std::string>()] += group[2].get<double>();
      }
    }
  }
  return time_ns;
}

double sum_of(const std::map<std::string, double>& parts) {
  double sum = 0;
  for (const auto& [name, part] : parts) sum += part;
  return sum;
}

std::string shares_words(const std::map<std::string, double>& time_ns) {
  std::vector<std::pair<double, std::string>> order;
  for (const auto& [resource, ns] : time_ns) order.emplace_back(-ns, resource);
  std::ranges::sort(order);
  const double total = sum_of(time_ns);
  std::string words;
  for (const auto& [ns, resource] : order) {
    constexpr double kWorthNaming = 0.005;
    if (-ns < kWorthNaming * total) continue;
    words += fmt::format("{}{:.0f} % {}for {}", words.empty() ? "" : ", ", -100 * ns / total,
                         words.empty() ? "waits " : "", resource_words(resource));
  }
  return words;
}

// What follows from the resource that takes most of a phase.
std::string consequence(const std::string& resource) {
  if (resource == "dram") {
    return "fewer bits to read make it faster, more multipliers would only wait";
  }
  if (resource == "compute") {
    return "more or narrower multipliers make it faster, fewer stored bits alone do not";
  }
  if (resource == "vector") return "more vector lanes or fewer tokens make it faster";
  if (resource == "decoder") return "a wider decoder or natively stored weights make it faster";
  if (resource == "sram") return "more SRAM bandwidth makes it faster";
  return "";
}

std::string limit_words(const Json& budget, const std::string& key, double value,
                        const std::string& name, const std::string& unit) {
  const double limit = number_at(budget, key);
  // A limit that nobody set is huge; a share of it says nothing.
  if (limit <= 0 || limit >= 1e8 || value <= 0) return "";
  return fmt::format("{} {:.3g} of {:g} {} ({:.0f} %)", name, value, limit, unit,
                     100 * value / limit);
}

// The loss that one site adds under a treatment; nothing where the table has none.
std::optional<double> loss_at(const Json& table, size_t site, size_t treatment) {
  const Json& rows = list_at(table, "loss_nats");
  if (site >= rows.size() || treatment >= rows[site].size()) return std::nullopt;
  const Json& value = rows[site][treatment];
  return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
}

// Bits of a stored weight as the treatment's name says: "int4_g32" 4, "fp8_e4m3fn" 8, "bf16" 16.
double bits_of(const std::string& treatment) {
  const size_t begin = treatment.find_first_of("0123456789");
  if (begin == std::string::npos) return 0;
  double bits = 0;
  for (size_t i = begin; i < treatment.size() && std::isdigit(treatment[i]) != 0; ++i) {
    bits = 10 * bits + (treatment[i] - '0');
  }
  return bits;
}

std::string kind_of(const std::string& site) {
  const size_t dot = site.rfind('.');
  return dot == std::string::npos ? site : site.substr(dot + 1);
}

// "layers.12.mlp_down" -> "12"; "" for the head.
std::string layer_of(const std::string& site) {
  const size_t begin = site.find('.');
  const size_t end = site.rfind('.');
  return begin < end && end != std::string::npos ? site.substr(begin + 1, end - begin - 1) : "";
}

// " (layers 0, 29)"; nothing where they are too many to read.
std::string layer_words(const std::vector<std::string>& layers) {
  constexpr size_t kMaxNamed = 6;
  if (layers.empty() || layers.front().empty() || layers.size() > kMaxNamed) return "";
  return fmt::format(" (layer{} {})", layers.size() == 1 ? "" : "s", fmt::join(layers, ", "));
}

std::optional<size_t> index_of(const Json& list, const std::string& name) {
  for (size_t i = 0; i < list.size(); ++i) {
    if (list[i] == name) return i;
  }
  return std::nullopt;
}

// One product's sites of one kind that keep more bits than most sites of the model.
struct WideSites {
  std::string treatment;
  int64_t count = 0;
  std::vector<std::string> layers;
  double loss_nats = 0;           // as they are
  double narrower_loss_nats = 0;  // with the common treatment
  double bits = 0;                // of them all
};

// The treatment that most linear sites have.
std::string common_treatment(const Json& product) {
  std::map<std::string, int64_t> counts;
  for (const auto& [site, treatment] : product["recipe"].items()) {
    if (kind_of(site) != "kv") ++counts[treatment.get<std::string>()];
  }
  const auto most =
      std::ranges::max_element(counts, {}, [](const auto& entry) { return entry.second; });
  return most == counts.end() ? "" : most->first;
}

// Time that the ops of one kind wait for the DRAM, both phases.
double dram_time_ns(const Json& product, const std::string& kind) {
  double ns = 0;
  for (const Json& op : list_at(product, "cost.ops")) {
    if (text_at(op, "op") == kind && text_at(op, "binding") == "dram") {
      ns += number_at(op, "latency_ns");
    }
  }
  return ns;
}

std::string wide_words(const Json& product, const std::string& kind, const WideSites& wide,
                       const std::string& common, double kind_bits) {
  const double saved_bits = wide.bits - static_cast<double>(wide.count) * bits_of(common);
  const double saved_ns = kind_bits > 0 ? dram_time_ns(product, kind) * saved_bits / kind_bits : 0;
  const double latency_ns = number_at(product, "cost.latency_ns");
  const std::string saved = saved_ns > kNoticeableFrac * latency_ns
                                ? fmt::format("and save about {} ({} of the request) of DRAM time",
                                              show_ns(saved_ns), percent(saved_ns / latency_ns))
                                : "and save next to no DRAM time";
  return fmt::format("{} x{}{} keep{} {}: as {} {} would lose {:.4f} nats instead of {:.4f} {}.",
                     kind, wide.count, layer_words(wide.layers), wide.count == 1 ? "s" : "",
                     wide.treatment, common, wide.count == 1 ? "it" : "they",
                     wide.narrower_loss_nats, wide.loss_nats, saved);
}

// Sites of one product, each kind and treatment one line, the dearest in loss first.
void add_wide_sites(const Json& record, const Json& product, ExplanationPart& part) {
  const Json* const table = loss_table_of(record, product);
  if (table == nullptr || !product.contains("recipe")) return;
  const Json& sites = list_at(*table, "sites");
  const Json& linear = list_at(record, "menu.linear");
  const std::string common = common_treatment(product);
  const auto common_index = index_of(linear, common);
  std::map<std::pair<std::string, std::string>, WideSites> wide;
  std::map<std::string, double> kind_bits;
  for (const auto& [site, value] : product["recipe"].items()) {
    const std::string treatment = value.get<std::string>();
    const std::string kind = kind_of(site);
    kind_bits[kind] += bits_of(treatment);
    const auto here = index_of(linear, treatment);
    const auto row = index_of(sites, site);
    if (kind == "kv" || !here || !row || !common_index) continue;
    if (bits_of(treatment) <= bits_of(common)) continue;
    const auto loss = loss_at(*table, *row, *here);
    const auto narrower = loss_at(*table, *row, *common_index);
    if (!loss || !narrower) continue;
    WideSites& group = wide[{kind, treatment}];
    group.treatment = treatment;
    ++group.count;
    group.layers.push_back(layer_of(site));
    group.bits += bits_of(treatment);
    group.loss_nats += *loss;
    group.narrower_loss_nats += *narrower;
  }
  std::vector<std::pair<std::string, WideSites>> order;
  for (const auto& [key, group] : wide) order.emplace_back(key.first, group);
  std::ranges::stable_sort(order, std::greater<>(), [](const auto& entry) {
    return entry.second.narrower_loss_nats - entry.second.loss_nats;
  });
  for (const auto& [kind, group] : order) {
    part.lines.push_back(wide_words(product, kind, group, common, kind_bits[kind]));
  }
  if (order.empty()) {
    part.lines.push_back(fmt::format("No site keeps more bits than {}.", common));
  }
}

// The cheapest point of the front that differs in one axis, and what it costs over the base.
struct Neighbour {
  size_t index = 0;
  double value = std::numeric_limits<double>::infinity();
};

// Points of the front at the scenario's cap and metric, with what they cost.
std::vector<Neighbour> front_of(const Json& record, const Json& scenario) {
  std::vector<Neighbour> points;
  const Json& front = record["front"];
  for (size_t i = 0; i < front.size(); ++i) {
    if (same_cap(number_at(front[i], "kl_cap_nats"), number_at(scenario, "kl_cap_nats")) &&
        text_at(scenario, "objective").starts_with(text_at(front[i], "metric"))) {
      points.push_back({i, objective_of(record, scenario, front[i])});
    }
  }
  return points;
}

std::string resource_step_words(const Json& price) {
  return fmt::format("{:+g} {} of {}", number_at(price, "step"), text_at(price, "unit"),
                     text_at(price, "resource"));
}

// What one more unit of each resource is worth, the best three, and which are worth nothing.
void add_shadow_prices(const Json& scenario, ExplanationPart& part) {
  const Json& prices = list_at(scenario, "shadow_prices");
  if (prices.empty()) return;
  std::vector<const Json*> worth;
  std::string nothing;
  for (const Json& price : prices) {
    if (!flag_at(price, "feasible", false)) continue;
    const double change = number_at(price, "objective_change_frac");
    if (change < -kNoticeableFrac) worth.push_back(&price);
    const std::string name = text_at(price, "resource");
    if (std::abs(change) <= kNoticeableFrac && nothing.find(name) == std::string::npos) {
      nothing += (nothing.empty() ? "" : ", ") + name;
    }
  }
  std::ranges::stable_sort(
      worth, {}, [](const Json* price) { return number_at(*price, "objective_change_frac"); });
  constexpr size_t kMaxNamed = 4;
  for (size_t i = 0; i < std::min(worth.size(), kMaxNamed); ++i) {
    const std::string broken = text_at(*worth[i], "broken_limit");
    part.lines.push_back(fmt::format(
        "{} would save {}{}.", resource_step_words(*worth[i]),
        percent(number_at(*worth[i], "objective_change_frac")),
        broken.empty() ? "" : fmt::format(", but would break the limit on {}", broken)));
  }
  if (worth.empty()) part.lines.push_back("No single step of a limit or of the chip would help.");
  if (!nothing.empty()) part.lines.push_back("A step of these changes nothing: " + nothing + ".");
}

void add_axis(const Json& record, const Json& scenario, const std::vector<Neighbour>& points,
              size_t axis, double base, ExplanationPart& part) {
  const std::vector<Axis> here = axes_of(scenario["recommendation"]["chip"]);
  Neighbour best;
  for (const Neighbour& point : points) {
    const auto there = axes_of(record["front"][point.index]["chip"]);
    if (there[axis].value != here[axis].value && point.value < best.value) best = point;
  }
  const std::string what = fmt::format("{} {}", here[axis].name, here[axis].value);
  if (std::isinf(best.value)) {
    part.lines.push_back(what + ": so has every point of the front at this cap.");
    return;
  }
  const Json& other = record["front"][best.index];
  part.lines.push_back(fmt::format(
      "{}: the best point of the front with another, front:{}, costs {} ({}; {:.3g} mm2).", what,
      best.index, change_words(best.value / base),
      chip_changes(scenario["recommendation"]["chip"], other["chip"]),
      number_at(other, "limits.area_mm2")));
}

void add_cap_neighbours(const Json& record, const Json& scenario, ExplanationPart& part) {
  const double here = number_at(scenario, "recommendation.objective_value");
  for (const Json& other : record["scenarios"]) {
    if (&other == &scenario || text_at(other, "objective") != text_at(scenario, "objective")) {
      continue;
    }
    if (!flag_at(other, "feasible", false)) {
      part.lines.push_back(scenario_name(other) + ": nothing fits.");
      continue;
    }
    part.lines.push_back(
        fmt::format("{}: a loss of at most {:g} nats costs {}.", scenario_name(other),
                    number_at(other, "kl_cap_nats"),
                    change_words(number_at(other, "recommendation.objective_value") / here)));
  }
}

std::string loss_words(const Json& product) {
  const std::string name = text_at(product, "name");
  if (!has_number(product, "measured_kl_nats")) {
    return fmt::format(
        "{}: its loss was not measured (no weights here); {:.4f} nats per token are "
        "expected from a borrowed profile.",
        name, number_at(product, "expected_kl_nats", number_at(product, "predicted_kl_nats")));
  }
  std::string words = fmt::format(
      "{}: loss {:.4f} +- {:.4f} nats per token measured on the selection text", name,
      number_at(product, "measured_kl_nats"), 2 * number_at(product, "measured_kl_stderr_nats"));
  if (has_number(product, "certified_kl_nats")) {
    words += fmt::format(", {:.4f} +- {:.4f} on a third text that no choice has seen",
                         number_at(product, "certified_kl_nats"),
                         2 * number_at(product, "certified_kl_stderr_nats"));
  }
  return words + " (two standard errors).";
}

std::string tornado_words(const Json& scenario) {
  const Json& rows = list_at(scenario, "tornado");
  if (rows.empty()) return "Whether technology constants could change the winner was not computed.";
  const Json* worst = nullptr;
  double regret = 0;
  int64_t changes = 0;
  for (const Json& row : rows) {
    if (!flag_at(row, "winner_changes", false)) continue;
    ++changes;
    const double here =
        std::max(number_at(row, "regret_low_frac"), number_at(row, "regret_high_frac"));
    if (worst == nullptr || here > regret) worst = &row;
    regret = std::max(regret, here);
  }
  if (worst == nullptr) {
    return fmt::format(
        "The winner stays under each of {} technology constants at either end of "
        "its range.",
        rows.size());
  }
  return fmt::format(
      "Another chip wins under {} of {} technology constants at an end of their range; the worst "
      "is {} ({:g} to {:g} {}), where this chip costs up to {} more than the best.",
      changes, rows.size(), text_at(*worst, "constant"), number_at(*worst, "low"),
      number_at(*worst, "high"), text_at(*worst, "unit"), percent(regret));
}

}  // namespace

bool same_cap(double a, double b) {
  return std::abs(a - b) <= 1e-9 + 1e-6 * std::abs(b);
}

std::string scenario_name(const Json& scenario) {
  return fmt::format("{}@{:g}", text_at(scenario, "objective"), number_at(scenario, "kl_cap_nats"));
}

std::string change_words(double ratio) {
  if (!std::isfinite(ratio)) return "an unknown amount";
  if (std::abs(ratio - 1) < kNoticeableFrac) return "the same";
  if (ratio >= 2) return fmt::format("{:.1f} times as much", ratio);
  return percent(ratio - 1) + (ratio > 1 ? " more" : " less");
}

std::string chip_changes(const Json& from, const Json& to) {
  const std::vector<Axis> before = axes_of(from);
  const std::vector<Axis> after = axes_of(to);
  std::string words;
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i].value == after[i].value) continue;
    words += fmt::format("{}{} {} -> {}", words.empty() ? "" : ", ", before[i].name,
                         before[i].value, after[i].value);
  }
  return words;
}

double objective_of(const Json& record, const Json& scenario, const Json& front_point) {
  const std::string objective = text_at(scenario, "objective");
  const char* metric = objective.starts_with("energy") ? "energy_pj" : "latency_ns";
  const Json& declared = list_at(record, "products");
  const Json& products = list_at(front_point, "products");
  double value = 0;
  for (size_t i = 0; i < products.size(); ++i) {
    const double weight = i < declared.size() ? number_at(declared[i], "weight", 1) : 1;
    value += weight * number_at(products[i], metric);
  }
  if (objective.ends_with("_area")) return value * number_at(front_point, "limits.area_mm2");
  if (objective.ends_with("_price")) return value * number_at(front_point, "limits.price_usd");
  return value;
}

ExplanationPart what_it_is(const Json& record, const Json& point) {
  ExplanationPart part{"What it is", {}};
  part.lines.push_back("Chip: " + describe_chip(point["chip"]) + ".");
  double sustained_w = 0;
  for (const Json& product : list_at(point, "products")) {
    const bool full = product.contains("cost");
    const std::string at = full ? "cost." : "";
    part.lines.push_back(
        fmt::format("{}: {}; {} a request, of which {} to the first token, {} a token.",
                    text_at(product, "name"), describe_recipe(product),
                    show_ns(number_at(product, at + "latency_ns")),
                    show_ns(number_at(product, at + "prefill_latency_ns")),
                    show_pj(number_at(product, at + "energy_pj_per_token"))));
    sustained_w = std::max(sustained_w, number_at(product, at + "sustained_power_mw") / 1e3);
  }
  const Json& budget = record["budget"];
  std::string limits;
  for (const std::string& words :
       {limit_words(budget, "max_area_mm2", number_at(point, "limits.area_mm2"), "area", "mm2"),
        limit_words(budget, "max_peak_power_w", number_at(point, "limits.peak_power_mw") / 1e3,
                    "peak power", "W"),
        limit_words(budget, "max_sustained_power_w", sustained_w, "sustained power", "W"),
        limit_words(budget, "max_price_usd", number_at(point, "limits.price_usd"), "price",
                    "USD")}) {
    if (!words.empty()) limits += (limits.empty() ? "" : ", ") + words;
  }
  if (!limits.empty()) part.lines.push_back("Of the budget: " + limits + ".");
  return part;
}

ExplanationPart what_binds(const Json& point) {
  ExplanationPart part{"What binds", {}};
  for (const std::string phase : {"prefill", "decode"}) {
    const auto time_ns = time_by_resource(point, phase);
    if (sum_of(time_ns) <= 0) continue;
    const auto top =
        std::ranges::max_element(time_ns, {}, [](const auto& entry) { return entry.second; });
    part.lines.push_back(fmt::format("Of the time of {} {}. So {}.", phase, shares_words(time_ns),
                                     consequence(top->first)));
  }
  if (part.lines.empty()) part.lines.push_back("The record holds no times of this point.");
  return part;
}

ExplanationPart why_this_chip(const Json& record, const Json& scenario) {
  ExplanationPart part{"Why this chip and not its neighbours", {}};
  const std::vector<Neighbour> points = front_of(record, scenario);
  // At equal predicted loss, where this chip stands on the front; else what it was settled to.
  double base = number_at(scenario, "recommendation.objective_value");
  const std::string chip = text_at(scenario, "recommendation.chip.name");
  bool on_front = false;
  for (const Neighbour& point : points) {
    if (text_at(record["front"][point.index], "chip.name") != chip) continue;
    base = point.value;
    on_front = true;
  }
  if (points.empty()) {
    part.lines.push_back("The record holds no front at this cap: the chip was given.");
  } else {
    if (!on_front) {
      part.lines.push_back(
          "The front goes by predicted loss; this chip won at measured loss and is not on it. A "
          "point that costs less below was predicted to meet the cap, not measured.");
    }
    const size_t num_axes = axes_of(scenario["recommendation"]["chip"]).size();
    for (size_t axis = 0; axis < num_axes; ++axis) {
      add_axis(record, scenario, points, axis, base, part);
    }
  }
  add_shadow_prices(scenario, part);
  return part;
}

ExplanationPart why_these_bits(const Json& record, const Json& scenario) {
  ExplanationPart part{"Why these bits", {}};
  const Json& products = list_at(scenario["recommendation"], "products");
  for (size_t i = 0; i < products.size(); ++i) {
    if (!products[i].contains("recipe")) continue;
    part.lines.push_back(fmt::format("{}: most sites take {}.", text_at(products[i], "name"),
                                     common_treatment(products[i])));
    add_wide_sites(record, products[i], part);
    if (const Json& resident = products[i].value("resident_frac", Json::object());
        !resident.empty()) {
      part.lines.push_back(fmt::format(
          "{} sites stay in SRAM, whole or in part, and cost no DRAM time.", resident.size()));
    }
  }
  return part;
}

ExplanationPart what_else_costs(const Json& record, const Json& scenario) {
  ExplanationPart part{"What the alternatives cost", {}};
  for (const Json& baseline : list_at(scenario, "baselines")) {
    const std::string who = baseline_words(text_at(baseline, "name"));
    if (!flag_at(baseline, "feasible", false)) {
      part.lines.push_back(
          fmt::format("{}: reaches nothing; {}.", who, text_at(baseline, "why_not")));
      continue;
    }
    const std::string verdict = text_at(baseline, "verdict");
    part.lines.push_back(verdict == "same point"
                             ? who + ": ends at this very point."
                             : fmt::format("{}: {} (x{:.3f}, band {:.3f} to {:.3f}; {}).", who,
                                           change_words(number_at(baseline, "ratio", 1)),
                                           number_at(baseline, "ratio", 1),
                                           number_at(baseline, "ratio_low", 1),
                                           number_at(baseline, "ratio_high", 1), verdict));
  }
  add_cap_neighbours(record, scenario, part);
  if (has_number(scenario, "elasticity")) {
    part.lines.push_back(fmt::format("Around this point 1 % less loss costs about {:.2g} % more.",
                                     number_at(scenario, "elasticity")));
  }
  return part;
}

ExplanationPart how_sure(const Json& record, const Json& scenario) {
  ExplanationPart part{"How sure", {}};
  const bool exact = !record.contains("search") || flag_at(record["search"], "exact", true);
  part.lines.push_back(
      fmt::format("Search: {} {} chips; at most {:.2g} % from the best at this predicted loss.",
                  exact ? "exact over" : "heuristic, best found among",
                  show_count(number_at(record, "num_chips")),
                  100 * number_at(scenario, "recommendation.gap_frac")));
  for (const Json& product : list_at(scenario["recommendation"], "products")) {
    part.lines.push_back(loss_words(product));
  }
  if (has_number(record, "additivity.bias_ratio")) {
    part.lines.push_back(fmt::format(
        "Loss prediction: measured over predicted was {:.2f} over {:.0f} whole recipes (Spearman "
        "{:.3f}).",
        number_at(record, "additivity.bias_ratio"), number_at(record, "additivity.num_recipes"),
        number_at(record, "additivity_spearman")));
  }
  part.lines.push_back(tornado_words(scenario));
  part.lines.push_back("Every cost is analytical (tier T1): nothing was simulated or built.");
  return part;
}

}  // namespace dovetail::report
