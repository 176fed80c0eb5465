#include "compress/spread_rows.h"

#include <algorithm>

namespace dovetail::compress {

std::vector<int64_t> spread_rows(int64_t rows, int64_t count) {
  const int64_t kept = std::min(rows, count);
  std::vector<int64_t> picked(static_cast<size_t>(kept));
  for (int64_t i = 0; i < kept; ++i) {
    picked[static_cast<size_t>(i)] = (i + 1) * rows / kept - 1;
  }
  return picked;
}

model::Matrix pick_rows(const model::Matrix& from, const std::vector<int64_t>& rows) {
  model::Matrix picked{.rows = static_cast<int64_t>(rows.size()), .cols = from.cols, .values = {}};
  picked.values.reserve(rows.size() * static_cast<size_t>(from.cols));
  for (const int64_t row : rows) {
    const auto first = from.values.begin() + row * from.cols;
    picked.values.insert(picked.values.end(), first, first + from.cols);
  }
  return picked;
}

}  // namespace dovetail::compress
