#include "formats/code_values.h"

#include "formats/element.h"
#include "formats/int_range.h"

namespace dovetail::formats {

std::vector<float> code_values(const WeightFormat& format, const Levels& fitted) {
  std::vector<float> values;
  if (format.element == Element::kBf16) return values;
  if (has_levels(format)) {
    const Levels& levels = levels_of(format, fitted);
    values.assign(levels.begin(), levels.end());
  } else if (is_float(format.element)) {
    const int32_t largest = float_form(format.element).largest_code;
    for (int32_t code = largest; code > 0; --code)
      values.push_back(-decode_float(format.element, static_cast<uint8_t>(code)));
    for (int32_t code = 0; code <= largest; ++code)
      values.push_back(decode_float(format.element, static_cast<uint8_t>(code)));
  } else {
    const IntRange range = int_range(format);
    for (int32_t code = range.low; code <= range.high; ++code)
      values.push_back(static_cast<float>(code));
  }
  return values;
}

}  // namespace dovetail::formats
