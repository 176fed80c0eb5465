#include "formats/column_rounder.h"

#include "formats/element.h"
#include "formats/element_lanes.h"

namespace dovetail::formats {
namespace {

// One step per row; a scale of 0 gives 0.
template <typename Element>
FloatLanes round_lanes(const Element& element, FloatLanes w, FloatLanes scale, FloatLanes zero) {
  const FloatLanes x = w / scale;
  const FloatLanes code = shifted_lanes(element, zero).round(x);
  const FloatLanes value = (Element::kSigned ? with_sign_of(code, x) : code) * scale;
  return scale == FloatLanes{} ? FloatLanes{} : value;
}

}  // namespace

ColumnRounder::ColumnRounder(const WeightFormat& format, Ties ties, const MatrixScales& scales,
                             int64_t rows, int64_t k)
    : format_(format),
      ties_(ties),
      levels_(scales.levels.empty() ? levels_or_none(format) : scales.levels),
      rows_(rows),
      group_length_(format.group_size == 0 ? k : format.group_size) {
  const int64_t height = format.group_rows == 0 ? rows : format.group_rows;
  for (int64_t g = 0; g < scales.groups; ++g)
    for (int64_t row = 0; row < rows; ++row) {
      const auto at = static_cast<size_t>(row / height * scales.groups + g);
      scale_.push_back(scales.scale[at]);
      if (format.asymmetric) zero_.push_back(static_cast<float>(scales.zero[at]));
    }
}

void ColumnRounder::round(int64_t column, int64_t first, int64_t last, const float* w,
                          float* out) const {
  const int64_t n = last - first;
  if (format_.element == Element::kBf16) {
    for (int64_t i = 0; i < n; ++i) out[i] = decode_bf16(encode_bf16(w[i]));
    return;
  }
  const int64_t at = column / group_length_ * rows_ + first;
  round_under(scale_.data() + at, zero_.empty() ? nullptr : zero_.data() + at, n, w, out);
}

void ColumnRounder::round_under(const float* scale, const float* zero, int64_t n, const float* w,
                                float* out) const {
  with_element(format_, ties_, levels_, [&](const auto& element) {
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      const FloatLanes z = zero == nullptr ? FloatLanes{} : load(zero + i);
      store(round_lanes(element, load(w + i), load(scale + i), z), out + i);
    }
    if (i == n) return;
    const FloatLanes z = zero == nullptr ? FloatLanes{} : load_first(zero + i, n - i);
    store_first(round_lanes(element, load_first(w + i, n - i), load_first(scale + i, n - i), z),
                out + i, n - i);
  });
}

}  // namespace dovetail::formats
