#include "host/paged_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>
#include <tuple>

#include "base/random.h"
#include "formats/kv_cache.h"
#include "host/slow_model.h"

namespace dovetail::host {
namespace {

struct Case {
  const char* name;
  TinyModel model;
  formats::KvFormat keys = formats::KvFormat::kBf16;
  formats::ActivationFormat activations = formats::ActivationFormat::kBf16;
};

HostModel make_model(const Case& with) {
  auto model =
      HostModel::create(std::make_shared<const model::Weights>(make_tiny_weights(with.model, 11)));
  EXPECT_TRUE(model.has_value()) << model.error().message;
  LayerNumerics layer;
  for (InputNumerics& input : layer.linear) input.format = with.activations;
  layer.kv.keys = with.keys;
  layer.kv.query = with.activations;
  Numerics numerics;
  numerics.layers.assign(static_cast<size_t>(with.model.num_layers), layer);
  const Status status = model->set_numerics(numerics);
  EXPECT_TRUE(status.has_value()) << status.error().message;
  return std::move(model).value();
}

std::span<const int32_t> part(const std::vector<int32_t>& ids, int64_t begin, int64_t end) {
  return std::span(ids).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
}

// All logits of a sequence that is fed alone, in pieces of at most `piece` tokens.
std::vector<float> logits_in_pieces(PagedModel& model, const std::vector<int32_t>& ids,
                                    int64_t piece) {
  KvSequence kv(model.pool());
  std::vector<float> all;
  for (int64_t begin = 0; begin < std::ssize(ids); begin += piece) {
    const int64_t end = std::min<int64_t>(begin + piece, std::ssize(ids));
    const Segment segment{&kv, part(ids, begin, end), end - begin};
    const auto logits = model.logits(model.feed({&segment, 1}));
    all.insert(all.end(), logits.values.begin(), logits.values.end());
  }
  return all;
}

class PagedModelTest : public testing::TestWithParam<std::tuple<Case, bool>> {
 protected:
  void SetUp() override {
    if (uses_tile_unit() && !amx::available()) GTEST_SKIP() << "this processor has no tile unit";
  }
  static const Case& with() { return std::get<0>(GetParam()); }
  static bool uses_tile_unit() { return std::get<1>(GetParam()); }
  // 301 tokens: several pages, groups and blocks of attention, none of them full.
  const std::vector<int32_t> ids_ = random_ids(301, with().model.vocab, 5);
};

TEST_P(PagedModelTest, LogitsAreThoseOfTheSlowModel) {
  const HostModel model = make_model(with());
  PagedModel paged(model, uses_tile_unit());
  const std::vector<int32_t> ids(ids_.begin(), ids_.begin() + 70);
  const std::vector<float> logits = logits_in_pieces(paged, ids, 33);
  const SlowRun slow = slow_forward(make_tiny_weights(with().model, 11), model.numerics(), ids);
  // Where activations are rounded, the last digits decide between neighbouring codes.
  const double tolerance = with().activations == formats::ActivationFormat::kBf16 ? 2e-5 : 0.2;
  const auto vocab = static_cast<size_t>(with().model.vocab);
  for (size_t i = 0; i < logits.size(); ++i)
    ASSERT_NEAR(logits[i], slow.logits[i / vocab][i % vocab], tolerance) << i;
}

TEST_P(PagedModelTest, PiecesChangeNoBit) {
  PagedModel paged(make_model(with()), uses_tile_unit());
  const std::vector<float> whole = logits_in_pieces(paged, ids_, 1000);
  for (const int64_t piece : {1, 7, 32, 100}) {
    EXPECT_EQ(logits_in_pieces(paged, ids_, piece), whole) << piece;
  }
}

TEST_P(PagedModelTest, CompanyAndSharingChangeNoBit) {
  PagedModel paged(make_model(with()), uses_tile_unit());
  std::vector<std::vector<int32_t>> sequences;
  for (const int64_t length : {301, 45, 129, 200, 46, 150}) {
    auto ids = random_ids(length, with().model.vocab, static_cast<uint64_t>(length));
    std::copy_n(ids_.begin(), 41, ids.begin());
    sequences.push_back(ids);
  }
  // All together behind the 41 tokens that they share, in the middle of a page.
  KvSequence prefix(paged.pool());
  const Segment shared{&prefix, part(sequences[0], 0, 41)};
  (void)paged.feed({&shared, 1});
  std::vector<KvSequence> kvs;
  for (size_t i = 0; i < sequences.size(); ++i) kvs.push_back(prefix.fork(41));
  std::vector<Segment> segments;
  for (size_t i = 0; i < sequences.size(); ++i)
    segments.push_back({&kvs[i], part(sequences[i], 41, std::ssize(sequences[i])), 3});
  const model::Matrix logits = paged.logits(paged.feed(segments));
  for (size_t i = 0; i < sequences.size(); ++i) {
    const std::vector<float> alone = logits_in_pieces(paged, sequences[i], 1000);
    const int64_t count = 3 * logits.cols;
    const auto begin = logits.values.begin() + static_cast<int64_t>(i) * count;
    EXPECT_TRUE(std::equal(begin, begin + count, alone.end() - count)) << i;
  }
}

TEST_P(PagedModelTest, GeneratedTokensAreTheSameInAnyCompany) {
  PagedModel paged(make_model(with()), uses_tile_unit());
  const int64_t prompt = 60;
  // Logits of steps behind the prompt, alone or beside others that begin elsewhere.
  const auto run = [&](int64_t others) {
    std::vector<KvSequence> kvs;
    std::vector<Segment> segments;
    for (int64_t i = 0; i <= others; ++i) kvs.emplace_back(paged.pool());
    for (int64_t i = 0; i <= others; ++i)
      segments.push_back({&kvs[static_cast<size_t>(i)], part(ids_, 0, prompt + i), 0});
    (void)paged.feed(segments);
    std::vector<float> all;
    for (int64_t step = 0; step < 80; ++step) {
      for (int64_t i = 0; i <= others; ++i)
        segments[static_cast<size_t>(i)] = {&kvs[static_cast<size_t>(i)],
                                            part(ids_, prompt + step + i, prompt + step + i + 1), 1,
                                            true};
      const model::Matrix logits = paged.logits(paged.feed(segments));
      all.insert(all.end(), logits.values.begin(), logits.values.begin() + logits.cols);
    }
    return all;
  };
  const std::vector<float> alone = run(0);
  EXPECT_EQ(run(1), alone);
  EXPECT_EQ(run(40), alone);
  // They say what prompts say, up to their last digits.
  const std::vector<int32_t> ids(ids_.begin(), ids_.begin() + prompt + 80);
  const std::vector<float> whole = logits_in_pieces(paged, ids, 1000);
  const double tolerance = with().activations == formats::ActivationFormat::kBf16 ? 2e-5 : 0.2;
  for (size_t i = 0; i < alone.size(); ++i)
    ASSERT_NEAR(alone[i], whole[whole.size() - alone.size() + i], tolerance) << i;
}

const TinyModel kNormed{.hidden = 32,
                        .intermediate = 48,
                        .head_dim = 16,
                        .qk_norm = true,
                        .rope_divisors = {1, 1, 1.5, 2, 3, 4, 8, 8}};
const TinyModel kWide{.num_layers = 3,
                      .hidden = 32,
                      .intermediate = 48,
                      .heads = 7,
                      .kv_heads = 1,
                      .head_dim = 16,
                      .bias = true};
INSTANTIATE_TEST_SUITE_P(
    Kinds, PagedModelTest,
    testing::Combine(testing::Values(Case{"plain", {}}, Case{"wide", kWide},
                                     Case{"normed", kNormed},
                                     Case{"rounded", kWide, formats::KvFormat::kInt8,
                                          formats::ActivationFormat::kInt8Token},
                                     Case{"per_channel", {}, formats::KvFormat::kInt4C32},
                                     Case{"long_groups", kWide, formats::KvFormat::kInt4C64}),
                     testing::Bool()),
    [](const auto& with) {
      return std::string(std::get<0>(with.param).name) +
             (std::get<1>(with.param) ? "_tiles" : "_vectors");
    });

TEST(PagedModel, WeightsWithFewerPartsGiveTheSameBits) {
  if (!amx::available()) GTEST_SKIP() << "this processor has no tile unit";
  Random random(4);
  for (const int64_t drop_bits : {16, 8, 0}) {  // a mantissa of 8, 16 and 24 bits
    const int64_t n = 100, k = 700, rows = 37;
    std::vector<float> w(static_cast<size_t>(n * k));
    for (float& value : w) {
      value = static_cast<float>(random.uniform() - 0.5);
      const auto bits = std::bit_cast<uint32_t>(value) >> drop_bits << drop_bits;
      value = std::bit_cast<float>(bits);
    }
    std::vector<float> x(static_cast<size_t>(rows * k));
    for (float& value : x) value = static_cast<float>(random.uniform() - 0.5);
    const amx::PackedLines packed({w.data(), n, k, k, 1});
    EXPECT_EQ(packed.parts(), 3 - drop_bits / 8);
    std::vector<float> expected(static_cast<size_t>(rows * n), 1.0F);
    std::vector<float> actual = expected;
    amx::multiply({x.data(), rows, k, k, 1}, {w.data(), n, k, k, 1}, expected.data(), n, true, 1);
    const amx::PackedProduct product{&packed, actual.data(), true};
    amx::multiply_packed({x.data(), rows, k, k, 1}, {&product, 1});
    EXPECT_EQ(actual, expected) << drop_bits;
  }
}

TEST(KvPages, ForksShareWhatTheyDoNotWrite) {
  PagedModel paged(make_model({"plain", {}}));
  const int64_t page = paged.pool().page_bytes();
  KvSequence first(paged.pool());
  first.extend(100);  // four pages
  EXPECT_EQ(paged.pool().bytes_in_use(), 4 * page);
  KvSequence second = first.fork(70);
  EXPECT_EQ(paged.pool().bytes_in_use(), 4 * page);
  second.extend(30);  // the third page and a fourth
  EXPECT_EQ(paged.pool().bytes_in_use(), 6 * page);
  first = KvSequence(paged.pool());
  EXPECT_EQ(paged.pool().bytes_in_use(), 4 * page);
  second = first;
  EXPECT_EQ(paged.pool().bytes_in_use(), 0);
}

}  // namespace
}  // namespace dovetail::host
