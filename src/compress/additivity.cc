#include "compress/additivity.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <tuple>

#include <fmt/format.h>

#include "base/random.h"

namespace dovetail::compress {
namespace {

struct Candidate {
  double bits = 0;   // stored bits per weight, scales and zeros included
  size_t order = 0;  // in the menu
  recipe::LinearTreatment treatment;
};

std::vector<Candidate> candidates_of(const model::ModelShape& shape, const recipe::Menu& menu,
                                     double min_bits) {
  std::vector<Candidate> candidates;
  for (const recipe::LinearTreatment& treatment : menu.linear) {
    if (treatment.weight.element == formats::Element::kBf16) continue;
    const auto row =
        static_cast<double>(formats::stored_bits_per_row(treatment.weight, shape.hidden_size));
    const double bits = row / static_cast<double>(shape.hidden_size);
    if (bits >= min_bits) candidates.push_back({bits, candidates.size(), treatment});
  }
  // Equal bits stay in the menu's order.
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return std::tie(a.bits, a.order) < std::tie(b.bits, b.order);
  });
  return candidates;
}

// Candidate i of `count` spread evenly over [0, size).
size_t spread_index(int64_t i, int64_t count, size_t size) {
  const double step = count > 1 ? static_cast<double>(i) / static_cast<double>(count - 1) : 0.5;
  return static_cast<size_t>(std::llround(step * static_cast<double>(size - 1)));
}

recipe::Recipe uniform(const model::ModelShape& shape, const recipe::LinearTreatment& treatment) {
  recipe::Recipe recipe;
  recipe.layers.resize(static_cast<size_t>(shape.num_layers));
  for (recipe::LayerRecipe& layer : recipe.layers) layer.linear.fill(treatment);
  return recipe;
}

recipe::Recipe mixed(const model::ModelShape& shape, const recipe::Menu& menu,
                     const std::vector<Candidate>& near, Random& random) {
  const auto draw_from = [&](const std::vector<Candidate>& some) {
    return some[static_cast<size_t>(random.below(std::ssize(some)))].treatment;
  };
  std::vector<Candidate> of_head;
  std::ranges::copy_if(near, std::back_inserter(of_head), [](const Candidate& candidate) {
    return candidate.treatment.fold == recipe::Fold::kNone;
  });
  recipe::Recipe recipe;
  for (int64_t l = 0; l < shape.num_layers; ++l) {
    recipe::LayerRecipe& layer = recipe.layers.emplace_back();
    for (recipe::LinearTreatment& treatment : layer.linear) treatment = draw_from(near);
    if (menu.kv.empty()) continue;
    layer.kv = menu.kv[static_cast<size_t>(random.below(static_cast<int64_t>(menu.kv.size())))];
  }
  if (!of_head.empty()) recipe.head = draw_from(of_head);
  return recipe;
}

std::vector<double> ranks(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> rank(values.size());
  for (size_t first = 0; first < order.size();) {
    size_t last = first + 1;
    while (last < order.size() && values[order[last]] == values[order[first]]) ++last;
    for (size_t i = first; i < last; ++i) {
      rank[order[i]] = static_cast<double>(first + last - 1) / 2;
    }
    first = last;
  }
  return rank;
}

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// 0 if one of the two does not vary.
double correlation(const std::vector<double>& a, const std::vector<double>& b) {
  const double mean_a = mean_of(a);
  const double mean_b = mean_of(b);
  double ab = 0;
  double aa = 0;
  double bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - mean_a) * (b[i] - mean_b);
    aa += (a[i] - mean_a) * (a[i] - mean_a);
    bb += (b[i] - mean_b) * (b[i] - mean_b);
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
}

std::string algorithm_class(const recipe::LinearTreatment& treatment) {
  std::string name(recipe::fold_name(treatment.fold));
  if (treatment.algorithm != recipe::Algorithm::kNearest) {
    if (!name.empty()) name += "_";
    name += recipe::algorithm_name(treatment.algorithm);
  }
  return name.empty() ? "nearest" : name;
}

// What `visit` makes of every linear treatment, the head's included; kv stays.
template <typename Visit>
void visit_linears(recipe::Recipe& recipe, const Visit& visit) {
  for (recipe::LayerRecipe& layer : recipe.layers)
    for (recipe::LinearTreatment& treatment : layer.linear) visit(treatment);
  visit(recipe.head);
}

std::map<std::string, AlgorithmBias> biases_of(const std::vector<AdditivitySample>& samples) {
  struct Sums {
    double share = 0;
    double log_ratio = 0;
    double squares = 0;
  };
  std::map<std::string, Sums> sums;
  for (const AdditivitySample& sample : samples) {
    if (!(sample.predicted_nats_per_token > 0 && sample.measured_nats_per_token > 0)) continue;
    const double log_ratio =
        std::log(sample.measured_nats_per_token / sample.predicted_nats_per_token);
    for (const auto& [name, loss] : sample.by_algorithm) {
      const double share = loss / sample.predicted_nats_per_token;
      Sums& own = sums[name];
      own.share += share;
      own.log_ratio += share * log_ratio;
      own.squares += share * log_ratio * log_ratio;
    }
  }
  std::map<std::string, AlgorithmBias> biases;
  for (const auto& [name, own] : sums) {
    if (!(own.share > 0)) continue;
    const double mean = own.log_ratio / own.share;
    const double variance = std::max(0.0, own.squares / own.share - mean * mean);
    biases[name] = {.num_recipes = own.share,
                    .bias_ratio = std::exp(mean),
                    .spread_ratio = std::exp(std::sqrt(variance))};
  }
  return biases;
}

}  // namespace

Result<LossByName> loss_by_algorithm(const LossProfile& profile, const recipe::Recipe& recipe) {
  recipe::Recipe linears = recipe;
  LossByName losses;
  for (recipe::LayerRecipe& layer : linears.layers) layer.kv = {};
  visit_linears(linears, [&](const recipe::LinearTreatment& treatment) {
    if (treatment != recipe::LinearTreatment{}) losses[algorithm_class(treatment)] = 0;
  });
  for (auto& [name, loss] : losses) {
    recipe::Recipe part = linears;
    visit_linears(part, [&](recipe::LinearTreatment& treatment) {
      if (algorithm_class(treatment) != name) treatment = {};
    });
    DOVETAIL_TRY(loss, predict_loss(profile, part));
  }
  return losses;
}

Result<std::vector<RandomRecipe>> draw_recipes(const model::ModelShape& shape,
                                               const recipe::Menu& menu,
                                               const RecipeDrawParams& params) {
  const std::vector<Candidate> candidates = candidates_of(shape, menu, params.min_bits);
  if (candidates.empty()) {
    return invalid_argument(fmt::format(
        "menu: no treatment besides bf16 has {} stored bits per weight or more", params.min_bits));
  }
  std::vector<RandomRecipe> recipes;
  for (int64_t i = 0; i < params.num_uniform; ++i) {
    const Candidate& pick = candidates[spread_index(i, params.num_uniform, candidates.size())];
    recipes.push_back(
        {"uniform " + recipe::treatment_name(pick.treatment), uniform(shape, pick.treatment)});
  }
  Random random(params.seed);
  for (int64_t i = 0; i < params.num_mixed; ++i) {
    const double level = candidates[spread_index(i, params.num_mixed, candidates.size())].bits;
    std::vector<Candidate> near;
    std::copy_if(
        candidates.begin(), candidates.end(), std::back_inserter(near),
        [&](const Candidate& c) { return std::abs(c.bits - level) <= params.spread_bits; });
    recipes.push_back(
        {fmt::format("mixed near {:.2f} bits #{}", level, i), mixed(shape, menu, near, random)});
  }
  return recipes;
}

Result<AdditivityStats> additivity_of(std::vector<AdditivitySample> samples) {
  std::vector<double> predicted;
  std::vector<double> measured;
  std::vector<double> log_predicted;
  std::vector<double> log_measured;
  std::vector<double> log_ratio;
  for (const AdditivitySample& sample : samples) {
    predicted.push_back(sample.predicted_nats_per_token);
    measured.push_back(sample.measured_nats_per_token);
    if (predicted.back() <= 0 || measured.back() <= 0) continue;
    log_predicted.push_back(std::log(predicted.back()));
    log_measured.push_back(std::log(measured.back()));
    log_ratio.push_back(log_measured.back() - log_predicted.back());
  }
  if (log_ratio.size() < 3) {
    return invalid_argument(fmt::format(
        "additivity: {} recipes with a loss above 0, want 3 or more", log_ratio.size()));
  }
  AdditivityStats stats{.samples = std::move(samples)};
  stats.by_algorithm = biases_of(stats.samples);
  stats.spearman = correlation(ranks(predicted), ranks(measured));
  const double r = correlation(log_predicted, log_measured);
  stats.r2_log = r * r;
  const double mean = mean_of(log_ratio);
  double squares = 0;
  for (const double ratio : log_ratio) squares += (ratio - mean) * (ratio - mean);
  stats.bias_ratio = std::exp(mean);
  stats.bias_spread_ratio =
      std::exp(std::sqrt(squares / static_cast<double>(log_ratio.size() - 1)));
  stats.bias_min_ratio = std::exp(*std::min_element(log_ratio.begin(), log_ratio.end()));
  stats.bias_max_ratio = std::exp(*std::max_element(log_ratio.begin(), log_ratio.end()));
  return stats;
}

Json additivity_to_json(const AdditivityStats& stats) {
  Json json = Json::object();
  json["num_recipes"] = stats.samples.size();
  json["spearman"] = stats.spearman;
  json["r2_log"] = stats.r2_log;
  json["bias_ratio"] = stats.bias_ratio;
  json["bias_spread_ratio"] = stats.bias_spread_ratio;
  json["bias_min_ratio"] = stats.bias_min_ratio;
  json["bias_max_ratio"] = stats.bias_max_ratio;
  json["by_algorithm"] = Json::object();
  for (const auto& [name, bias] : stats.by_algorithm) {
    json["by_algorithm"][name] = {{"num_recipes", bias.num_recipes},
                                  {"bias_ratio", bias.bias_ratio},
                                  {"bias_spread_ratio", bias.spread_ratio}};
  }
  json["recipes"] = Json::array();
  for (const AdditivitySample& sample : stats.samples) {
    Json entry = Json::object();
    entry["name"] = sample.name;
    entry["bits_per_weight"] = sample.bits_per_weight;
    entry["predicted_nats_per_token"] = sample.predicted_nats_per_token;
    entry["measured_nats_per_token"] = sample.measured_nats_per_token;
    json["recipes"].push_back(entry);
  }
  return json;
}

Result<AdditivityStats> measure_additivity(const LossProfile& profile,
                                           const std::vector<RandomRecipe>& recipes,
                                           TreatedModel& treated, const MeasureKl& measure,
                                           const ProgressSink& progress) {
  std::vector<AdditivitySample> samples;
  for (const RandomRecipe& drawn : recipes) {
    report_progress(progress, "checking additivity: " + drawn.name,
                    static_cast<double>(samples.size()) / static_cast<double>(recipes.size()));
    DOVETAIL_TRY(const double predicted, predict_loss(profile, drawn.recipe));
    DOVETAIL_TRY_STATUS(treated.apply(drawn.recipe));
    DOVETAIL_TRY(const double measured, measure(treated.model()));
    DOVETAIL_TRY(LossByName parts, loss_by_algorithm(profile, drawn.recipe));
    samples.push_back(
        {.name = drawn.name,
         .bits_per_weight = recipe::bits_per_weight(treated.model().shape(), drawn.recipe),
         .predicted_nats_per_token = predicted,
         .measured_nats_per_token = measured,
         .by_algorithm = std::move(parts)});
  }
  return additivity_of(std::move(samples));
}

}  // namespace dovetail::compress
