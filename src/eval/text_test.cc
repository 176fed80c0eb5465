#include "eval/text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <numeric>
#include <set>

#include "base/test_folder.h"
#include "eval/tiny_model.h"

namespace dovetail::eval {
namespace {

// A byte-level tokenizer without merges: every byte of ASCII text is one token.
std::string write_byte_tokenizer(const std::string& folder) {
  Json vocab = Json::object();
  for (int c = 33; c < 127; ++c) vocab[std::string(1, static_cast<char>(c))] = c - 33;
  vocab["\u0120"] = 94;  // the printable stand-in of a space
  Json json = Json::object();
  json["version"] = "1.0";
  json["added_tokens"] = Json::array();
  json["normalizer"] = nullptr;
  json["pre_tokenizer"] = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", true},
                           {"use_regex", true}};
  json["decoder"] = {{"type", "ByteLevel"}};
  json["model"] = {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}};
  const std::string path = folder + "/tokenizer.json";
  std::ofstream(path) << json.dump();
  return path;
}

model::Tokenizer byte_tokenizer() {
  auto tokenizer = model::load_tokenizer(write_byte_tokenizer(test_folder().string()));
  EXPECT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
  return std::move(*tokenizer);
}

host::HostModel tiny_model() {
  auto model = host::HostModel::create(tiny_weights(1));
  EXPECT_TRUE(model.has_value()) << model.error().message;
  return *model;
}

TEST(TextWindows, DoNotOverlapAndDropTheRest) {
  const model::Tokenizer tokenizer = byte_tokenizer();
  const auto text = windows_of_text(tokenizer, "abcdefghij", "letters", 4, 100);
  ASSERT_TRUE(text.has_value()) << text.error().message;
  EXPECT_EQ(text->windows, (std::vector<std::vector<int32_t>>{tokenizer.encode("abcd"),
                                                              tokenizer.encode("efgh")}));
  EXPECT_EQ(text->num_scored(), 6);
  EXPECT_EQ(text->name, "letters, 2 windows of 4");
}

TEST(TextWindows, AreAtMostAsManyAsAsked) {
  const auto text = windows_of_text(byte_tokenizer(), "abcdefghijkl", "letters", 3, 2);
  ASSERT_TRUE(text.has_value());
  EXPECT_EQ(text->windows.size(), 2U);
}

TEST(TextWindows, ShortTextIsOneShortWindow) {
  const auto text = windows_of_text(byte_tokenizer(), "abc", "letters", 1024, 8);
  ASSERT_TRUE(text.has_value());
  ASSERT_EQ(text->windows.size(), 1U);
  EXPECT_EQ(text->windows[0].size(), 3U);
}

TEST(TextWindows, RejectWhatCannotBeScored) {
  const model::Tokenizer tokenizer = byte_tokenizer();
  const auto one = windows_of_text(tokenizer, "a", "short.txt", 8, 8);
  ASSERT_FALSE(one.has_value());
  EXPECT_EQ(one.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(one.error().message, "short.txt: 1 tokens of text, want 2 or more");
  EXPECT_EQ(windows_of_text(tokenizer, "abc", "t", 1, 8).error().message,
            "context = 1, want 2 or more");
  EXPECT_EQ(windows_of_text(tokenizer, "abc", "t", 2, 0).error().message,
            "windows = 0, want 1 or more");
  EXPECT_EQ(windows_of_file(tokenizer, "/nonexistent/text", 8, 8).error().code,
            ErrorCode::kNotFound);
}

TEST(TextWindows, DigestSeesTokensAndCutsButNotTheName) {
  const TextWindows a{.name = "a", .windows = {{1, 2}, {3, 4}}};
  EXPECT_EQ(a.digest(), (TextWindows{.name = "b", .windows = {{1, 2}, {3, 4}}}).digest());
  EXPECT_NE(a.digest(), (TextWindows{.name = "a", .windows = {{1, 2, 3, 4}}}).digest());
  EXPECT_NE(a.digest(), (TextWindows{.name = "a", .windows = {{1, 2}, {3, 5}}}).digest());
}

TEST(TextWindows, SurviveJson) {
  const TextWindows text{.name = "a", .windows = {{1, 2}, {3, 4, 5}}};
  const auto back = text_from_json(Json::parse(text_to_json(text).dump()), "cache");
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->name, text.name);
  EXPECT_EQ(back->windows, text.windows);
}

TEST(TextWindows, RejectHostileJson) {
  const auto message = [](const char* text) {
    const auto read = text_from_json(Json::parse(text), "cache");
    return read.has_value() ? std::string("accepted") : read.error().message;
  };
  EXPECT_EQ(message("[]"), "cache: name: want a text");
  EXPECT_EQ(message(R"({"name": "a"})"), "cache: windows: want a list");
  const std::string bad = "cache: windows[1]: want a list of 2 or more token ids";
  EXPECT_EQ(message(R"({"name": "a", "windows": [[1, 2], [1]]})"), bad);
  EXPECT_EQ(message(R"({"name": "a", "windows": [[1, 2], [1, -1]]})"), bad);
  EXPECT_EQ(message(R"({"name": "a", "windows": [[1, 2], [1, 4294967296]]})"), bad);
  EXPECT_EQ(message(R"({"name": "a", "windows": [[1, 2], "x"]})"), bad);
}

TEST(PartOfText, PartsAreDisjointAndInOrder) {
  const TextWindows text{.name = "t", .windows = {{0, 0}, {1, 1}, {2, 2}, {3, 3}, {4, 4}}};
  std::vector<std::vector<int32_t>> joined;
  for (const TextPart part : {TextPart::kProfile, TextPart::kSelect, TextPart::kCertify}) {
    const auto windows = part_of_text(text, {2, 1, 2}, part);
    ASSERT_TRUE(windows.has_value());
    joined.insert(joined.end(), windows->windows.begin(), windows->windows.end());
  }
  EXPECT_EQ(joined, text.windows);
  const auto missing = part_of_text(text, {2, 2, 2}, TextPart::kProfile);
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().message,
            "t: 5 windows of text, want 6 (2 profile, 2 select, 2 certify)");
}

TEST(SampleText, IsSeededAndItsPartsDiffer) {
  const host::HostModel model = tiny_model();
  std::set<std::vector<int32_t>> seen;
  for (const uint64_t seed : {1U, 2U}) {
    for (const TextPart part : {TextPart::kProfile, TextPart::kSelect, TextPart::kCertify}) {
      const SampleParams params{.num_sequences = 3, .length = 20, .seed = seed};
      const auto text = sample_text(model, 0, part, params);
      ASSERT_TRUE(text.has_value()) << text.error().message;
      ASSERT_EQ(text->windows.size(), 3U);
      EXPECT_EQ(text->windows, sample_text(model, 0, part, params)->windows);
      for (const auto& window : text->windows) {
        EXPECT_EQ(window.size(), 20U);
        EXPECT_TRUE(seen.insert(window).second) << "a sequence was drawn twice";
      }
    }
  }
}

// At temperature 1 the model's own text has the model's own entropy: the mean of -log p of what was
// drawn tends to the mean entropy of the distributions that it was drawn from.
TEST(SampleText, FollowsTheModelsDistribution) {
  const host::HostModel model = tiny_model();
  const auto text =
      sample_text(model, 0, TextPart::kSelect, {.num_sequences = 16, .length = 200, .seed = 3});
  ASSERT_TRUE(text.has_value());
  double surprise = 0;
  double entropy = 0;
  for (const host::TokenBatch& tokens : batches_of(*text, 100000)) {
    const auto nll = model.nll(tokens);
    surprise = std::accumulate(nll->begin(), nll->end(), surprise);
    const auto logits = model.logits(*model.hidden_states(tokens));
    for (int64_t row = 0; row < logits->rows; ++row) {
      if (row % tokens.seq == tokens.seq - 1) continue;
      const float* x = logits->values.data() + row * logits->cols;
      double sum = 0;
      for (int64_t i = 0; i < logits->cols; ++i) sum += std::exp(static_cast<double>(x[i]));
      for (int64_t i = 0; i < logits->cols; ++i) {
        const double p = std::exp(static_cast<double>(x[i])) / sum;
        entropy -= p * std::log(p);
      }
    }
  }
  EXPECT_NEAR(surprise / entropy, 1.0, 0.05);
}

TEST(SampleText, RejectsBadParameters) {
  const host::HostModel model = tiny_model();
  EXPECT_EQ(sample_text(model, 0, TextPart::kProfile, {.num_sequences = 0}).error().message,
            "num_sequences = 0, want 1..4096");
  EXPECT_EQ(sample_text(model, 0, TextPart::kProfile, {.length = 512}).error().message,
            "length = 512, want 2..511");
}

TEST(BatchesOf, KeepsOrderAndLimitsRows) {
  const TextWindows text{.name = "t", .windows = {{0, 1}, {2, 3}, {4, 5}, {6, 7, 8}, {9, 9, 9}}};
  const auto batches = batches_of(text, 5);
  ASSERT_EQ(batches.size(), 4U);
  EXPECT_EQ(batches[0].ids, (std::vector<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(batches[0].batch, 2);
  EXPECT_EQ(batches[1].batch, 1);
  EXPECT_EQ(batches[2].seq, 3);
  EXPECT_EQ(batches[3].ids, (std::vector<int32_t>{9, 9, 9}));
}

}  // namespace
}  // namespace dovetail::eval
