// SHA-256 over a model's shape and decoded weights, for weights that come piece by piece; of a
// whole model: weights_digest (model.h).
#pragma once

#include <string>
#include <vector>

#include "base/hash.h"
#include "model/model.h"

namespace dovetail::model {

// A tree of two levels, so that all cores hash: chunks of each tensor, then the list of sums. The
// order: embedding, head (empty when tied), final norm, layers.
class WeightsDigest {
 public:
  explicit WeightsDigest(const ModelShape& shape);
  void add(const std::vector<float>& tensor);
  void add(const LayerWeights& layer);
  [[nodiscard]] std::string hex() &&;

 private:
  std::string sizes_;  // shape, then the size of every tensor
  std::string sums_;
};

}  // namespace dovetail::model
