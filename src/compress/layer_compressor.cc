#include "compress/layer_compressor.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "compress/carried_error.h"
#include "compress/round_matrix.h"
#include "formats/activation.h"
#include "host/matmul.h"
#include "host/symmetric.h"

namespace dovetail::compress {
namespace {

using host::Buffer;
using recipe::SiteKind;

Status check_sizes(const model::ModelShape& shape, const model::LayerWeights& layer,
                   int64_t index) {
  for (const SiteKind kind :
       {SiteKind::kAttnQkv, SiteKind::kAttnO, SiteKind::kMlpGateUp, SiteKind::kMlpDown}) {
    const recipe::LinearShape want = recipe::linear_shape(shape, kind);
    int64_t rows = 0;
    for (const SiteMember& member : site_members(kind)) {
      const model::Matrix& w = layer.*member.matrix;
      rows += w.rows;
      if (w.cols != want.k || std::ssize(w.values) != w.rows * w.cols) rows = -1;
      if (rows < 0) break;
    }
    if (rows != want.n) {
      return invalid_argument(fmt::format("{}: its matrices do not have {} x {} values in all",
                                          recipe::site_name({.kind = kind, .layer = index}), want.n,
                                          want.k));
    }
  }
  return {};
}

bool learns(const recipe::LayerRecipe& recipe) {
  return recipe::has_algorithm(recipe, recipe::Algorithm::kSignround);
}
bool folds(const recipe::LayerRecipe& recipe) {
  return std::ranges::any_of(recipe.linear, [](const recipe::LinearTreatment& treatment) {
    return treatment.fold != recipe::Fold::kNone;
  });
}

// Gradients do not pass an online transform (host/layer_backward.h).
Status check_learns(const recipe::LayerRecipe& recipe, int64_t layer) {
  for (size_t kind = 0; kind < recipe.linear.size(); ++kind) {
    if (recipe.linear[kind].hadamard == 0) continue;
    return invalid_argument(fmt::format(
        "{}: signround in a layer with an online Hadamard transform (h:{}), want one of them",
        recipe::site_name({.kind = static_cast<SiteKind>(kind), .layer = layer}),
        recipe.linear[kind].hadamard));
  }
  if (recipe.kv.hadamard == 0) return {};
  return invalid_argument(
      fmt::format("layers.{}: signround in a layer with an online Hadamard transform (qkh:{}), "
                  "want one of them",
                  layer, recipe.kv.hadamard));
}

// What a layer computes without any rounding; its weights may be turned, so transforms stay.
host::LayerNumerics without_rounding(const host::LayerNumerics& numerics) {
  host::LayerNumerics plain;
  for (size_t i = 0; i < plain.linear.size(); ++i)
    plain.linear[i].hadamard = numerics.linear[i].hadamard;
  return plain;
}

Result<std::vector<float>> all_rows(const ActivationStore& store) {
  std::vector<float> rows(static_cast<size_t>(store.rows() * store.width()));
  DOVETAIL_TRY_STATUS(store.read(0, store.rows(), rows.data()));
  return rows;
}

// Inputs, rounded here if they were kept before their static scale was known.
Result<const float*> inputs_of(ActivationStore& store, const host::InputNumerics& input,
                               int64_t row, int64_t count, float* scratch) {
  if (!formats::is_static(input.format)) return store.fetch(row, count, scratch);
  DOVETAIL_TRY_STATUS(store.read(row, count, scratch));
  host::treat_input({.format = input.format, .hadamard = 0, .static_scale = input.static_scale},
                    count, store.width(), scratch);
  return scratch;
}

// Position of a site's first matrix among those of a layer.
size_t first_matrix(SiteKind kind) {
  constexpr std::array<size_t, 4> kFirst = {0, 3, 4, 6};
  return kFirst[static_cast<size_t>(kind)];
}

}  // namespace

// A layer is two halves alike: inputs of the first site, normed; what it makes of them, the inputs
// of the second site, kept for the whole text; and that added to the stream.
struct LayerCompressor::Half {
  SiteKind first, second;
  int64_t (*inner_width)(const model::ModelShape& shape);
  void (*norm)(const host::LayerRun& run, const float* hidden, float* normed);
  void (*make)(const host::LayerRun& run, host::LayerScratch& scratch);  // from scratch.normed
  Buffer host::LayerScratch::* made;
  void (*add)(const host::LayerRun& run, const float* inner, float* hidden);
};

const LayerCompressor::Half& LayerCompressor::attention_half() {
  static constexpr Half kHalf{
      .first = SiteKind::kAttnQkv,
      .second = SiteKind::kAttnO,
      .inner_width = [](const model::ModelShape& shape) { return shape.q_size(); },
      .norm = host::attention_input,
      .make = [](const host::LayerRun& run,
                 host::LayerScratch& scratch) { host::attend(run, scratch.normed.get(), scratch); },
      .made = &host::LayerScratch::attended,
      .add = host::add_attention};
  return kHalf;
}

const LayerCompressor::Half& LayerCompressor::mlp_half() {
  static constexpr Half kHalf{
      .first = SiteKind::kMlpGateUp,
      .second = SiteKind::kMlpDown,
      .inner_width = [](const model::ModelShape& shape) { return shape.intermediate_size; },
      .norm = host::mlp_input,
      .make =
          [](const host::LayerRun& run, host::LayerScratch& scratch) {
            host::project_mlp(run, scratch.normed.get(), scratch);
            host::activate_mlp(run, scratch);
          },
      .made = &host::LayerScratch::gate,
      .add = host::add_mlp};
  return kHalf;
}

LayerCompressor::LayerCompressor(const model::ModelShape& shape, const recipe::Recipe& recipe,
                                 const host::TokenBatch& tokens, const LayerParams& params)
    : shape_(shape),
      recipe_(&recipe),
      tokens_(&tokens),
      params_(params),
      numerics_(host::numerics_of(recipe)),
      rope_(tokens.seq, shape),
      pieces_(pieces_of(tokens, params.rows_at_once)),
      hidden_(ActivationStore::create(0, 0, "").value()),
      inner_(ActivationStore::create(0, 0, "").value()),
      original_(ActivationStore::create(0, 0, "").value()),
      original_inner_(ActivationStore::create(0, 0, "").value()) {}

Result<LayerCompressor> LayerCompressor::create(const model::ModelShape& shape,
                                                const recipe::Recipe& recipe,
                                                const host::TokenBatch& tokens,
                                                const LayerParams& params) {
  if (static_cast<int64_t>(recipe.layers.size()) != shape.num_layers) {
    return invalid_argument(fmt::format("recipe has {} layers, the model {} has {}",
                                        recipe.layers.size(), shape.name, shape.num_layers));
  }
  // Rounding alone asks nothing of a text.
  if (tokens.batch != 0 || recipe::sites_need_calibration(recipe))
    DOVETAIL_TRY_STATUS(host::check_tokens(shape, tokens));
  host::configure_math_threads();
  LayerCompressor compressor(shape, recipe, tokens, params);
  DOVETAIL_TRY(compressor.hidden_,
               ActivationStore::create(tokens.rows(), shape.hidden_size, params.spill_folder));
  DOVETAIL_TRY(
      compressor.inner_,
      ActivationStore::create(tokens.rows(), std::max(shape.q_size(), shape.intermediate_size),
                              params.spill_folder));
  if (recipe.carried_frac > 0 || std::ranges::any_of(recipe.layers, learns)) {
    DOVETAIL_TRY(compressor.original_,
                 ActivationStore::create(tokens.rows(), shape.hidden_size, params.spill_folder));
  }
  if (recipe.carried_frac > 0) {
    DOVETAIL_TRY(
        compressor.original_inner_,
        ActivationStore::create(tokens.rows(), compressor.inner_.width(), params.spill_folder));
  }
  return compressor;
}

host::LayerRun LayerCompressor::run_of(const model::LayerWeights& weights,
                                       const host::LayerNumerics& numerics, int64_t first_sequence,
                                       int64_t sequences) const {
  const int64_t count = std::min(sequences, tokens_->batch - first_sequence);
  return {shape_, weights, numerics, rope_, count, tokens_->seq};
}

template <typename Body>
Status LayerCompressor::for_runs(const model::LayerWeights& weights,
                                 const host::LayerNumerics& numerics, const Body& body) {
  const int64_t piece_rows = pieces_.sequences * tokens_->seq;
  while (std::ssize(scratch_) < pieces_.workers)
    scratch_.push_back({host::LayerScratch(shape_, piece_rows),
                        host::make_buffer(piece_rows * shape_.hidden_size)});
  return for_pieces(tokens_->batch, pieces_.sequences, pieces_.workers,
                    [&](int64_t first, int64_t count, size_t worker) {
                      return body(run_of(weights, numerics, first, count), first * tokens_->seq,
                                  scratch_[worker]);
                    });
}

Status LayerCompressor::run_layer(const model::LayerWeights& weights,
                                  const host::LayerNumerics& numerics, ActivationStore& stream) {
  return for_runs(weights, numerics,
                  [&](const host::LayerRun& run, int64_t row, PieceScratch& scratch) -> Status {
                    DOVETAIL_TRY(float* const hidden,
                                 stream.fetch(row, run.rows(), scratch.hidden.get()));
                    host::run_layer(run, hidden, scratch.layer);
                    return stream.write(row, run.rows(), hidden);
                  });
}

Result<CompressedLayer> LayerCompressor::compress(int64_t index, model::LayerWeights weights,
                                                  const std::function<void(double)>& done_frac) {
  DOVETAIL_TRY_STATUS(check_sizes(shape_, weights, index));
  Current current{.index = index, .layer = {}, .done_frac = done_frac, .look = nullptr};
  current.layer.weights = std::move(weights);
  current.layer.numerics = numerics_.layers[static_cast<size_t>(index)];
  const recipe::LayerRecipe& recipe = recipe_->layers[static_cast<size_t>(index)];
  if (folds(recipe)) DOVETAIL_TRY_STATUS(fold_sites(current));
  if (recipe_->carried_frac > 0) {
    const model::LayerWeights weights_before = current.layer.weights;
    const host::LayerNumerics plain = without_rounding(current.layer.numerics);
    const Side original{weights_before, plain, original_, original_inner_};
    DOVETAIL_TRY_STATUS(run_halves(current, &original));
    return std::move(current.layer);
  }
  if (!learns(recipe)) {
    if (follows_original()) DOVETAIL_TRY_STATUS(follow(index, current.layer.weights));
    DOVETAIL_TRY_STATUS(run_halves(current, nullptr));
    return std::move(current.layer);
  }
  DOVETAIL_TRY_STATUS(check_learns(recipe, index));
  const model::LayerWeights original = current.layer.weights;
  DOVETAIL_TRY(const std::vector<float> inputs, all_rows(hidden_));
  DOVETAIL_TRY_STATUS(follow(index, original));
  DOVETAIL_TRY_STATUS(run_halves(current, nullptr));
  DOVETAIL_TRY_STATUS(learn(current, original, inputs));
  return std::move(current.layer);
}

Status LayerCompressor::follow(int64_t index, const model::LayerWeights& original) {
  return run_layer(original, without_rounding(numerics_.layers[static_cast<size_t>(index)]),
                   original_);
}

// All sites are looked at before any is folded: rows of v and up are producers.
Status LayerCompressor::fold_sites(Current& current) {
  DOVETAIL_TRY(const std::vector<float> before, all_rows(hidden_));
  std::array<SiteInputs, 4> inputs;
  const LookAtSite look = [&](SiteKind kind, const SiteInputs& seen) -> Status {
    inputs[static_cast<size_t>(kind)] = seen;
    return {};
  };
  DOVETAIL_TRY_STATUS(observe(current.index, current.layer.weights, look));
  DOVETAIL_TRY_STATUS(hidden_.write(0, hidden_.rows(), before.data()));
  // Consumers before the sites that their producers belong to.
  for (const SiteKind kind :
       {SiteKind::kMlpDown, SiteKind::kMlpGateUp, SiteKind::kAttnO, SiteKind::kAttnQkv}) {
    const Status status = fold_site(current, kind, inputs[static_cast<size_t>(kind)]);
    const std::string name = recipe::site_name({.kind = kind, .layer = current.index});
    if (!status.has_value()) return with_context(status.error(), name);
  }
  return {};
}

Status LayerCompressor::fold_site(Current& current, SiteKind kind, const SiteInputs& inputs) {
  const recipe::LinearTreatment& treatment =
      recipe_->layers[static_cast<size_t>(current.index)].linear[static_cast<size_t>(kind)];
  if (treatment.fold == recipe::Fold::kNone) return {};
  if (treatment.hadamard != 0)
    return invalid_argument("a fold and a Hadamard transform at one site: want one of them");
  const auto start = std::chrono::steady_clock::now();
  std::vector<const model::Matrix*> matrices;
  for (const SiteMember& member : site_members(kind))
    matrices.push_back(&(current.layer.weights.*member.matrix));
  DOVETAIL_TRY(const std::vector<int64_t> producer, producer_channels(shape_, kind));
  SiteReport report{.site = recipe::site_name({.kind = kind, .layer = current.index}),
                    .treatment = fmt::format("{} fold", recipe::fold_name(treatment.fold))};
  std::vector<float> scales;
  if (treatment.fold == recipe::Fold::kAwq) {
    const AwqParams params{.rounding = params_.gptq.rounding,
                           .weigh_scales = treatment.algorithm != recipe::Algorithm::kNearest};
    DOVETAIL_TRY(AwqScales found, awq_scales(treatment.weight, params, matrices, inputs, producer));
    report.rounded_error_frac = found.plain_error_frac;
    report.error_frac = found.error_frac;
    scales = std::move(found.scales);
  } else {
    DOVETAIL_TRY(scales, smooth_scales(params_.smooth_alpha, matrices, inputs, producer));
  }
  DOVETAIL_TRY_STATUS(fold(shape_, kind, scales, current.layer.weights));
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  current.layer.reports.push_back(std::move(report));
  return {};
}

// Goes on from what the sites' algorithms wrote; the stream passes through what was learned.
Status LayerCompressor::learn(Current& current, const model::LayerWeights& original,
                              const std::vector<float>& inputs) {
  DOVETAIL_TRY(const std::vector<float> targets, all_rows(original_));
  const recipe::LayerRecipe& recipe = recipe_->layers[static_cast<size_t>(current.index)];
  RoundedLayer start;
  for (size_t kind = 0; kind < 4; ++kind) {
    size_t matrix = first_matrix(static_cast<SiteKind>(kind));
    for (const SiteMember& member : site_members(static_cast<SiteKind>(kind))) {
      const bool learned = recipe.linear[kind].algorithm == recipe::Algorithm::kSignround;
      if (learned) {
        start[matrix] = {recipe.linear[kind].weight, (current.layer.weights.*member.matrix).values,
                         current.layer.scales[matrix]};
      }
      ++matrix;
    }
  }
  // Sites that do not learn are as they are now.
  model::LayerWeights base = current.layer.weights;
  for (size_t i = 0; i < kLayerLinears; ++i)
    if (start[i].format.element != formats::Element::kBf16)
      base.*layer_linears()[i] = original.*layer_linears()[i];
  const LayerProblem problem{.shape = shape_,
                             .weights = base,
                             .numerics = current.layer.numerics,
                             .rope = rope_,
                             .num_sequences = tokens_->batch,
                             .seq = tokens_->seq,
                             .inputs = inputs.data(),
                             .targets = targets.data()};
  const std::string name = fmt::format("layers.{}", current.index);
  auto learned = learn_rounding(problem, start, params_.learned);
  if (!learned.has_value()) return with_context(learned.error(), name);
  for (size_t i = 0; i < kLayerLinears; ++i) {
    if (start[i].format.element == formats::Element::kBf16) continue;
    (current.layer.weights.*layer_linears()[i]).values = std::move(learned->linears[i].values);
    current.layer.scales[i] = std::move(learned->linears[i].scales);
  }
  current.layer.reports.push_back(
      {.site = name,
       .treatment = std::string(recipe::algorithm_name(recipe::Algorithm::kSignround)),
       .rounded_error_frac = learned->stats.start_loss,
       .error_frac = learned->stats.loss,
       .seconds = learned->stats.seconds});
  DOVETAIL_TRY_STATUS(hidden_.write(0, hidden_.rows(), inputs.data()));
  return run_layer(current.layer.weights, current.layer.numerics, hidden_);
}

Status LayerCompressor::observe(int64_t index, model::LayerWeights weights,
                                const LookAtSite& look) {
  DOVETAIL_TRY_STATUS(check_sizes(shape_, weights, index));
  const std::function<void(double)> nobody;
  Current current{.index = index, .layer = {}, .done_frac = nobody, .look = &look};
  current.layer.weights = std::move(weights);
  current.layer.numerics = numerics_.layers[static_cast<size_t>(index)];
  return run_halves(current, nullptr);
}

Result<const float*> LayerCompressor::first_inputs(const Half& half, const Side& side,
                                                   int64_t sequence, Buffer& scratch) {
  const int64_t size = pieces_.sequences * tokens_->seq * shape_.hidden_size;
  if (scratch == nullptr) scratch = host::make_buffer(2 * size);  // stream, normed
  const host::LayerRun run = run_of(side.weights, side.numerics, sequence, pieces_.sequences);
  DOVETAIL_TRY(const float* const x,
               side.stream.fetch(sequence * tokens_->seq, run.rows(), scratch.get()));
  half.norm(run, x, scratch.get() + size);
  return scratch.get() + size;
}

Result<const float*> LayerCompressor::second_inputs(const Half& half, const Side& side,
                                                    int64_t sequence, Buffer& scratch) {
  if (scratch == nullptr)
    scratch = host::make_buffer(pieces_.sequences * tokens_->seq * half.inner_width(shape_));
  const host::LayerRun run = run_of(side.weights, side.numerics, sequence, pieces_.sequences);
  return inputs_of(side.inner, side.numerics.linear[static_cast<size_t>(half.second)],
                   sequence * tokens_->seq, run.rows(), scratch.get());
}

Status LayerCompressor::make_inner(const Half& half, const Side& side) {
  side.inner.reuse(half.inner_width(shape_));
  return for_runs(side.weights, side.numerics,
                  [&](const host::LayerRun& run, int64_t row, PieceScratch& scratch) -> Status {
                    DOVETAIL_TRY(const float* const x,
                                 side.stream.fetch(row, run.rows(), scratch.hidden.get()));
                    half.norm(run, x, scratch.layer.normed.get());
                    half.make(run, scratch.layer);
                    return side.inner.write(row, run.rows(), (scratch.layer.*half.made).get());
                  });
}

Status LayerCompressor::add_inner(const Half& half, const Side& side) {
  const host::InputNumerics& numerics = side.numerics.linear[static_cast<size_t>(half.second)];
  return for_runs(
      side.weights, side.numerics,
      [&](const host::LayerRun& run, int64_t row, PieceScratch& scratch) -> Status {
        DOVETAIL_TRY(float* const stream, side.stream.fetch(row, run.rows(), scratch.hidden.get()));
        DOVETAIL_TRY(const float* const x, inputs_of(side.inner, numerics, row, run.rows(),
                                                     (scratch.layer.*half.made).get()));
        half.add(run, x, stream);
        return side.stream.write(row, run.rows(), stream);
      });
}

Status LayerCompressor::run_half(Current& current, const Half& half, const Side* original) {
  const Side side{current.layer.weights, current.layer.numerics, hidden_, inner_};
  using InputsOfPiece =
      Result<const float*> (LayerCompressor::*)(const Half&, const Side&, int64_t, Buffer&);
  const auto compress = [&](SiteKind kind, int64_t k, InputsOfPiece inputs) {
    const auto for_each = [&](const auto& use_piece) -> Status {
      Buffer scratch;
      for (int64_t at = 0; at < tokens_->batch; at += pieces_.sequences) {
        DOVETAIL_TRY(const float* const x, (this->*inputs)(half, side, at, scratch));
        DOVETAIL_TRY_STATUS(
            use_piece(at, std::min(pieces_.sequences, tokens_->batch - at) * tokens_->seq, x));
      }
      return {};
    };
    const ForInputs for_inputs = [&](const UseInputs& use) {
      return for_each([&](int64_t, int64_t rows, const float* x) -> Status {
        use(rows, x);
        return {};
      });
    };
    if (original == nullptr) return compress_site(current, kind, k, for_inputs, nullptr);
    return compress_site(current, kind, k, for_inputs, [&](const UsePairs& use) {
      Buffer scratch;
      return for_each([&](int64_t at, int64_t rows, const float* x) -> Status {
        DOVETAIL_TRY(const float* const wanted, (this->*inputs)(half, *original, at, scratch));
        use(rows, wanted, x);
        return {};
      });
    });
  };
  DOVETAIL_TRY_STATUS(compress(half.first, shape_.hidden_size, &LayerCompressor::first_inputs));
  DOVETAIL_TRY_STATUS(make_inner(half, side));
  if (original != nullptr) DOVETAIL_TRY_STATUS(make_inner(half, *original));
  DOVETAIL_TRY_STATUS(
      compress(half.second, half.inner_width(shape_), &LayerCompressor::second_inputs));
  if (original != nullptr) DOVETAIL_TRY_STATUS(add_inner(half, *original));
  return add_inner(half, side);
}

Status LayerCompressor::run_halves(Current& current, const Side* original) {
  DOVETAIL_TRY_STATUS(run_half(current, attention_half(), original));
  return run_half(current, mlp_half(), original);
}

Result<SiteInputs> LayerCompressor::inputs_of_site(int64_t k, const ForInputs& for_inputs) const {
  constexpr int64_t kSampleRows = 256;
  const int64_t stride = std::max<int64_t>(1, tokens_->rows() / kSampleRows);
  host::Gram gram(k);
  std::vector<double> sums(static_cast<size_t>(k));
  SiteInputs inputs;
  inputs.sample.cols = k;
  inputs.max_abs.resize(static_cast<size_t>(k));
  int64_t seen = 0;
  DOVETAIL_TRY_STATUS(for_inputs([&](int64_t rows, const float* x) {
    gram.add(rows, x);
    for (int64_t row = 0; row < rows; ++row) {
      const float* const at = x + row * k;
      for (int64_t j = 0; j < k; ++j) {
        const float size = std::fabs(at[j]);
        sums[static_cast<size_t>(j)] += static_cast<double>(size);
        inputs.max_abs[static_cast<size_t>(j)] =
            std::max(inputs.max_abs[static_cast<size_t>(j)], size);
      }
      if (seen++ % stride != 0) continue;
      inputs.sample.values.insert(inputs.sample.values.end(), at, at + k);
      ++inputs.sample.rows;
    }
  }));
  const auto count = static_cast<double>(std::max<int64_t>(gram.num_rows(), 1));
  for (const double sum : sums) inputs.mean_abs.push_back(static_cast<float>(sum / count));
  inputs.moments = std::move(gram).take_mean();
  return inputs;
}

// A static scale that waits takes what the site's inputs reach; they are rounded from then on.
Status LayerCompressor::settle_scale(host::InputNumerics& input, int64_t k,
                                     const ForInputs& for_inputs) {
  if (!formats::is_static(input.format) || input.static_scale != 0) return {};
  float absmax = 0;
  DOVETAIL_TRY_STATUS(for_inputs([&](int64_t rows, const float* x) {
    for (int64_t i = 0; i < rows * k; ++i) absmax = std::max(absmax, std::fabs(x[i]));
  }));
  input.static_scale = formats::static_scale(input.format, absmax);
  return {};
}

Status LayerCompressor::compress_site(Current& current, SiteKind kind, int64_t k,
                                      const ForInputs& for_inputs, const ForPairs& for_pairs) {
  const recipe::LinearTreatment& treatment =
      recipe_->layers[static_cast<size_t>(current.index)].linear[static_cast<size_t>(kind)];
  if (current.done_frac) current.done_frac(static_cast<double>(kind) / 4);
  DOVETAIL_TRY_STATUS(
      settle_scale(current.layer.numerics.linear[static_cast<size_t>(kind)], k, for_inputs));
  if (treatment.weight.element == formats::Element::kBf16 && current.look == nullptr) return {};
  if (current.look != nullptr) {
    DOVETAIL_TRY(const SiteInputs inputs, inputs_of_site(k, for_inputs));
    return (*current.look)(kind, inputs);
  }
  std::vector<float> moments;
  if (needs_moments(treatment)) {
    host::Gram gram(k);
    DOVETAIL_TRY_STATUS(for_inputs([&](int64_t rows, const float* x) { gram.add(rows, x); }));
    moments = std::move(gram).take_mean();
  }
  std::vector<float> cross;
  if (for_pairs && recipe::runs_gptq(treatment.algorithm)) {
    cross.resize(static_cast<size_t>(k * k));
    const double share = 1.0 / static_cast<double>(tokens_->rows());
    DOVETAIL_TRY_STATUS(for_pairs([&](int64_t rows, const float* original, const float* x) {
      host::matmul({original, rows, k, true}, {x, rows, k}, cross.data(), true, share);
    }));
  }
  const auto parts = site_parts(kind, treatment.weight);
  for (const std::vector<SiteMember>& members : parts) {
    std::string name = recipe::site_name({.kind = kind, .layer = current.index});
    if (parts.size() > 1) name += fmt::format(".{}", members.front().name);
    const Status status = compress_part(current, kind, members, name, moments, cross);
    if (!status.has_value()) return with_context(status.error(), name);
  }
  return {};
}

Status LayerCompressor::compress_part(Current& current, SiteKind kind,
                                      const std::vector<SiteMember>& members,
                                      const std::string& name, const std::vector<float>& moments,
                                      const std::vector<float>& cross) {
  const auto start = std::chrono::steady_clock::now();
  const recipe::LinearTreatment& treatment =
      recipe_->layers[static_cast<size_t>(current.index)].linear[static_cast<size_t>(kind)];
  model::Matrix w = stacked(current.layer.weights, members);
  for (const SiteMember& member : members)
    DOVETAIL_TRY_STATUS(
        check_finite(current.layer.weights.*member.matrix, std::string(member.name)));
  if (!cross.empty()) {
    const CarriedErrorParams params{.fraction = recipe_->carried_frac,
                                    .damping_frac = params_.gptq.damping_frac};
    DOVETAIL_TRY(CarriedError corrected, correct_carried_error(params, w, moments, cross));
    w = std::move(corrected.target);
  }
  DOVETAIL_TRY(const GptqResult written, round_matrix(treatment, params_.gptq, w, moments));
  unstack(written.values, members, current.layer.weights);
  const std::vector<SiteMember> all = site_members(kind);
  int64_t row = 0;
  for (const SiteMember& member : members) {
    const auto at =
        static_cast<size_t>(std::ranges::find(all, member.name, &SiteMember::name) - all.begin());
    const int64_t rows = (current.layer.weights.*member.matrix).rows;
    current.layer.scales[first_matrix(kind) + at] =
        treatment.weight.group_rows > 1
            ? written.scales
            : scales_of_rows(treatment.weight, written.scales, row, rows);
    row += rows;
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  current.layer.reports.push_back({.site = name,
                                   .treatment = recipe::weight_treatment_name(treatment),
                                   .damping_frac = written.stats.damping_frac,
                                   .num_dead_columns = written.stats.num_dead_columns,
                                   .rounded_error_frac = written.stats.rounded_error_frac,
                                   .error_frac = written.stats.error_frac,
                                   .seconds = taken.count()});
  return {};
}

Result<std::vector<float>> LayerCompressor::head_moments(const std::vector<float>& final_norm) {
  const int64_t h = shape_.hidden_size;
  host::Gram gram(h);
  const int64_t piece = pieces_.sequences * tokens_->seq;
  const Buffer hidden = host::make_buffer(piece * h);
  const Buffer normed = host::make_buffer(piece * h);
  for (int64_t row = 0; row < hidden_.rows(); row += piece) {
    const int64_t count = std::min(piece, hidden_.rows() - row);
    DOVETAIL_TRY(const float* const x, hidden_.fetch(row, count, hidden.get()));
    host::rms_norm(count, h, x, final_norm.data(), shape_.rms_norm_eps, normed.get());
    // A static scale of the head is settled when all is written (static_scales.h).
    if (!formats::is_static(numerics_.head.format))
      host::treat_input(numerics_.head, count, h, normed.get());
    gram.add(count, normed.get());
  }
  return std::move(gram).take_mean();
}

Json to_json(const SiteReport& report) {
  return {{"site", report.site},
          {"treatment", report.treatment},
          {"damping_frac", report.damping_frac},
          {"num_dead_columns", report.num_dead_columns},
          {"rounded_error_frac", report.rounded_error_frac},
          {"error_frac", report.error_frac},
          {"duration_s", report.seconds}};
}

}  // namespace dovetail::compress
