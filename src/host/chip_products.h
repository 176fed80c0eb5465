// Linears with the sums of a chip's matrix unit instead of FP32: bf16 activations against integer
// or bf16 weights, dot by dot, aligned to the largest shift and truncated to `align_bits`
// (definition: src/arith/dot.h, whose results this gives bit for bit). Pairs without bf16 sum
// exactly on a chip, so matmul.h stands for them up to FP32 rounding.
//
// Letters: rows tokens, n outputs, k reduction, g = ceil(k / granule).
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "formats/format.h"
#include "model/model.h"
#include "recipe/site.h"

namespace dovetail::host {

struct AlignedSums {
  int64_t depth = 16;       // elements of one dot, 1..128
  int64_t align_bits = 24;  // magnitude bits of an aligned product, 16..24
  bool operator==(const AlignedSums&) const = default;
};
// Errors: kInvalidArgument naming field, value and range.
[[nodiscard]] Status check_sums(const AlignedSums& sums);

// A matrix as elements and scales.
struct CodedMatrix {
  int64_t rows = 0, cols = 0;  // n, k
  int64_t granule = 0;         // elements that share a scale; cols if a row does
  int64_t significand_bits = 8;
  bool is_bf16 = false;              // elements are bf16, scales 1
  std::vector<float> elements = {};  // (n, k)
  std::vector<float> scales = {};    // (n, g)
};

// Elements and scales of a matrix whose values are a format's: bf16 and all integers. The scale of
// a group is the largest step that all its values are whole multiples of, so codes that share a
// factor come out divided by it; the products are the same, truncated at most that factor finer.
// bf16: values rounded to bf16. Errors: kInvalidArgument for other formats and for values that no
// code of the format gives.
[[nodiscard]] Result<CodedMatrix> elements_of(const model::Matrix& values,
                                              const formats::WeightFormat& format);

// y = x w^T, or y += x w^T. x: (rows, k), rounded to bf16 first; y: (rows, n).
void aligned_products(const AlignedSums& sums, const CodedMatrix& w, int64_t rows, const float* x,
                      float* y, bool accumulate);

// The matrices of a treated model whose inputs a recipe leaves at bf16.
class ChipProducts {
 public:
  // layers: the treated weights, one entry a layer. Errors: those of check_sums and elements_of,
  // naming the site.
  [[nodiscard]] static Result<ChipProducts> create(
      const AlignedSums& sums, const recipe::Recipe& recipe,
      const std::vector<const model::LayerWeights*>& layers);

  // Nothing for a matrix that is multiplied in FP32.
  [[nodiscard]] const CodedMatrix* find(const model::Matrix& matrix) const;
  [[nodiscard]] const AlignedSums& sums() const { return sums_; }
  [[nodiscard]] int64_t matrices() const { return static_cast<int64_t>(coded_.size()); }

 private:
  AlignedSums sums_;
  std::unordered_map<const model::Matrix*, CodedMatrix> coded_;
};

}  // namespace dovetail::host
