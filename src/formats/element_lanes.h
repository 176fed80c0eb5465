// The element of a format as rounding of lanes. Private to the quick quantiser.
#pragma once

#include <cstdint>
#include <utility>

#include "formats/codebook.h"
#include "formats/element.h"
#include "formats/format.h"
#include "formats/int_range.h"
#include "formats/lanes.h"
#include "formats/rounding.h"

namespace dovetail::formats {

[[nodiscard]] inline LevelElement level_element(const Levels& levels, Ties ties) {
  LevelElement element{.lowest = static_cast<float>(levels.front()), .count = levels.size() - 1};
  const std::vector<float> thresholds = level_thresholds(levels, ties);
  for (size_t i = 0; i < element.count; ++i) {
    element.threshold[i] = thresholds[i];
    element.step[i] = static_cast<float>(levels[i + 1] - levels[i]);
  }
  return element;
}

template <Ties kTies, typename Use>
void with_element_of_ties(const WeightFormat& format, const Levels& levels, const Use& use) {
  switch (format.element) {
    case Element::kBf16:
      return;
    case Element::kInt:
    case Element::kTernary: {
      const IntRange range = int_range(format);
      use(IntElement<kTies>{.low = broadcast(static_cast<float>(range.low)),
                            .high = broadcast(static_cast<float>(range.high))});
      return;
    }
    case Element::kFp4E2m1:
      use(E2m1Element<kTies>{.max = float_form(format.element).max});
      return;
    case Element::kFp6E2m3:
      use(E2m3Element<kTies>{.max = float_form(format.element).max});
      return;
    case Element::kFp6E3m2:
      use(E3m2Element<kTies>{.max = float_form(format.element).max});
      return;
    case Element::kFp8E4m3Fn:
      use(E4m3Element<kTies>{.max = float_form(format.element).max});
      return;
    case Element::kFp8E5m2:
      use(E5m2Element<kTies>{.max = float_form(format.element).max});
      return;
    case Element::kNormalFloat:
    case Element::kTable:
      use(level_element(levels, kTies));
      return;
  }
}

// Calls use(element); not for bf16. Integer elements come without a zero point.
template <typename Use>
void with_element(const WeightFormat& format, Ties ties, const Levels& levels, const Use& use) {
  switch (ties) {
    case Ties::kEven:
      return with_element_of_ties<Ties::kEven>(format, levels, use);
    case Ties::kAway:
      return with_element_of_ties<Ties::kAway>(format, levels, use);
    case Ties::kZero:
      return with_element_of_ties<Ties::kZero>(format, levels, use);
  }
}

// With another range: codes less a zero point, which may differ by lane. Elements without zero
// points stay as they are.
template <typename Element>
[[gnu::always_inline]] inline Element shifted_lanes(const Element& element, FloatLanes) {
  return element;
}
template <Ties kTies>
[[gnu::always_inline]] inline IntElement<kTies> shifted_lanes(const IntElement<kTies>& element,
                                                              FloatLanes zero) {
  return {.low = element.low - zero, .high = element.high - zero};
}

// The smallest and largest of n values, 0 included.
struct ValueRange {
  float min = 0;  // <= 0
  float max = 0;  // >= 0
  [[nodiscard]] float absmax() const { return larger_of(-min, max); }

 private:
  static float larger_of(float a, float b) { return a < b ? b : a; }
};

[[nodiscard]] inline ValueRange value_range(const float* w, int64_t count) {
  FloatLanes low{};
  FloatLanes high{};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const FloatLanes x = load(w + i);
    low = smaller(x, low);
    high = larger(x, high);
  }
  if (i < count) {
    const FloatLanes x = load_first(w + i, count - i);
    low = smaller(x, low);
    high = larger(x, high);
  }
  return {.min = -largest_lane(-low), .max = largest_lane(high)};
}

}  // namespace dovetail::formats
