#include "formats/pack.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "formats/quantize.h"

namespace dovetail::formats {
namespace {

// Rows that begin inside a byte, ends that fill no register, and matrices of several blocks of rows
// (so of several threads). quantize_test.cc holds every format, rule and tie to the codec.
TEST(PackRows, WritesTheBytesOfTheCodec) {
  Random random(1);
  for (WeightFormat format : all_weight_formats())
    for (const int64_t of : {0, 8})
      for (const auto& [rows, k] :
           {std::pair<int64_t, int64_t>{0, 5}, {5, 33}, {600, 227}, {600, 232}}) {
        const bool is_large = rows > 5;
        if (is_large && format.group_size != 0 && format.group_size != 32) continue;
        if (of > 0 && format.element == Element::kBf16) continue;
        format.kept = of / 2;
        format.of = of;
        std::vector<float> w;
        for (int64_t i = 0; i < rows * k; ++i)
          w.push_back(static_cast<float>(random.uniform() - .4));
        const MatrixScales scales =
            choose_scales(format, {.scale = plain_rule(format)}, rows, k, w.data());
        ASSERT_EQ(pack_rows(format, Ties::kAway, scales, rows, k, w.data()),
                  encode_with(format, Ties::kAway, scales, rows, k, w.data()))
            << format_name(format) << " " << rows << " x " << k;
      }
}

}  // namespace
}  // namespace dovetail::formats
