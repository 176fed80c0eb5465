#include "silicon/calibration_published.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/test_folder.h"

namespace dovetail::silicon {
namespace {

Technology load(const std::string& folder) {
  auto loaded = Technology::load(folder);
  EXPECT_TRUE(loaded.has_value()) << (loaded.has_value() ? "" : loaded.error().message);
  return loaded.has_value() ? *loaded : Technology();
}

PublishedDecodes published() {
  auto decodes = read_config<PublishedDecodes>("data/published/decode.toml");
  EXPECT_TRUE(decodes.has_value()) << (decodes.has_value() ? "" : decodes.error().message);
  return decodes.has_value() ? *decodes : PublishedDecodes();
}

TEST(CheckPublished, MatchesAHandWorkedBand) {
  const auto folder = test_folder() / "machines";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "box.toml") << "[memory]\n"
                                        "dram_gb_per_s = { value = 100, low = 80, high = 100, unit "
                                        "= 'GB/s', date = 'd', source = 's' }\n"
                                        "[runtime]\n"
                                        "kernel_gap_us = { value = 10, low = 0, high = 100, unit = "
                                        "'us', date = 'd', source = 's' }\n"
                                        "kernels_per_layer = { value = 10, low = 10, high = 10, "
                                        "unit = '1', date = 'd', source = 's' }\n";
  std::ofstream(folder / "dram.toml") << "[slow]\n"
                                         "efficiency_stream_frac = { value = 0.8, low = 0.5, high "
                                         "= 1, unit = '1', date = 'd', source = 's' }\n";
  const Technology constants = load(folder.string());
  PublishedDecode point;
  point.machine = "box";
  point.dram = "slow";
  point.model = "m";
  point.block_weights_m = 1000;  // at 8 bits 1e9 bytes
  point.head_weights_m = 100;
  point.layers = 20;
  point.weight_bits = 8;
  point.head_bits_low = 8;
  point.head_bits_high = 16;
  point.cache_mb = 100;
  point.tokens_per_s = 50;
  point.source = "s";
  const auto checks = check_published(constants, constants, {{point}});
  ASSERT_TRUE(checks.has_value()) << checks.error().message;
  // Slow: 1.3e9 / (80e9 * 0.5) = 32.5 ms + 20 * 10 * 100 us = 20 ms. Quick: 1.2e9 / 100e9 = 12 ms.
  EXPECT_NEAR(checks->at(0).low_tokens_per_s, 1 / 0.0525, 1e-9);
  EXPECT_NEAR(checks->at(0).high_tokens_per_s, 1 / 0.012, 1e-9);
  EXPECT_NEAR(checks->at(0).mid_tokens_per_s, 1 / (1.25 / 80 + 0.002), 1e-9);
  EXPECT_TRUE(checks->at(0).inside());

  point.dram = "other";
  EXPECT_EQ(check_published(constants, constants, {{point}}).error().code, ErrorCode::kNotFound);
  point.dram = "slow";
  point.source = "";
  EXPECT_EQ(check_published(constants, constants, {{point}}).error().code,
            ErrorCode::kInvalidArgument);
}

TEST(CheckPublished, EverySpeedIsInsideItsBandOrExplained) {
  const auto checks = check_published(load("data/machines"), load("data/technology"), published());
  ASSERT_TRUE(checks.has_value()) << checks.error().message;
  EXPECT_GE(checks->size(), 12U);
  int64_t inside = 0;
  for (const PublishedCheck& check : *checks) {
    EXPECT_LT(check.low_tokens_per_s, check.mid_tokens_per_s) << check.point.model;
    EXPECT_LT(check.mid_tokens_per_s, check.high_tokens_per_s) << check.point.model;
    inside += check.inside() ? 1 : 0;
    if (!check.inside()) {
      EXPECT_FALSE(check.point.outside.empty()) << check.point.model;
    }
    // The roofline is the quicker side: nothing published beats the band.
    EXPECT_LE(check.point.tokens_per_s, check.high_tokens_per_s) << check.point.model;
  }
  EXPECT_GE(inside, 7);
  const std::string text = published_text(*checks);
  EXPECT_NE(text.find("inside\n"), std::string::npos);
  EXPECT_NE(text.find("why: "), std::string::npos);
  EXPECT_EQ(published_to_json(*checks)["points"].size(), checks->size());
}

TEST(PublishedDecode, AnEntryWithoutASourceIsRefused) {
  const auto path = test_folder() / "decode.toml";
  std::ofstream(path) << "[[point]]\nmachine = 'a100'\ndram = 'hbm2e'\nmodel = 'm'\n"
                         "block_weights_m = 1\nhead_weights_m = 1\nlayers = 1\nweight_bits = 4\n"
                         "head_bits_low = 4\nhead_bits_high = 4\ncache_mb = 1\ntokens_per_s = 1\n"
                         "date = 'd'\n";
  const auto decodes = read_config<PublishedDecodes>(path.string());
  ASSERT_FALSE(decodes.has_value());
  EXPECT_NE(decodes.error().message.find("source"), std::string::npos) << decodes.error().message;
}

}  // namespace
}  // namespace dovetail::silicon
