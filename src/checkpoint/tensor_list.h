// What both writers check of what they are given: each tensor of the model once, in the shape and
// the format that the recipe says.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "checkpoint/manifest.h"
#include "checkpoint/model_tensors.h"
#include "formats/codec.h"

namespace dovetail::checkpoint {

class TensorList {
 public:
  explicit TensorList(std::vector<ModelTensor> tensors);

  [[nodiscard]] const std::vector<ModelTensor>& tensors() const { return tensors_; }
  // Records a packed matrix. Gives the values that it decodes to.
  // Errors: kInvalidArgument naming tensor, what it is and what was wanted.
  [[nodiscard]] Result<std::vector<float>> add_packed(const std::string& name,
                                                      const formats::PackedRows& packed,
                                                      const formats::Rounding& rounding);
  // Checks an unpacked one; the caller records it by record(). `may_be_treated`: the recipe may
  // have a format for it.
  [[nodiscard]] Result<const ModelTensor*> take_values(const std::string& name,
                                                       std::span<const float> values,
                                                       bool may_be_treated);
  void record(TensorRecord record) { records_.push_back(std::move(record)); }

  // Errors: kInvalidArgument naming the first tensor that was not given.
  [[nodiscard]] Status check_complete() const;
  [[nodiscard]] const std::vector<TensorRecord>& records() const { return records_; }

 private:
  [[nodiscard]] Result<const ModelTensor*> take(const std::string& name);

  std::vector<ModelTensor> tensors_;
  std::map<std::string, size_t> index_;
  std::set<std::string> given_;
  std::vector<TensorRecord> records_;
};

// Errors: kInvalidArgument naming a site whose weights mean nothing to a program that reads weights
// alone: online Hadamard transforms, activations of a static scale.
[[nodiscard]] Status check_runs_elsewhere(const recipe::Recipe& recipe);

// What the recipe says that no weight file does: KV, queries, activations of bf16 sites.
[[nodiscard]] std::vector<std::string> runtime_notes(const recipe::Recipe& recipe,
                                                     bool activations_are_told);

}  // namespace dovetail::checkpoint
