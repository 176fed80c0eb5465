#include "silicon/machine_gemmini_mapping.h"

#include <gtest/gtest.h>

namespace dovetail::silicon {
namespace {

//                      N  Q    P    K   S  R  C
const ConvLayer kFirst{{1, 112, 112, 64, 7, 7, 3}, 2};
constexpr const char* kFirstMapping =
    "L3[WIO] P7 Q14 - L2[WI] N1 K16X - L1[O] K4 S7 R7 Q2 P4 C3X - L0[W] Q4 P4";

TEST(ParseGemminiMapping, MultipliesTheLevelsBelowTheDramIntoOneTile) {
  const auto mapping = parse_gemmini_mapping(kFirstMapping, kFirst);
  ASSERT_TRUE(mapping.has_value()) << mapping.error().message;
  // Q 2 * 4, P 4 * 4, K 4 * 16 spatial, S 7, R 7, C 3 spatial.
  EXPECT_EQ(mapping->tile, (LoopSizes{1, 8, 16, 64, 7, 7, 3}));
  // DRAM loops P outside of Q, the others run once.
  EXPECT_EQ(mapping->order[0], LoopDim::kP);
  EXPECT_EQ(mapping->order[1], LoopDim::kQ);
}

TEST(ParseGemminiMapping, CutsTheTileToTheLayer) {
  const ConvLayer matmul{{1, 1, 1, 1000, 1, 1, 2048}, 1};
  const auto mapping = parse_gemmini_mapping(
      "L3[WIO] K2 C8 - L2[WI] N1 K10X - L1[O] K64 C16 C16X - L0[W] N1", matmul);
  ASSERT_TRUE(mapping.has_value()) << mapping.error().message;
  EXPECT_EQ(mapping->tile, (LoopSizes{1, 1, 1, 640, 1, 1, 256}));
  EXPECT_EQ(mapping->order[0], LoopDim::kK);
}

std::string message(const std::string& text, const ConvLayer& layer = kFirst) {
  const auto mapping = parse_gemmini_mapping(text, layer);
  EXPECT_FALSE(mapping.has_value()) << text;
  if (mapping.has_value()) return "";
  EXPECT_EQ(mapping.error().code, ErrorCode::kInvalidArgument);
  return mapping.error().message;
}

TEST(ParseGemminiMapping, RefusesWhatIsNoMapping) {
  EXPECT_EQ(message(""), "mapping level '', want L0 to L3 with its tensors, as L3[WIO]");
  EXPECT_EQ(message("L3[WIO] P7 - L3[WIO] Q2"), "mapping has level L3 twice");
  EXPECT_EQ(message("L3[WIO] P7 - L1[O] Q2"), "mapping has 2 levels, want L3, L2, L1 and L0");
  EXPECT_EQ(message("L4[WIO] P7"),
            "mapping level 'L4[WIO]', want L0 to L3 with its tensors, as L3[WIO]");
  for (const std::string word : {"Z3", "P", "P0", "P-1", "PX", "P7Y", "P99999999999", "7"}) {
    EXPECT_EQ(message("L3[WIO] " + word),
              "mapping word '" + word +
                  "', want one of NQPKSRC and a factor of 1..65536, as K16 or K16X");
  }
  EXPECT_EQ(message("L3[WIO] P7 Q14 P2 - L2[WI] K16X - L1[O] K4 S7 R7 Q2 P4 C3X - L0[W] Q4 P4"),
            "mapping loops twice over P at L3");
  EXPECT_EQ(message("L3[WIO] P7 Q14 - L2[WI] K16X - L1[O] K2 S7 R7 Q2 P4 C3X - L0[W] Q4 P4"),
            "mapping covers K = 32, want 64");
}

TEST(CheckLayer, NamesTheDimension) {
  EXPECT_TRUE(check_layer(kFirst).has_value());
  ConvLayer layer = kFirst;
  layer.size[index_of(LoopDim::kC)] = 0;
  EXPECT_EQ(check_layer(layer).error().message, "layer dimension C = 0, want 1..65536");
  layer = kFirst;
  layer.size[index_of(LoopDim::kN)] = 4;
  EXPECT_EQ(check_layer(layer).error().message, "layer dimension N = 4, want 1 image");
  layer = kFirst;
  layer.size[index_of(LoopDim::kP)] = 56;
  EXPECT_NE(check_layer(layer).error().message.find("want squares"), std::string::npos);
  layer = kFirst;
  layer.stride = 0;
  EXPECT_EQ(check_layer(layer).error().message, "stride = 0, want 1..16");
}

TEST(NetworkOfShape, TellsWhatOnlyOneNetworkHas) {
  EXPECT_EQ(network_of_shape(kFirst), "resnet50");
  EXPECT_EQ(network_of_shape({{1, 1, 128, 768, 1, 1, 768}, 1}), "bert");
  EXPECT_EQ(network_of_shape({{1, 1, 1, 1000, 1, 1, 2048}, 1}), "resnet50");
  EXPECT_EQ(network_of_shape({{1, 568, 568, 64, 3, 3, 64}, 1}), "unet");
  EXPECT_EQ(network_of_shape({{1, 56, 56, 512, 2, 2, 1024}, 1}), "unet");
  EXPECT_EQ(network_of_shape({{1, 28, 28, 1024, 3, 3, 1024}, 1}), "unet");
  EXPECT_EQ(network_of_shape({{1, 28, 28, 720, 3, 3, 256}, 1}), "retinanet");
  EXPECT_EQ(network_of_shape({{1, 2, 2, 256, 1, 1, 256}, 1}), "retinanet");
  EXPECT_EQ(network_of_shape({{1, 14, 14, 256, 3, 3, 256}, 1}), "");  // ResNet-50 and RetinaNet
}

TEST(ConvLayer, EqualLayersHaveEqualNames) {
  EXPECT_EQ(kFirst.name(), "7x7 112x112 3->64 s2");
  EXPECT_EQ((ConvLayer{{1, 1, 128, 768, 1, 1, 3072}, 1}).name(), "matmul 128 3072->768");
}

}  // namespace
}  // namespace dovetail::silicon
