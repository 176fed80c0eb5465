// What algorithms make of each site on its own, given the inputs that the uncompressed model has
// there: for searches, which put sites together in any way.
//
// compress_model goes block by block and compensates what earlier layers lost; here every site
// stands alone, so that its version does not depend on the rest of a recipe. The loss of such a
// version is priced by output error:
//
//   loss(format, algorithm) = loss(format, round to nearest) * E_algorithm / E_nearest
//
// with E = E |(W - Q) x|^2 and the profile's loss of round to nearest; at the head the ratio is
// that of measured KLs. Why: 1/2 sum S dW^2 counts errors as if they were independent, and GPTQ
// makes them dependent on purpose: it raises |dW| while it lowers |dW x|.
//
// A fold (AWQ, SmoothQuant) rounds W s instead of W, so Q above is Q(W s) / s; and it is x / s that
// an activation format rounds:
//
//   loss(activations, fold) = loss(activations) * A(x / s, W s) / A(x, W)
//   A(x, W) = sum over channels of |W_j|^2 E (round(x)_j - x_j)^2
//
// What produces x is divided by s after it was rounded on its own, not before: the same where its
// format's scales take any value, and a difference of their rounding elsewhere.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "compress/gptq.h"
#include "compress/layer_compressor.h"
#include "compress/loss_profile.h"
#include "compress/saved_block.h"
#include "compress/treat.h"
#include "host/host_model.h"
#include "model/model.h"
#include "recipe/site.h"

namespace dovetail::compress {

// The weights of one treatment at one site.
struct SiteVersion {
  std::string site;       // "attn_qkv", "head"
  std::string treatment;  // recipe::weight_treatment_name
  double loss_ratio = 1;  // to round to nearest, as above
  double seconds = 0;     // the algorithm's
  // Of a fold: to the loss of the site's activations, by formats::format_name; static ones none.
  std::map<std::string, double> activation_ratio = {};
};

struct SiteVersions {
  std::vector<SiteVersion> versions;
  // packed: "attn_qkv int4_g64_gptq", parts of a site as ".0", ".1"; plain: scales of a fold,
  // "attn_qkv int4_g64_awq.fold".
  SavedBlock block;
};

struct VersionParams {
  GptqParams gptq = {};
  double smooth_alpha = 0.5;  // SmoothQuant's
  int64_t rows_at_once = default_rows_at_once();
};

// The treatments of a menu whose weights need an algorithm or a fold, each once, in order.
[[nodiscard]] std::vector<recipe::LinearTreatment> calibrated_treatments(const recipe::Menu& menu);

// All linear sites of one layer. input: (b * s, h), what enters the layer. Errors: kInvalidArgument
// of the algorithms, with the site named.
[[nodiscard]] Result<SiteVersions> versions_of_layer(
    const host::HostModel& reference, int64_t layer, const host::TokenBatch& tokens,
    const model::Matrix& input, const std::vector<recipe::LinearTreatment>& treatments,
    const VersionParams& params = {});

// The head, which has no folds: treatments with one are passed over. KL is measured at
// `scored_positions` positions of `tokens`.
[[nodiscard]] Result<SiteVersions> versions_of_head(
    const host::HostModel& reference, const host::TokenBatch& tokens,
    const std::vector<recipe::LinearTreatment>& treatments, int64_t scored_positions,
    const VersionParams& params = {});

// One version as it acts on inputs that are not divided: Q(W s) / s. Errors: kInvalidArgument
// naming a treatment that the block does not hold.
[[nodiscard]] Result<SiteWeights> values_of_version(const SavedBlock& block, recipe::SiteKind kind,
                                                    const recipe::LinearTreatment& treatment);

// Adds the losses of versions to a profile; versions[l] of layer l, the head's last.
// Errors: kInvalidArgument naming a format that the profile does not have.
[[nodiscard]] Status add_versions(LossProfile& profile,
                                  const std::vector<std::vector<SiteVersion>>& versions);

}  // namespace dovetail::compress
