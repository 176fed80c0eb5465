// How much each treatment hurts at each site of one model on one text: the result of profile.h as
// plain values, its file form, and the table that a search reads.
//
// All losses are predicted KL(reference || treated) in nats per token; they add over sites, and at
// a linear site the loss of its weights and of its activations add. docs/loss.md gives the
// formulas.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/result.h"
#include "model/model.h"
#include "recipe/site.h"

namespace dovetail::compress {

// Losses by format or treatment name. The reference ("bf16") is not listed: its loss is 0.
using LossByName = std::map<std::string, double>;

struct LossProfile {
  std::string model_name;
  std::string model_digest;  // model::weights_digest of the weights as profiled (off the grid)
  std::string text_name;
  std::string text_digest;
  uint64_t off_grid_seed = 0;  // 0: as released
  std::string borrowed_from;   // empty, or the model whose profile this was resampled from
  int64_t num_layers = 0;
  int64_t num_positions = 0;     // scored positions behind the linear sites
  int64_t num_kv_positions = 0;  // scored positions behind the kv sites
  double gradient_s = 0;         // backward pass
  double menu_s = 0;             // pricing of the weight and activation formats
  double kv_s = 0;               // injection of the kv treatments

  // By site index (recipe::site_at); the entries of kv sites are empty.
  std::vector<LossByName> weight_loss;      // recipe::weight_treatment_name
  std::vector<LossByName> activation_loss;  // formats::format_name; folded_activation_name
  // By layer; recipe::treatment_name(KvTreatment).
  std::vector<LossByName> kv_loss;
};

// Activations of a site whose weights fold: "int8_smooth+a:int8_token". The head has none.
[[nodiscard]] std::string folded_activation_name(const std::string& weight_treatment,
                                                 const std::string& activation);

// Sizes agree with num_layers, every loss is finite and >= 0, every site lists the same names but
// for the head, which may lack some: it has no folds.
// Errors: kInvalidArgument naming the entry.
[[nodiscard]] Status check_loss_profile(const LossProfile& profile);

[[nodiscard]] Json loss_profile_to_json(const LossProfile& profile);
// `name` stands in front of error messages. Errors: kInvalidArgument naming the key.
[[nodiscard]] Result<LossProfile> loss_profile_from_json(const Json& json, const std::string& name);

// loss[site][treatment] of every treatment of a menu, sites as recipe::site_at. Infinite for a fold
// at the head, which may not be.
// Errors: kInvalidArgument naming the site and the format that was not profiled.
[[nodiscard]] Result<std::vector<std::vector<double>>> price(const LossProfile& profile,
                                                             const recipe::Menu& menu);

// Predicted loss of a whole recipe: the sum over its sites. Errors: as price, and a recipe with
// another number of layers.
[[nodiscard]] Result<double> predict_loss(const LossProfile& profile, const recipe::Recipe& recipe);

// A profile for a model that has no weights here: layer l of the other model takes the losses of
// the source layer at the same relative depth (linear interpolation between the two nearest),
// scaled so that every uniform treatment keeps its whole-model loss. The head keeps its loss. The
// result names its source in `borrowed_from`; it is an assumption, and reports must say so.
[[nodiscard]] LossProfile borrow_profile(const LossProfile& source, const model::ModelShape& other);

}  // namespace dovetail::compress
