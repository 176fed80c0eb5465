#include "formats/column_rounder.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "formats/quantize.h"

namespace dovetail::formats {
namespace {

TEST(ColumnRounder, ColumnsMatchRowsForEveryFormat) {
  constexpr int64_t kRows = 37;  // no multiple of a register
  constexpr int64_t kK = 200;
  Random random(1);
  std::vector<float> w;
  for (int64_t i = 0; i < kRows * kK; ++i)
    w.push_back(i / kK == 5 ? 0 : static_cast<float>(random.uniform() - .4));
  for (const WeightFormat& format : all_weight_formats())
    for (const Ties ties : {Ties::kEven, Ties::kZero}) {
      const MatrixScales scales = choose_scales(format, Rounding{}, kRows, kK, w.data());
      std::vector<float> rows(w.size());
      round_rows(format, ties, scales, kRows, kK, w.data(), rows.data());
      const ColumnRounder rounder(format, ties, scales, kRows, kK);
      for (int64_t column = 0; column < kK; ++column) {
        std::vector<float> values;
        for (int64_t row = 3; row < kRows; ++row)
          values.push_back(w[static_cast<size_t>(row * kK + column)]);
        rounder.round(column, 3, kRows, values.data(), values.data());
        for (int64_t row = 3; row < kRows; ++row)
          ASSERT_EQ(values[static_cast<size_t>(row - 3)],
                    rows[static_cast<size_t>(row * kK + column)])
              << format_name(format) << " row " << row << " column " << column;
      }
    }
}

}  // namespace
}  // namespace dovetail::formats
