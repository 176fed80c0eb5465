#include "compress/treat.h"

#include <algorithm>

#include <fmt/format.h>

#include "compress/fold.h"
#include "compress/rotate.h"
#include "compress/site_matrix.h"
#include "formats/quantize.h"

namespace dovetail::compress {
namespace {

using formats::WeightFormat;
using model::Matrix;

Status check_applies(const model::ModelShape& shape, const recipe::Recipe& recipe,
                     bool has_versions = false) {
  if (recipe::needs_calibration(recipe) && !has_versions) {
    return invalid_argument(
        "recipe: pruning, an algorithm or a static activation format needs calibration text, which "
        "is not given here");
  }
  if (recipe.pruning != recipe::Pruning{}) {
    return invalid_argument("recipe: pruning goes through compress_model: it changes the shape");
  }
  if (recipe::needs_calibration(recipe) && recipe::needs_rotation(recipe)) {
    return invalid_argument(
        "recipe: algorithms together with rotations go through compress_model, not through "
        "versions of sites");
  }
  if (static_cast<int64_t>(recipe.layers.size()) == shape.num_layers)
    return recipe::check_recipe(shape, recipe);
  return invalid_argument(fmt::format("recipe has {} layers, the model {} has {}",
                                      recipe.layers.size(), shape.name, shape.num_layers));
}

// Rounds the matrices of one site, stacked as site_matrix.h says.
void round_site(const WeightFormat& format, recipe::SiteKind kind, const model::LayerWeights& from,
                model::LayerWeights& to) {
  if (format.element == formats::Element::kBf16) {
    if (&from == &to) return;
    for (const SiteMember& member : site_members(kind))
      std::ranges::copy((from.*member.matrix).values, (to.*member.matrix).values.begin());
    return;
  }
  for (const std::vector<SiteMember>& members : site_parts(kind, format)) {
    Matrix stack = stacked(from, members);
    formats::quantize_rows(format, formats::Rounding{}, stack.rows, stack.cols, stack.values.data(),
                           stack.values.data());
    unstack(stack.values, members, to);
  }
}

void round_head(const WeightFormat& format, const Matrix& from, Matrix& to) {
  if (format.element == formats::Element::kBf16) {
    if (&from != &to) std::ranges::copy(from.values, to.values.begin());
    return;
  }
  formats::quantize_rows(format, formats::Rounding{}, from.rows, from.cols, from.values.data(),
                         to.values.data());
}

// What a recipe does to the weights of a site; bf16 for kv sites.
recipe::LinearTreatment weights_at(const model::ModelShape& shape, const recipe::Recipe& recipe,
                                   int64_t index) {
  const recipe::Site site = recipe::site_at(shape, index);
  if (site.kind == recipe::SiteKind::kKv) return {};
  const recipe::LinearTreatment& treatment =
      site.kind == recipe::SiteKind::kHead
          ? recipe.head
          : recipe.layers[static_cast<size_t>(site.layer)].linear[static_cast<size_t>(site.kind)];
  return {.weight = treatment.weight, .algorithm = treatment.algorithm, .fold = treatment.fold};
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

Result<model::Weights> apply_recipe(const model::Weights& weights, const recipe::Recipe& recipe) {
  DOVETAIL_TRY_STATUS(check_applies(weights.shape, recipe));
  DOVETAIL_TRY(model::Weights treated, rotate_for(weights, recipe));
  for (int64_t site = 0; site + 1 < recipe::num_sites(weights.shape); ++site) {
    const recipe::Site at = recipe::site_at(weights.shape, site);
    const WeightFormat format = weights_at(weights.shape, recipe, site).weight;
    const auto layer = static_cast<size_t>(at.layer);
    round_site(format, at.kind, treated.layers[layer], treated.layers[layer]);
  }
  Matrix& head = treated.shape.tied_embedding ? treated.embedding : treated.head;
  round_head(recipe.head.weight, head, head);
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
                                          int64_t cache_bytes, SiteValues versions) {
  DOVETAIL_TRY(host::HostModel model, host::HostModel::create(weights));
  TreatedModel treated(weights, std::move(model), cache_bytes);
  treated.versions_ = std::move(versions);
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
  DOVETAIL_TRY_STATUS(check_applies(weights_->shape, recipe, versions_ != nullptr));
  DOVETAIL_TRY_STATUS(turn(recipe));
  TreatStats stats;
  for (int64_t layer = 0; layer < weights_->shape.num_layers; ++layer)
    DOVETAIL_TRY_STATUS(treat_layer(layer, recipe, stats));
  const int64_t head = recipe::num_sites(weights_->shape) - 1;
  const recipe::LinearTreatment wanted = weights_at(weights_->shape, recipe, head);
  if (wanted != applied_.back()) {
    DOVETAIL_TRY([[maybe_unused]] const std::vector<float> none, treat(head, wanted, stats));
    applied_.back() = wanted;
  }
  DOVETAIL_TRY_STATUS(model_.set_numerics(host::numerics_of(recipe)));
  return stats;
}

// A fold reaches into norms, biases and the site before, so where one comes or goes all sites of
// the layer are written anew.
Status TreatedModel::treat_layer(int64_t layer, const recipe::Recipe& recipe, TreatStats& stats) {
  constexpr int64_t kLinears = 4;
  const int64_t first = layer * recipe::kSitesPerLayer;
  bool changes = false;
  bool folds = false;
  for (int64_t site = first; site < first + kLinears; ++site) {
    const recipe::LinearTreatment wanted = weights_at(weights_->shape, recipe, site);
    const recipe::LinearTreatment& applied = applied_[static_cast<size_t>(site)];
    changes = changes || wanted != applied;
    folds = folds || wanted.fold != recipe::Fold::kNone || applied.fold != recipe::Fold::kNone;
  }
  if (!changes) return {};
  model::LayerWeights& treated = *layers_[static_cast<size_t>(layer)];
  if (folds) treated = weights_->layers[static_cast<size_t>(layer)];
  std::array<std::vector<float>, kLinears> scales;
  for (int64_t site = first; site < first + kLinears; ++site) {
    const recipe::LinearTreatment wanted = weights_at(weights_->shape, recipe, site);
    recipe::LinearTreatment& applied = applied_[static_cast<size_t>(site)];
    if (!folds && wanted == applied) continue;
    DOVETAIL_TRY(scales[static_cast<size_t>(site - first)], treat(site, wanted, stats));
    applied = wanted;
  }
  for (size_t kind = 0; kind < scales.size(); ++kind) {
    if (scales[kind].empty()) continue;
    DOVETAIL_TRY_STATUS(
        fold(weights_->shape, static_cast<recipe::SiteKind>(kind), scales[kind], treated));
  }
  return {};
}

std::vector<Matrix*> TreatedModel::matrices_of(int64_t site) {
  const recipe::Site at = recipe::site_at(weights_->shape, site);
  if (at.kind == recipe::SiteKind::kHead) return {head_.get()};
  std::vector<Matrix*> matrices;
  for (const SiteMember& member : site_members(at.kind))
    matrices.push_back(&(layers_[static_cast<size_t>(at.layer)].get()->*member.matrix));
  return matrices;
}

void TreatedModel::write(int64_t site, const std::vector<float>& values) {
  auto from = values.begin();
  for (Matrix* matrix : matrices_of(site)) {
    const auto size = std::ssize(matrix->values);
    std::copy(from, from + size, matrix->values.begin());
    from += size;
  }
}

Result<std::vector<float>> TreatedModel::treat(int64_t site, const recipe::LinearTreatment& wanted,
                                               TreatStats& stats) {
  const std::vector<Matrix*> matrices = matrices_of(site);
  int64_t count = 0;
  for (const Matrix* matrix : matrices) count += matrix->rows * matrix->cols;
  if (const Rounded* kept = recall(site, wanted)) {
    write(site, kept->weights.values);
    stats.reused_weights += count;
    return kept->weights.fold;
  }
  if (wanted.algorithm != recipe::Algorithm::kNearest || wanted.fold != recipe::Fold::kNone) {
    DOVETAIL_TRY(SiteWeights version, versions_(site, wanted));
    write(site, version.values);
    stats.reused_weights += count;
    std::vector<float> scales = version.fold;
    remember({.site = site, .treatment = wanted, .weights = std::move(version)});
    return scales;
  }
  const recipe::Site at = recipe::site_at(weights_->shape, site);
  if (at.kind == recipe::SiteKind::kHead) {
    round_head(wanted.weight, weights_->head_matrix(), *head_);
  } else {
    const auto layer = static_cast<size_t>(at.layer);
    round_site(wanted.weight, at.kind, weights_->layers[layer], *layers_[layer]);
  }
  std::vector<float> none;
  if (wanted.weight.element == formats::Element::kBf16) return none;  // a plain copy
  Rounded rounded{.site = site, .treatment = wanted, .weights = {}};
  for (const Matrix* matrix : matrices)
    rounded.weights.values.insert(rounded.weights.values.end(), matrix->values.begin(),
                                  matrix->values.end());
  stats.rounded_weights += count;
  remember(std::move(rounded));
  return none;
}

void TreatedModel::remember(Rounded rounded) {
  const auto bytes_of = [](const Rounded& entry) {
    return static_cast<int64_t>(entry.weights.values.size() * sizeof(float));
  };
  if (bytes_of(rounded) > cache_bytes_) return;
  cached_bytes_ += bytes_of(rounded);
  cache_.push_front(std::move(rounded));
  while (cached_bytes_ > cache_bytes_) {
    cached_bytes_ -= bytes_of(cache_.back());
    cache_.pop_back();
  }
}

const TreatedModel::Rounded* TreatedModel::recall(int64_t site,
                                                  const recipe::LinearTreatment& wanted) {
  const auto found = std::find_if(cache_.begin(), cache_.end(), [&](const Rounded& entry) {
    return entry.site == site && entry.treatment == wanted;
  });
  if (found == cache_.end()) return nullptr;
  cache_.splice(cache_.begin(), cache_, found);
  return &cache_.front();
}

}  // namespace dovetail::compress
