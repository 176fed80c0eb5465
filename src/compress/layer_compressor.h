// Compresses the layers of a model one after the other on calibration text: every site sees the
// inputs that the already compressed sites before it produce.
//
// Of each layer four steps: attn_qkv, attn_o, mlp_gate_up, mlp_down. A step computes its inputs for
// the whole text, sums their second moments, lets the site's algorithm write the weights, and goes
// on through the written ones; so each linear runs forward once. Activations and the KV cache are
// rounded as the recipe asks, so algorithms compensate for that too; static scales are taken from
// the inputs. Weights come turned where the recipe rotates (rotate.h).
//
// Tokens run in pieces of whole sequences, a core each. Pieces do not depend on the number of
// cores, so neither does any digit.
//
// Memory, beside the weights of one layer and what the algorithm takes: 4 bytes * tokens * (hidden
// + the widest input), which may go to disk, and 4 bytes * rows_at_once * (all widths of a layer).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/result.h"
#include "compress/activation_store.h"
#include "compress/fold.h"
#include "compress/gptq.h"
#include "compress/learned_rounding.h"
#include "compress/pieces.h"
#include "compress/site_matrix.h"
#include "formats/codec.h"
#include "host/buffer.h"
#include "host/host_model.h"
#include "host/transformer_layer.h"
#include "model/model.h"
#include "recipe/site.h"

namespace dovetail::compress {

struct LayerParams {
  GptqParams gptq = {};
  LearnedParams learned = {};
  double smooth_alpha = 0.5;                      // SmoothQuant's
  int64_t rows_at_once = default_rows_at_once();  // tokens that run side by side: >= a sequence
  std::string spill_folder = {};  // where activations of the whole text go; empty: memory
};

// What was done to a site (with formats that have blocks of rows: to one matrix of it). Learned
// rounding adds one for the layer, "layers.3": its errors are losses of the layer's output before
// and after (learned_rounding.h). A fold adds one for its site, with the errors of rounding to
// nearest before and after. Pruning adds one for the MLP and one for the attention of a layer whose
// error_frac is the part of the Fisher scores that went (prune.h).
struct SiteReport {
  std::string site;  // "layers.3.mlp_down"
  std::string treatment;
  double damping_frac = 0;  // GPTQ: that was taken
  int64_t num_dead_columns = 0;
  // Output error over output, of round to nearest under the same scales and of what was written; 0
  // where no moments were summed.
  double rounded_error_frac = 0;
  double error_frac = 0;
  double seconds = 0;
};
[[nodiscard]] Json to_json(const SiteReport& report);

struct CompressedLayer {
  model::LayerWeights weights;  // as codes decode
  host::LayerNumerics numerics;
  // In the order of layer_linears(); as default where the matrix stays bf16.
  std::array<formats::MatrixScales, kLayerLinears> scales;
  std::vector<SiteReport> reports;  // of sites that were treated, in order
};

class LayerCompressor {
 public:
  // `recipe` and `tokens` must outlive this. A recipe that needs no calibration may come without
  // tokens. Errors: kInvalidArgument (layers of the recipe,
  // tokens), kIo (spill folder).
  [[nodiscard]] static Result<LayerCompressor> create(const model::ModelShape& shape,
                                                      const recipe::Recipe& recipe,
                                                      const host::TokenBatch& tokens,
                                                      const LayerParams& params);

  // The residual stream, (tokens, hidden): to be written before the first layer, and where one goes
  // on in the middle.
  [[nodiscard]] ActivationStore& hidden() { return hidden_; }

  // Writes layer `index` and moves the residual stream through it. `done_frac` hears 0..1.
  // Errors: kInvalidArgument (sizes, weights that are not finite; an algorithm's own, with the site
  // named), kIo.
  [[nodiscard]] Result<CompressedLayer> compress(int64_t index, model::LayerWeights weights,
                                                 const std::function<void(double)>& done_frac = {});

  // Moves the residual stream through a layer that stays as it is; `look` sees the inputs of every
  // linear site in turn. Errors: as compress, and those of `look`.
  using LookAtSite = std::function<Status(recipe::SiteKind kind, const SiteInputs& inputs)>;
  [[nodiscard]] Status observe(int64_t index, model::LayerWeights weights, const LookAtSite& look);

  // Learned rounding and carried error compare with the original model: its residual stream is to
  // be written before the first layer as well, and moved through original layers that are not
  // compressed here.
  [[nodiscard]] bool follows_original() const { return original_.rows() > 0; }
  [[nodiscard]] ActivationStore& original() { return original_; }
  [[nodiscard]] Status follow(int64_t index, const model::LayerWeights& original);

  // E[x x^T] of the head's inputs, (h, h), after the last layer.
  [[nodiscard]] Result<std::vector<float>> head_moments(const std::vector<float>& final_norm);

 private:
  LayerCompressor(const model::ModelShape& shape, const recipe::Recipe& recipe,
                  const host::TokenBatch& tokens, const LayerParams& params);
  // The layer that is being written.
  struct Current {
    int64_t index = 0;
    CompressedLayer layer;
    const std::function<void(double)>& done_frac;
    const LookAtSite* look = nullptr;  // instead of writing
  };
  // What a piece needs while it runs.
  struct PieceScratch {
    host::LayerScratch layer;
    host::Buffer hidden;  // (rows of a piece, hidden)
  };
  [[nodiscard]] host::LayerRun run_of(const model::LayerWeights& weights,
                                      const host::LayerNumerics& numerics, int64_t first_sequence,
                                      int64_t sequences) const;
  // Calls body(run, first row, scratch) for every piece.
  template <typename Body>
  Status for_runs(const model::LayerWeights& weights, const host::LayerNumerics& numerics,
                  const Body& body);
  // Moves a residual stream through a whole layer.
  Status run_layer(const model::LayerWeights& weights, const host::LayerNumerics& numerics,
                   ActivationStore& stream);
  struct Half;
  // One model's way through a half: the compressed one, or the original where carried error is made
  // good.
  struct Side {
    const model::LayerWeights& weights;
    const host::LayerNumerics& numerics;
    ActivationStore& stream;
    ActivationStore& inner;  // inputs of the second site
  };
  static const Half& attention_half();
  static const Half& mlp_half();
  // Both linear sites of attention, or of the MLP. original: null unless carried error is made
  // good.
  Status run_half(Current& current, const Half& half, const Side* original);
  Status run_halves(Current& current, const Side* original);
  Status make_inner(const Half& half, const Side& side);
  Status add_inner(const Half& half, const Side& side);
  // A piece of a site's inputs, where it lies or in scratch.
  Result<const float*> first_inputs(const Half& half, const Side& side, int64_t sequence,
                                    host::Buffer& scratch);
  Result<const float*> second_inputs(const Half& half, const Side& side, int64_t sequence,
                                     host::Buffer& scratch);
  // Gives the inputs of a site piece by piece, x (rows, k).
  using UseInputs = std::function<void(int64_t rows, const float* x)>;
  using ForInputs = std::function<Status(const UseInputs& use)>;
  // The same beside those of the original model, both (rows, k).
  using UsePairs = std::function<void(int64_t rows, const float* original, const float* x)>;
  using ForPairs = std::function<Status(const UsePairs& use)>;
  Result<SiteInputs> inputs_of_site(int64_t k, const ForInputs& for_inputs) const;
  Status fold_sites(Current& current);
  Status fold_site(Current& current, recipe::SiteKind kind, const SiteInputs& inputs);
  Status learn(Current& current, const model::LayerWeights& original,
               const std::vector<float>& inputs);
  static Status settle_scale(host::InputNumerics& input, int64_t k, const ForInputs& for_inputs);
  // for_pairs: null unless carried error is made good.
  Status compress_site(Current& current, recipe::SiteKind kind, int64_t k,
                       const ForInputs& for_inputs, const ForPairs& for_pairs);
  Status compress_part(Current& current, recipe::SiteKind kind,
                       const std::vector<SiteMember>& members, const std::string& name,
                       const std::vector<float>& moments, const std::vector<float>& cross);

  model::ModelShape shape_;
  const recipe::Recipe* recipe_;
  const host::TokenBatch* tokens_;
  LayerParams params_;
  host::Numerics numerics_;
  host::RopeTable rope_;
  Pieces pieces_;
  std::vector<PieceScratch> scratch_;  // of every worker
  ActivationStore hidden_;
  ActivationStore inner_;           // inputs of attn_o, then of mlp_down
  ActivationStore original_;        // no rows unless a site learns or carried error is made good
  ActivationStore original_inner_;  // no rows unless carried error is made good
};

}  // namespace dovetail::compress
