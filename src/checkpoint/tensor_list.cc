#include "checkpoint/tensor_list.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "checkpoint/packed_tensors.h"
#include "formats/activation.h"
#include "formats/unpack.h"

namespace dovetail::checkpoint {

TensorList::TensorList(std::vector<ModelTensor> tensors) : tensors_(std::move(tensors)) {
  for (size_t i = 0; i < tensors_.size(); ++i) index_.emplace(tensors_[i].name, i);
}

Result<const ModelTensor*> TensorList::take(const std::string& name) {
  const auto found = index_.find(name);
  if (found == index_.end()) {
    return invalid_argument(
        fmt::format("{}: the model under this recipe has no such tensor", name));
  }
  if (!given_.insert(name).second) return invalid_argument(name + ": was given twice");
  return &tensors_[found->second];
}

Result<std::vector<float>> TensorList::add_packed(const std::string& name,
                                                  const formats::PackedRows& packed,
                                                  const formats::Rounding& rounding) {
  DOVETAIL_TRY(const ModelTensor* tensor, take(name));
  const std::string wanted =
      tensor->is_treated() ? formats::format_name(tensor->treatment->weight) : "bf16";
  const std::string format = formats::format_name(packed.format);
  if (packed.rows != tensor->rows || packed.k != tensor->cols || format != wanted) {
    return invalid_argument(fmt::format("{}: ({}, {}) of {}, want ({}, {}) of {}", name,
                                        packed.rows, packed.k, format, tensor->rows, tensor->cols,
                                        wanted));
  }
  auto values = formats::unpack_rows(packed);
  if (!values.has_value()) return with_context(std::move(values).error(), name);
  record({.name = name,
          .format = format,
          .rounding = rounding,
          .rows = packed.rows,
          .cols = packed.k,
          .packed_sha256 = packed_sha256(packed),
          .decoded_sha256 = values_sha256(*values)});
  return values;
}

Result<const ModelTensor*> TensorList::take_values(const std::string& name,
                                                   std::span<const float> values,
                                                   bool may_be_treated) {
  DOVETAIL_TRY(const ModelTensor* tensor, take(name));
  if (tensor->is_treated() && !may_be_treated) {
    return invalid_argument(fmt::format("{}: the recipe has {} for {}, want packed codes", name,
                                        formats::format_name(tensor->treatment->weight),
                                        tensor->site));
  }
  if (std::ssize(values) != tensor->rows * tensor->cols) {
    return invalid_argument(fmt::format("{}: {} values, want {} x {}", name, values.size(),
                                        tensor->rows, tensor->cols));
  }
  if (!std::ranges::all_of(values, [](float v) { return std::isfinite(v); }))
    return invalid_argument(name + ": holds an infinity or a NaN");
  return tensor;
}

Status TensorList::check_complete() const {
  for (const ModelTensor& tensor : tensors_) {
    if (!given_.contains(tensor.name))
      return invalid_argument(tensor.name + ": was not given, the checkpoint is incomplete");
  }
  return {};
}

Status check_runs_elsewhere(const recipe::Recipe& recipe) {
  for (size_t layer = 0; layer < recipe.layers.size(); ++layer) {
    for (size_t kind = 0; kind < recipe.layers[layer].linear.size(); ++kind) {
      const recipe::LinearTreatment& treatment = recipe.layers[layer].linear[kind];
      const std::string site = recipe::site_name(
          {.kind = static_cast<recipe::SiteKind>(kind), .layer = static_cast<int64_t>(layer)});
      if (treatment.hadamard != 0) {
        return invalid_argument(fmt::format(
            "{}: the online Hadamard transform (h:{}) has no words in a checkpoint, and "
            "its weights are useless without it; want r:r1r2, which is done offline",
            site, treatment.hadamard));
      }
      if (formats::is_static(treatment.activation)) {
        return invalid_argument(
            fmt::format("{}: the scale of {} has no place in a checkpoint yet; want {}", site,
                        formats::format_name(treatment.activation), "int8_token or fp8_token"));
      }
    }
  }
  return {};
}

std::vector<std::string> runtime_notes(const recipe::Recipe& recipe, bool activations_are_told) {
  std::vector<std::string> notes;
  const auto is_plain = [](const recipe::LayerRecipe& layer) {
    return layer.kv == recipe::KvTreatment();
  };
  if (!std::ranges::all_of(recipe.layers, is_plain)) {
    notes.emplace_back(
        "formats of keys, values, queries and probabilities stand in the recipe alone: other "
        "programs run with their own");
  }
  const auto is_untold = [&](const recipe::LinearTreatment& treatment) {
    const bool has_weights = treatment.weight.element != formats::Element::kBf16;
    return treatment.activation != formats::ActivationFormat::kBf16 &&
           !(activations_are_told && has_weights && is_told(treatment.activation));
  };
  bool untold = is_untold(recipe.head);
  for (const recipe::LayerRecipe& layer : recipe.layers)
    untold = untold || std::ranges::any_of(layer.linear, is_untold);
  if (untold) {
    notes.emplace_back(
        "formats of some activations stand in the recipe alone: other programs run with their own");
  }
  return notes;
}

}  // namespace dovetail::checkpoint
