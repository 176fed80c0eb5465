#include "host/chip_products.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include <fmt/format.h>

#include "base/parallel.h"
#include "formats/quantize.h"
#include "host/lanes.h"

namespace dovetail::host {
namespace {

using formats::Element;

constexpr int32_t kBf16Fraction = 133;  // value = significand * 2^(shift - 133), arith/operand.h

// out: (rows, k), may be x itself.
void round_to_bf16(int64_t rows, int64_t k, const float* x, float* out) {
  formats::quantize_rows({.element = Element::kBf16}, {}, rows, k, x, out);
}

int32_t bf16_shift(float value) {
  const auto exponent = static_cast<int32_t>((std::bit_cast<uint32_t>(value) >> 23) & 0xFF);
  return std::max(exponent - 1, 0);
}

// The largest step that all values are whole multiples of, at most `largest_code` of them; 0 if
// there is none. Exact: a stored scale has 11 bits and a code at most 9, so values are exact in
// FP32.
float common_step(const float* values, int64_t count, int64_t largest_code) {
  float most = 0;
  for (int64_t i = 0; i < count; ++i) most = std::max(most, std::abs(values[i]));
  if (most == 0) return 1;
  for (int64_t code = 1; code <= largest_code; ++code) {
    const float step = most / static_cast<float>(code);
    bool fits = true;
    for (int64_t i = 0; fits && i < count; ++i) {
      fits = std::nearbyint(values[i] / step) * step == values[i];
    }
    if (fits) return step;
  }
  return 0;
}

bool is_integer(const formats::WeightFormat& format) {
  return format.element == Element::kInt || format.element == Element::kTernary;
}

// Codes less a zero point take one bit more.
int64_t code_bits(const formats::WeightFormat& format) {
  return format.element == Element::kTernary ? 2 : format.bits + (format.asymmetric ? 1 : 0);
}

CodedMatrix bf16_elements(const model::Matrix& values) {
  CodedMatrix coded = {.rows = values.rows,
                       .cols = values.cols,
                       .granule = values.cols,
                       .significand_bits = 8,
                       .is_bf16 = true,
                       .elements = values.values,
                       .scales = std::vector<float>(static_cast<size_t>(values.rows), 1.0F)};
  round_to_bf16(coded.rows, coded.cols, coded.elements.data(), coded.elements.data());
  return coded;
}

// Sixteen outputs of w side by side: (k, lanes), and their scales (g, lanes).
struct Panel {
  std::vector<float> elements;
  std::vector<float> scales;
};

void fill_panel(const CodedMatrix& w, int64_t first, Panel& panel) {
  const int64_t granules = (w.cols + w.granule - 1) / w.granule;
  panel.elements.assign(static_cast<size_t>(w.cols * kFloatLanes), 0.0F);
  panel.scales.assign(static_cast<size_t>(granules * kFloatLanes), 0.0F);
  const int64_t outputs = std::min(kFloatLanes, w.rows - first);
  for (int64_t lane = 0; lane < outputs; ++lane) {
    const float* row = w.elements.data() + (first + lane) * w.cols;
    for (int64_t k = 0; k < w.cols; ++k) {
      panel.elements[static_cast<size_t>(k * kFloatLanes + lane)] = row[k];
    }
    for (int64_t g = 0; g < granules; ++g) {
      panel.scales[static_cast<size_t>(g * kFloatLanes + lane)] =
          w.scales[static_cast<size_t>((first + lane) * granules + g)];
    }
  }
}

// The largest shift of the products that are not 0, per lane; at least 0.
Int32Lanes largest_shift(const CodedMatrix& w, const float* elements, const float* x,
                         int64_t count) {
  Int32Lanes largest{};
  for (int64_t i = 0; i < count; ++i) {
    if (x[i] == 0) continue;
    FloatLanes e;
    load_lanes(elements + i * kFloatLanes, e);
    Int32Lanes shift = Int32Lanes{} + bf16_shift(x[i]);
    if (w.is_bf16) {
      const auto exponent = (std::bit_cast<Int32Lanes>(e) >> 23) & 0xFF;
      shift += exponent > 0 ? exponent - 1 : Int32Lanes{};
    }
    const auto counts = (e != 0.0F) & (shift > largest);
    largest = counts ? shift : largest;
  }
  return largest;
}

// 2^exponent per lane as a product of two factors: either alone may leave FP32's range.
struct PowerOfTwo {
  FloatLanes first, second;
};

PowerOfTwo power_of_two(const Int32Lanes& exponent) {
  const Int32Lanes half = exponent >> 1;
  const Int32Lanes rest = exponent - half;
  return {std::bit_cast<FloatLanes>((half + 127) << 23),
          std::bit_cast<FloatLanes>((rest + 127) << 23)};
}

FloatLanes scaled(const FloatLanes& x, const PowerOfTwo& power) {
  return x * power.first * power.second;
}

// One dot of sixteen outputs: aligned, truncated toward zero, summed, as FP32.
FloatLanes dot_lanes(const AlignedSums& sums, const CodedMatrix& w, const float* elements,
                     const float* x, int64_t count) {
  const auto spare = static_cast<int32_t>(sums.align_bits - w.significand_bits - 8);
  const int32_t fraction = kBf16Fraction + (w.is_bf16 ? kBf16Fraction : 0);
  const Int32Lanes exponent = largest_shift(w, elements, x, count) - fraction - spare;
  const PowerOfTwo inverse = power_of_two(-exponent);
  Int32Lanes sum{};
  for (int64_t i = 0; i < count; ++i) {
    FloatLanes e;
    load_lanes(elements + i * kFloatLanes, e);
    sum += __builtin_convertvector(scaled(e * x[i], inverse), Int32Lanes);
  }
  return scaled(__builtin_convertvector(sum, FloatLanes), power_of_two(exponent));
}

FloatLanes output_lanes(const AlignedSums& sums, const CodedMatrix& w, const Panel& panel,
                        const float* x, FloatLanes output) {
  const int64_t step = std::min(sums.depth, w.granule);
  for (int64_t begin = 0; begin < w.cols; begin += w.granule) {
    const int64_t end = std::min(begin + w.granule, w.cols);
    FloatLanes scale;
    load_lanes(panel.scales.data() + begin / w.granule * kFloatLanes, scale);
    for (int64_t k = begin; k < end; k += step) {
      const int64_t count = std::min(step, end - k);
      output += dot_lanes(sums, w, panel.elements.data() + k * kFloatLanes, x + k, count) * scale;
    }
  }
  return output;
}

}  // namespace

Status check_sums(const AlignedSums& sums) {
  const auto check = [](const char* key, int64_t value, int64_t low, int64_t high) -> Status {
    if (value >= low && value <= high) return {};
    return invalid_argument(fmt::format("{} = {}, want {}..{}", key, value, low, high));
  };
  DOVETAIL_TRY_STATUS(check("depth", sums.depth, 1, 128));
  return check("align_bits", sums.align_bits, 16, 24);
}

Result<CodedMatrix> elements_of(const model::Matrix& values, const formats::WeightFormat& format) {
  if (format.element == Element::kBf16) return bf16_elements(values);
  if (!is_integer(format)) {
    return invalid_argument(
        fmt::format("{}: chip sums are there for integer and bf16 weights", format_name(format)));
  }
  CodedMatrix coded = {.rows = values.rows,
                       .cols = values.cols,
                       .granule = format.group_size > 0 ? format.group_size : values.cols,
                       .significand_bits = std::min<int64_t>(code_bits(format), 8)};
  coded.elements.resize(values.values.size());
  const int64_t granules = (coded.cols + coded.granule - 1) / coded.granule;
  coded.scales.resize(static_cast<size_t>(coded.rows * granules));
  // Two's complement without a zero point: -2^(b-1) .. 2^(b-1) - 1, and scales may be negative.
  const int64_t half = int64_t{1} << (code_bits(format) - 1);
  const int64_t largest_code = format.asymmetric ? half - 1 : half;
  std::vector<uint8_t> failed(static_cast<size_t>(coded.rows), 0);
  parallel_for(coded.rows, [&](int64_t row, int64_t) {
    for (int64_t g = 0; g < granules; ++g) {
      const int64_t begin = row * coded.cols + g * coded.granule;
      const int64_t count = std::min(coded.granule, coded.cols - g * coded.granule);
      const float* group = values.values.data() + begin;
      float step = common_step(group, count, largest_code);
      if (step == 0) failed[static_cast<size_t>(row)] = 1;
      const float most = *std::max_element(group, group + count);
      if (!format.asymmetric && most >= step * static_cast<float>(half)) step = -step;
      coded.scales[static_cast<size_t>(row * granules + g)] = step;
      for (int64_t i = begin; i < begin + count; ++i) {
        const auto at = static_cast<size_t>(i);
        coded.elements[at] = std::nearbyint(values.values[at] / step);
      }
    }
  });
  const auto row = std::find(failed.begin(), failed.end(), 1);
  if (row != failed.end()) {
    return invalid_argument(fmt::format("row {}: values that are no codes of {}",
                                        row - failed.begin(), format_name(format)));
  }
  return coded;
}

void aligned_products(const AlignedSums& sums, const CodedMatrix& w, int64_t rows, const float* x,
                      float* y, bool accumulate) {
  std::vector<float> rounded(static_cast<size_t>(rows * w.cols));
  round_to_bf16(rows, w.cols, x, rounded.data());
  const int64_t panels = (w.rows + kFloatLanes - 1) / kFloatLanes;
  std::vector<Panel> scratch(static_cast<size_t>(num_threads()));
  parallel_for(panels, [&](int64_t p, int64_t worker) {
    Panel& panel = scratch[static_cast<size_t>(worker)];
    const int64_t first = p * kFloatLanes;
    const int64_t outputs = std::min(kFloatLanes, w.rows - first);
    fill_panel(w, first, panel);
    for (int64_t row = 0; row < rows; ++row) {
      float* out = y + row * w.rows + first;
      FloatLanes output{};
      if (accumulate) load_lanes(out, outputs, 0.0F, output);
      store_lanes(output_lanes(sums, w, panel, rounded.data() + row * w.cols, output), outputs,
                  out);
    }
  });
}

Result<ChipProducts> ChipProducts::create(const AlignedSums& sums, const recipe::Recipe& recipe,
                                          const std::vector<const model::LayerWeights*>& layers) {
  DOVETAIL_TRY_STATUS(check_sums(sums));
  ChipProducts products;
  products.sums_ = sums;
  for (size_t layer = 0; layer < layers.size(); ++layer) {
    const model::LayerWeights& w = *layers[layer];
    const std::array<std::vector<const model::Matrix*>, 4> sites = {
        {{&w.q, &w.k, &w.v}, {&w.o}, {&w.gate, &w.up}, {&w.down}}};
    for (size_t site = 0; site < sites.size(); ++site) {
      const recipe::LinearTreatment& treatment = recipe.layers[layer].linear[site];
      if (treatment.activation != formats::ActivationFormat::kBf16) continue;
      for (const model::Matrix* matrix : sites[site]) {
        auto coded = elements_of(*matrix, treatment.weight);
        if (!coded.has_value()) {
          return with_context(
              coded.error(),
              fmt::format("layer {}, {}", layer,
                          recipe::site_kind_name(static_cast<recipe::SiteKind>(site))));
        }
        products.coded_.emplace(matrix, std::move(*coded));
      }
    }
  }
  return products;
}

const CodedMatrix* ChipProducts::find(const model::Matrix& matrix) const {
  const auto it = coded_.find(&matrix);
  return it == coded_.end() ? nullptr : &it->second;
}

}  // namespace dovetail::host
