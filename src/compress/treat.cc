#include "compress/treat.h"

#include <algorithm>

#include <fmt/format.h>

#include "compress/rotate.h"
#include "formats/quantize.h"

namespace dovetail::compress {
namespace {

using formats::WeightFormat;
using model::Matrix;

Status check_applies(const model::ModelShape& shape, const recipe::Recipe& recipe) {
  if (recipe::needs_calibration(recipe)) {
    return invalid_argument(
        "recipe: an algorithm or a static activation format needs calibration text, which is not "
        "given here");
  }
  if (static_cast<int64_t>(recipe.layers.size()) == shape.num_layers)
    return recipe::check_recipe(shape, recipe);
  return invalid_argument(fmt::format("recipe has {} layers, the model {} has {}",
                                      recipe.layers.size(), shape.name, shape.num_layers));
}

// `to` may be `from`.
void round_matrix(const WeightFormat& format, const Matrix& from, Matrix& to) {
  if (format.element == formats::Element::kBf16) {
    if (&from != &to) std::copy(from.values.begin(), from.values.end(), to.values.begin());
    return;
  }
  formats::quantize_rows(format, formats::Rounding{}, from.rows, from.cols, from.values.data(),
                         to.values.data());
}

// The weight format that a recipe gives a site; bf16 for kv sites.
WeightFormat format_at(const model::ModelShape& shape, const recipe::Recipe& recipe,
                       int64_t index) {
  const recipe::Site site = recipe::site_at(shape, index);
  if (site.kind == recipe::SiteKind::kHead) return recipe.head.weight;
  if (site.kind == recipe::SiteKind::kKv) return {};
  const auto kind = static_cast<size_t>(site.kind);
  return recipe.layers[static_cast<size_t>(site.layer)].linear[kind].weight;
}

// What of a recipe turns weights; nothing else.
recipe::Recipe transforms_of(const recipe::Recipe& recipe) {
  recipe::Recipe transforms;
  transforms.rotation = recipe.rotation;
  transforms.layers.resize(recipe.layers.size());
  for (size_t i = 0; i < recipe.layers.size(); ++i)
    for (size_t j = 0; j < recipe.layers[i].linear.size(); ++j)
      transforms.layers[i].linear[j].hadamard = recipe.layers[i].linear[j].hadamard;
  return transforms;
}
recipe::Recipe no_transforms(const model::ModelShape& shape) {
  recipe::Recipe transforms;
  transforms.layers.resize(static_cast<size_t>(shape.num_layers));
  return transforms;
}

}  // namespace

std::vector<Matrix model::LayerWeights::*> site_matrices(recipe::SiteKind kind) {
  using model::LayerWeights;
  switch (kind) {
    case recipe::SiteKind::kAttnQkv:
      return {&LayerWeights::q, &LayerWeights::k, &LayerWeights::v};
    case recipe::SiteKind::kAttnO:
      return {&LayerWeights::o};
    case recipe::SiteKind::kMlpGateUp:
      return {&LayerWeights::gate, &LayerWeights::up};
    case recipe::SiteKind::kMlpDown:
      return {&LayerWeights::down};
    case recipe::SiteKind::kKv:
    case recipe::SiteKind::kHead:
      break;
  }
  return {};
}

Result<model::Weights> apply_recipe(const model::Weights& weights, const recipe::Recipe& recipe) {
  DOVETAIL_TRY_STATUS(check_applies(weights.shape, recipe));
  DOVETAIL_TRY(model::Weights treated, rotate_for(weights, recipe));
  for (int64_t site = 0; site + 1 < recipe::num_sites(weights.shape); ++site) {
    const recipe::Site at = recipe::site_at(weights.shape, site);
    const WeightFormat format = format_at(weights.shape, recipe, site);
    const auto layer = static_cast<size_t>(at.layer);
    for (const auto matrix : site_matrices(at.kind)) {
      Matrix& w = treated.layers[layer].*matrix;
      round_matrix(format, w, w);
    }
  }
  Matrix& head = treated.shape.tied_embedding ? treated.embedding : treated.head;
  round_matrix(recipe.head.weight, head, head);
  return treated;
}

TreatedModel::TreatedModel(std::shared_ptr<const model::Weights> weights, host::HostModel model,
                           int64_t cache_bytes)
    : reference_(std::move(weights)),
      weights_(reference_),
      transforms_(no_transforms(reference_->shape)),
      model_(std::move(model)),
      cache_bytes_(cache_bytes) {}

Result<TreatedModel> TreatedModel::create(const std::shared_ptr<const model::Weights>& weights,
                                          int64_t cache_bytes) {
  DOVETAIL_TRY(host::HostModel model, host::HostModel::create(weights));
  TreatedModel treated(weights, std::move(model), cache_bytes);
  DOVETAIL_TRY_STATUS(treated.copy_weights());
  return treated;
}

Status TreatedModel::copy_weights() {
  layers_.clear();
  for (size_t layer = 0; layer < weights_->layers.size(); ++layer) {
    layers_.push_back(std::make_shared<model::LayerWeights>(weights_->layers[layer]));
    DOVETAIL_TRY_STATUS(model_.replace_layer(static_cast<int64_t>(layer), layers_.back()));
  }
  head_ = std::make_shared<Matrix>(weights_->head_matrix());
  DOVETAIL_TRY_STATUS(model_.replace_head(head_));
  applied_.assign(static_cast<size_t>(recipe::num_sites(weights_->shape)), {});
  cache_.clear();
  cached_bytes_ = 0;
  return {};
}

Status TreatedModel::turn(const recipe::Recipe& recipe) {
  const recipe::Recipe wanted = transforms_of(recipe);
  if (wanted == transforms_) return {};
  std::shared_ptr<const model::Weights> turned = reference_;
  if (recipe::needs_rotation(recipe)) {
    DOVETAIL_TRY(model::Weights made, rotate_for(*reference_, recipe));
    turned = std::make_shared<const model::Weights>(std::move(made));
  }
  DOVETAIL_TRY(model_, host::HostModel::create(turned));
  weights_ = std::move(turned);
  transforms_ = wanted;
  return copy_weights();
}

Result<TreatStats> TreatedModel::apply(const recipe::Recipe& recipe) {
  DOVETAIL_TRY_STATUS(check_applies(weights_->shape, recipe));
  DOVETAIL_TRY_STATUS(turn(recipe));
  TreatStats stats;
  for (int64_t site = 0; site < recipe::num_sites(weights_->shape); ++site) {
    const WeightFormat format = format_at(weights_->shape, recipe, site);
    WeightFormat& applied = applied_[static_cast<size_t>(site)];
    if (format == applied) continue;
    treat(site, format, stats);
    applied = format;
  }
  DOVETAIL_TRY_STATUS(model_.set_numerics(host::numerics_of(recipe)));
  return stats;
}

void TreatedModel::treat(int64_t site, const WeightFormat& format, TreatStats& stats) {
  const recipe::Site at = recipe::site_at(weights_->shape, site);
  std::vector<std::pair<const Matrix*, Matrix*>> pairs;
  if (at.kind == recipe::SiteKind::kHead) {
    pairs.emplace_back(&weights_->head_matrix(), head_.get());
  } else {
    const auto layer = static_cast<size_t>(at.layer);
    for (const auto matrix : site_matrices(at.kind)) {
      pairs.emplace_back(&(weights_->layers[layer].*matrix), &(layers_[layer].get()->*matrix));
    }
  }
  int64_t count = 0;
  for (const auto& [from, to] : pairs) count += from->rows * from->cols;
  if (const Rounded* kept = recall(site, format)) {
    auto from = kept->values.begin();
    for (const auto& [unused, to] : pairs) {
      const auto size = static_cast<std::ptrdiff_t>(to->values.size());
      std::copy(from, from + size, to->values.begin());
      from += size;
    }
    stats.reused_weights += count;
    return;
  }
  Rounded rounded{.site = site, .format = format, .values = {}};
  for (const auto& [from, to] : pairs) {
    round_matrix(format, *from, *to);
    rounded.values.insert(rounded.values.end(), to->values.begin(), to->values.end());
  }
  if (format.element == formats::Element::kBf16) return;  // a plain copy: nothing was rounded
  stats.rounded_weights += count;
  remember(std::move(rounded));
}

void TreatedModel::remember(Rounded rounded) {
  const auto bytes_of = [](const Rounded& entry) {
    return static_cast<int64_t>(entry.values.size() * sizeof(float));
  };
  if (bytes_of(rounded) > cache_bytes_) return;
  cached_bytes_ += bytes_of(rounded);
  cache_.push_front(std::move(rounded));
  while (cached_bytes_ > cache_bytes_) {
    cached_bytes_ -= bytes_of(cache_.back());
    cache_.pop_back();
  }
}

const TreatedModel::Rounded* TreatedModel::recall(int64_t site, const WeightFormat& format) {
  const auto found = std::find_if(cache_.begin(), cache_.end(), [&](const Rounded& entry) {
    return entry.site == site && entry.format == format;
  });
  if (found == cache_.end()) return nullptr;
  cache_.splice(cache_.begin(), cache_, found);
  return &cache_.front();
}

}  // namespace dovetail::compress
