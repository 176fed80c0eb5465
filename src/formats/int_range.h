// What a format's codes span. Private to this folder.
#pragma once

#include <cmath>

#include "formats/codebook.h"
#include "formats/element.h"
#include "formats/format.h"
#include "formats/stored_scale.h"

namespace dovetail::formats {

struct IntRange {
  int32_t low = 0;
  int32_t high = 0;
};

// Of kInt and kTernary, zero point not yet taken off.
[[nodiscard]] inline IntRange int_range(const WeightFormat& format) {
  if (format.element == Element::kTernary) return {-1, 1};
  if (format.asymmetric) return {0, (1 << format.bits) - 1};
  if (format.scale == ScaleType::kE8m0) return {-127, 127};  // MXINT8 leaves -2 unused
  return {-(1 << (format.bits - 1)), (1 << (format.bits - 1)) - 1};
}

[[nodiscard]] inline bool has_levels(const WeightFormat& format) {
  return format.element == Element::kNormalFloat || format.element == Element::kTable;
}

// Levels that need no tensor; none for other elements.
[[nodiscard]] inline const Levels& levels_or_none(const WeightFormat& format) {
  static const Levels kNone;
  return format.element == Element::kNormalFloat ? normal_levels(format.bits) : kNone;
}

// The code that the largest magnitude (asymmetric: the span) of a group maps to under kAbsmax.
[[nodiscard]] inline float scale_top(const WeightFormat& format) {
  if (is_float(format.element)) return float_form(format.element).max;
  return has_levels(format) ? kLevelMax : static_cast<float>(int_range(format).high);
}

// kUint8: the largest magnitude of a row in units of its FP16 scale, so that every code less its
// zero point times the group's scale fits INT8: half a step of the coarsest group stays free.
[[nodiscard]] inline float protective_range(const WeightFormat& format) {
  const float top = scale_top(format);
  return std::floor(127 * top / (top + 1));
}

// What a scale code of 1 stands for: MXINT8 counts in steps of 2^-6.
[[nodiscard]] inline float scale_unit(const WeightFormat& format) {
  return format.element == Element::kInt && format.scale == ScaleType::kE8m0 ? 0x1p-6F : 1.0F;
}

}  // namespace dovetail::formats
