#include "compress/site_matrix.h"

#include <gtest/gtest.h>

#include "compress/tiny_model.h"
#include "formats/quantize.h"

namespace dovetail::compress {
namespace {

TEST(SiteMatrix, UnstackUndoesStack) {
  const auto weights = tiny_weights(1);
  for (const auto kind : {recipe::SiteKind::kAttnQkv, recipe::SiteKind::kMlpGateUp}) {
    const model::LayerWeights& layer = weights->layers[0];
    const auto members = site_members(kind);
    const model::Matrix stack = stacked(layer, members);
    const recipe::LinearShape want = recipe::linear_shape(weights->shape, kind);
    EXPECT_EQ(stack.rows, want.n);
    EXPECT_EQ(stack.cols, want.k);
    model::LayerWeights other = weights->layers[1];
    unstack(stack.values, members, other);
    for (const SiteMember& member : members)
      EXPECT_EQ((other.*member.matrix).values, (layer.*member.matrix).values) << member.name;
  }
}

// The members' packed matrices decode to the rows of the site's.
TEST(SiteMatrix, MembersPackedApartDecodeToTheStack) {
  const auto weights = tiny_weights(2);
  const auto members = site_members(recipe::SiteKind::kAttnQkv);
  const model::Matrix stack = stacked(weights->layers[0], members);
  for (const std::string name : {"int4_g32", "int3_asym_g16", "int8", "int4_tensor", "nvfp4",
                                 "mxfp4", "int4_qoq_g32", "lut4_g64", "int4_g32_2:4"}) {
    const auto format = formats::parse_weight_format(name).value();
    const formats::MatrixScales scales =
        formats::choose_scales(format, {}, stack.rows, stack.cols, stack.values.data());
    std::vector<float> whole(stack.values.size());
    formats::round_rows(format, formats::Ties::kEven, scales, stack.rows, stack.cols,
                        stack.values.data(), whole.data());
    std::vector<float> decoded;
    int64_t first = 0;
    for (const SiteMember& member : members) {
      const model::Matrix& part = weights->layers[0].*member.matrix;
      const auto packed = formats::encode_with(
          format, formats::Ties::kEven, scales_of_rows(format, scales, first, part.rows), part.rows,
          part.cols, whole.data() + first * part.cols);
      const auto values = formats::decode_rows(packed);
      ASSERT_TRUE(values.has_value()) << values.error().message;
      decoded.insert(decoded.end(), values->begin(), values->end());
      first += part.rows;
    }
    EXPECT_EQ(decoded, whole) << name;
  }
}

TEST(SiteMatrix, BlocksOfRowsEndWithTheirMatrix) {
  const auto blocks = formats::parse_weight_format("int8_b128").value();
  EXPECT_EQ(site_parts(recipe::SiteKind::kAttnQkv, blocks).size(), 3U);
  const auto groups = formats::parse_weight_format("int4_g32").value();
  EXPECT_EQ(site_parts(recipe::SiteKind::kAttnQkv, groups).size(), 1U);
}

}  // namespace
}  // namespace dovetail::compress
