#include "model/decode_rows.h"

#include <atomic>
#include <cmath>

#include <fmt/format.h>

#include "base/parallel.h"

namespace dovetail::model {

Result<std::vector<float>> decode_rows(TensorType type, std::span<const uint8_t> bytes,
                                       int64_t rows, int64_t cols, const std::string& where) {
  const TensorTypeFacts& facts = facts_of(type);
  DOVETAIL_CHECK(cols % facts.block_elements == 0);
  const auto row_bytes = static_cast<size_t>(cols / facts.block_elements * facts.block_bytes);
  DOVETAIL_CHECK(bytes.size() == static_cast<size_t>(rows) * row_bytes);
  std::vector<float> values(static_cast<size_t>(rows * cols));
  std::atomic<int64_t> bad_row = -1;
  parallel_for(rows, [&](int64_t row, int64_t) {
    const std::span<float> out(values.data() + row * cols, static_cast<size_t>(cols));
    decode_blocks(type, bytes.subspan(static_cast<size_t>(row) * row_bytes, row_bytes), out);
    float sum = 0;  // 0 * x is NaN exactly where x is not finite
    for (const float value : out) sum += 0 * value;
    if (std::isnan(sum)) bad_row = row;
  });
  if (bad_row >= 0) {
    return invalid_argument(
        fmt::format("{}: row {} holds an infinity or a NaN", where, bad_row.load()));
  }
  return values;
}

}  // namespace dovetail::model
