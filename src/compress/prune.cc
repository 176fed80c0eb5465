#include "compress/prune.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

#include <fmt/format.h>

namespace dovetail::compress {
namespace {

using model::Matrix;

// Of `candidates` the `count` of highest score, ascending.
std::vector<int64_t> best_of(const std::vector<double>& scores, std::vector<int64_t> candidates,
                             int64_t count) {
  std::ranges::stable_sort(candidates, [&](int64_t a, int64_t b) {
    return scores[static_cast<size_t>(a)] > scores[static_cast<size_t>(b)];
  });
  candidates.resize(static_cast<size_t>(count));
  std::ranges::sort(candidates);
  return candidates;
}

std::vector<int64_t> range(int64_t begin, int64_t end) {
  std::vector<int64_t> values(static_cast<size_t>(end - begin));
  std::iota(values.begin(), values.end(), begin);
  return values;
}

double lost_frac(const std::vector<double>& scores, const std::vector<int64_t>& kept) {
  const double all = std::accumulate(scores.begin(), scores.end(), 0.0);
  double stays = 0;
  for (const int64_t i : kept) stays += scores[static_cast<size_t>(i)];
  return all > 0 ? std::max(0.0, 1 - stays / all) : 0;
}

KeptLayer keep_best_of_layer(const model::ModelShape& shape, const model::ModelShape& after,
                             const MaskScores& scores) {
  KeptLayer kept;
  kept.channels =
      best_of(scores.channels, range(0, shape.intermediate_size), after.intermediate_size);
  kept.key_heads = best_of(scores.key_heads, range(0, shape.num_kv_heads), after.num_kv_heads);
  const int64_t group = shape.num_heads / shape.num_kv_heads;
  for (const int64_t key : kept.key_heads) {
    const std::vector<int64_t> stay = best_of(scores.heads, range(key * group, (key + 1) * group),
                                              after.num_heads / after.num_kv_heads);
    kept.heads.insert(kept.heads.end(), stay.begin(), stay.end());
  }
  kept.lost_channels_frac = lost_frac(scores.channels, kept.channels);
  kept.lost_heads_frac = lost_frac(scores.heads, kept.heads);
  return kept;
}

// Channels of heads.
std::vector<int64_t> channels_of(const std::vector<int64_t>& heads, int64_t head_dim) {
  std::vector<int64_t> channels;
  for (const int64_t head : heads)
    for (int64_t i = 0; i < head_dim; ++i) channels.push_back(head * head_dim + i);
  return channels;
}

void keep_rows(const std::vector<int64_t>& rows, Matrix& w) {
  std::vector<float> values;
  values.reserve(rows.size() * static_cast<size_t>(w.cols));
  for (const int64_t row : rows) {
    const auto begin = w.values.begin() + row * w.cols;
    values.insert(values.end(), begin, begin + w.cols);
  }
  w.rows = std::ssize(rows);
  w.values = std::move(values);
}

void keep_columns(const std::vector<int64_t>& columns, Matrix& w) {
  std::vector<float> values;
  values.reserve(columns.size() * static_cast<size_t>(w.rows));
  for (int64_t row = 0; row < w.rows; ++row)
    for (const int64_t column : columns)
      values.push_back(w.values[static_cast<size_t>(row * w.cols + column)]);
  w.cols = std::ssize(columns);
  w.values = std::move(values);
}

void keep_values(const std::vector<int64_t>& indices, std::vector<float>& vector) {
  if (vector.empty()) return;
  std::vector<float> values;
  values.reserve(indices.size());
  for (const int64_t i : indices) values.push_back(vector[static_cast<size_t>(i)]);
  vector = std::move(values);
}

}  // namespace

std::vector<KeptLayer> keep_best(const model::ModelShape& shape, const recipe::Pruning& pruning,
                                 const std::vector<MaskScores>& scores) {
  const model::ModelShape after = recipe::pruned_shape(shape, pruning);
  std::vector<KeptLayer> kept;
  kept.reserve(scores.size());
  for (const MaskScores& layer : scores) kept.push_back(keep_best_of_layer(shape, after, layer));
  return kept;
}

Result<Kept> choose_kept(const ModelSource& source, const recipe::Recipe& recipe,
                         const host::TokenBatch& tokens, const FisherParams& params,
                         const ProgressSink& progress) {
  DOVETAIL_TRY([[maybe_unused]] const model::ModelShape after, shape_after(source.shape, recipe));
  if (!recipe::prunes(recipe.pruning, source.shape)) return Kept{};
  const auto start = std::chrono::steady_clock::now();
  DOVETAIL_TRY(const std::vector<MaskScores> scores, mask_fisher(source, tokens, params, progress));
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  return Kept{.layers = keep_best(source.shape, recipe.pruning, scores), .seconds = taken.count()};
}

Json to_json(const Kept& kept) {
  Json layers = Json::array();
  for (const KeptLayer& layer : kept.layers) {
    layers.push_back({{"channels", layer.channels},
                      {"heads", layer.heads},
                      {"key_heads", layer.key_heads},
                      {"lost_channels_frac", layer.lost_channels_frac},
                      {"lost_heads_frac", layer.lost_heads_frac}});
  }
  return {{"layers", layers}, {"duration_s", kept.seconds}};
}

Result<Kept> kept_from_json(const Json& json) {
  try {
    Kept kept{.layers = {}, .seconds = json.at("duration_s").get<double>()};
    for (const Json& layer : json.at("layers")) {
      kept.layers.push_back({.channels = layer.at("channels").get<std::vector<int64_t>>(),
                             .heads = layer.at("heads").get<std::vector<int64_t>>(),
                             .key_heads = layer.at("key_heads").get<std::vector<int64_t>>(),
                             .lost_channels_frac = layer.at("lost_channels_frac").get<double>(),
                             .lost_heads_frac = layer.at("lost_heads_frac").get<double>()});
    }
    return kept;
  } catch (const Json::exception& wrong) {
    return invalid_argument(std::string("kept channels and heads: ") + wrong.what());
  }
}

std::vector<SiteReport> pruning_reports(const recipe::Pruning& pruning, const Kept& kept) {
  std::vector<SiteReport> reports;
  for (size_t layer = 0; layer < kept.layers.size(); ++layer) {
    const KeptLayer& stays = kept.layers[layer];
    const double seconds = kept.seconds / static_cast<double>(kept.layers.size());
    if (pruning.mlp_width != 0) {
      reports.push_back({.site = fmt::format("layers.{}.mlp", layer),
                         .treatment = fmt::format("mlp:{}", stays.channels.size()),
                         .error_frac = stays.lost_channels_frac,
                         .seconds = seconds});
    }
    if (pruning.heads != 0 || pruning.kv_heads != 0) {
      reports.push_back({.site = fmt::format("layers.{}.attn", layer),
                         .treatment = fmt::format("heads:{}+kv_heads:{}", stays.heads.size(),
                                                  stays.key_heads.size()),
                         .error_frac = stays.lost_heads_frac,
                         .seconds = pruning.mlp_width != 0 ? 0 : seconds});
    }
  }
  return reports;
}

void prune_layer(const model::ModelShape& shape, const KeptLayer& kept,
                 model::LayerWeights& layer) {
  keep_rows(kept.channels, layer.gate);
  keep_rows(kept.channels, layer.up);
  keep_columns(kept.channels, layer.down);
  const std::vector<int64_t> queries = channels_of(kept.heads, shape.head_dim);
  const std::vector<int64_t> keys = channels_of(kept.key_heads, shape.head_dim);
  keep_rows(queries, layer.q);
  keep_values(queries, layer.q_bias);
  keep_columns(queries, layer.o);
  for (Matrix* w : {&layer.k, &layer.v}) keep_rows(keys, *w);
  for (std::vector<float>* bias : {&layer.k_bias, &layer.v_bias}) keep_values(keys, *bias);
}

ModelSource pruned(ModelSource from, const recipe::Pruning& pruning, Kept kept) {
  if (kept.layers.empty()) return from;
  ModelSource source = from;
  source.shape = recipe::pruned_shape(from.shape, pruning);
  const auto base = std::make_shared<const ModelSource>(std::move(from));
  const auto stays = std::make_shared<const Kept>(std::move(kept));
  source.layer = [base, stays](int64_t index) {
    auto layer = base->layer(index);
    if (layer.has_value())
      prune_layer(base->shape, stays->layers[static_cast<size_t>(index)], *layer);
    return layer;
  };
  return source;
}

}  // namespace dovetail::compress
