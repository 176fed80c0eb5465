#include "model/tokenizer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <thread>

#include <nlohmann/json.hpp>

#include "base/random.h"
#include "base/test_folder.h"
#include "model/test_data.h"

namespace dovetail::model {
namespace {

using Ids = std::vector<int32_t>;

std::vector<std::string> split_on(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t at = text.find(separator); at != std::string::npos;
       at = text.find(separator, begin)) {
    parts.push_back(text.substr(begin, at - begin));
    begin = at + separator.size();
  }
  parts.push_back(text.substr(begin));
  return parts;
}

Ids ids_of_line(const std::string& line) {
  std::istringstream stream(line);
  Ids ids;
  for (int32_t id = 0; stream >> id;) ids.push_back(id);
  return ids;
}

Tokenizer loaded(const std::string& path) {
  auto tokenizer = load_tokenizer(path);
  EXPECT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
  return std::move(tokenizer).value();
}

struct VectorCase {
  std::string tokenizer;  // path behind the data folder, or zoo:<name>
  std::string vectors;    // path of .inp and .out without the ending
};

std::string resolved(const std::string& path) {
  return path.starts_with("zoo:") ? zoo_file(path.substr(4)) : test_data(path);
}

class TokenizerVectors : public ::testing::TestWithParam<VectorCase> {};

// "ied 4 ½ months" for smollm2: its maker split on ASCII digits only. The Rust library, which is
// the reference, says what the test below wants (tokenizers 0.23.3).
constexpr const char* kWrongVector = " 885 216 36 3351 138 2704";

// 47 texts each, from llama.cpp's own tests (smollm2: made with another implementation).
TEST_P(TokenizerVectors, Correctness) {
  const std::string vectors = test_data(GetParam().vectors);
  DOVETAIL_SKIP_WITHOUT(resolved(GetParam().tokenizer));
  DOVETAIL_SKIP_WITHOUT(vectors + ".inp");
  const Tokenizer tokenizer = loaded(resolved(GetParam().tokenizer));
  const auto texts =
      split_on(read_text_file(vectors + ".inp", 1 << 20).value(), "\n__ggml_vocab_test__\n");
  const auto lines = split_on(read_text_file(vectors + ".out", 1 << 20).value(), "\n");
  ASSERT_GE(texts.size(), 46U);
  ASSERT_GE(lines.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    const Ids ids = tokenizer.encode(texts[i]);
    if (lines[i] == kWrongVector) {
      EXPECT_EQ(ids, (Ids{885, 216, 36, 216, 16738, 2704}));
      continue;
    }
    EXPECT_EQ(ids, ids_of_line(lines[i])) << "text " << i << ": [" << texts[i] << "]";
  }
}

INSTANTIATE_TEST_SUITE_P(
    Model, TokenizerVectors,
    ::testing::Values(
        VectorCase{"tokenizers/gpt2", "tokenizers/ggml-vocab/ggml-vocab-gpt-2.gguf"},
        VectorCase{"tokenizers/ggml-vocab/ggml-vocab-gpt-2.gguf",
                   "tokenizers/ggml-vocab/ggml-vocab-gpt-2.gguf"},
        VectorCase{"tokenizers/ggml-vocab/ggml-vocab-refact.gguf",
                   "tokenizers/ggml-vocab/ggml-vocab-refact.gguf"},
        VectorCase{"tokenizers/ggml-vocab/ggml-vocab-starcoder.gguf",
                   "tokenizers/ggml-vocab/ggml-vocab-starcoder.gguf"},
        VectorCase{"tokenizers/llama3/tokenizer.json",
                   "tokenizers/ggml-vocab/ggml-vocab-llama-bpe.gguf"},
        VectorCase{"tokenizers/qwen3/tokenizer.json",
                   "tokenizers/ggml-vocab/ggml-vocab-qwen2.gguf"},
        VectorCase{"tokenizers/ggml-vocab/ggml-vocab-llama-spm.gguf",
                   "tokenizers/ggml-vocab/ggml-vocab-llama-spm.gguf"},
        VectorCase{"tokenizers/ggml-vocab/ggml-vocab-phi-3.gguf",
                   "tokenizers/ggml-vocab/ggml-vocab-phi-3.gguf"},
        VectorCase{"tokenizers/llama2", "tokenizers/ggml-vocab/ggml-vocab-llama-spm.gguf"},
        VectorCase{"tokenizers/qwen2.5", "tokenizers/ggml-vocab/ggml-vocab-qwen2.gguf"},
        VectorCase{"zoo:qwen2.5-coder-0.5b", "tokenizers/ggml-vocab/ggml-vocab-qwen2.gguf"},
        VectorCase{"tokenizers/smollm2", "tokenizers/smollm2/smollm2.generated"},
        VectorCase{"zoo:smollm2-135m", "tokenizers/smollm2/smollm2.generated"}));

struct GoldenText {
  const char* text;
  Ids llama3;
  Ids qwen;
  Ids smollm2;
};

// Made with the Rust library of Hugging Face. An empty list: not recorded.
const std::vector<GoldenText>& golden_texts() {
  static const std::vector<GoldenText> texts = {
      {"Hello world", {9906, 1917}, {9707, 1879}, {19556, 905}},
      {"  12345 \n\n x",
       {220, 220, 4513, 1774, 4815, 865},
       {220, 220, 16, 17, 18, 19, 20, 4710, 856},
       {256, 33, 34, 35, 36, 37, 38028, 1792}},
      {"I'LL don't  ",
       {40, 6, 4178, 1541, 956, 256},
       {40, 6, 4086, 1513, 944, 256},
       {57, 23, 16421, 1326, 982, 256}},
      {"'\u017fx", {6, 129, 123, 87}, {6, 144815, 87}, {23, 144, 140, 104}},
      {"e\u0301\u00e9", {68, 54939, 978}, {963, 963}, {85, 151, 219, 2756}},
      {"你好，世界！",
       {57668, 53901, 3922, 102616, 6447},
       {108386, 3837, 99489, 6313},
       {18645, 250, 48392, 138, 12831, 7906, 240, 178, 239, 230, 8083, 219}},
      {"😀👍🏽",
       {76460, 222, 9468, 239, 235, 9468, 237, 121},
       {141334, 144349, 145375},
       {10813, 242, 218, 10813, 235, 231, 10813, 233, 138}},
      {"\tif x:\n\t\treturn 1\n",
       {748, 865, 512, 197, 862, 220, 16, 198},
       {743, 856, 510, 197, 853, 220, 16, 198},
       {197, 342, 1792, 42, 3354, 197, 5406, 216, 33, 198}},
      {"a\r\n\r\nb", {64, 881, 65}, {64, 871, 65}, {81, 7209, 198, 82}},
      {"    ", {257}, {257}, {289}},
      {"3.14159e-10",
       {18, 13, 9335, 2946, 68, 12, 605},
       {18, 13, 16, 19, 16, 20, 24, 68, 12, 16, 15},
       {35, 30, 33, 36, 33, 37, 41, 85, 29, 33, 32}},
      {"\u00b2\u2167x", {}, {}, {19133, 173, 223, 117, 104}},
      {"Answer: A", {16533, 25, 362}, {16141, 25, 362}, {21350, 42, 330}},
      {"नमस्ते",
       {61196, 88344, 79468, 100365, 35470},
       {},
       {30658, 35090, 38770, 16525, 26293, 30581}},
      {"<|im_start|>user\nhi<|im_end|>",
       {},
       {151644, 872, 198, 6023, 151645},
       {1, 4093, 198, 6004, 2}},
      {"<|endoftext|>hi", {}, {151643, 6023}, {0, 6004}},
  };
  return texts;
}

void check_golden(const std::string& path, Ids GoldenText::* column) {
  DOVETAIL_SKIP_WITHOUT(path);
  const Tokenizer tokenizer = loaded(path);
  int checked = 0;
  for (const GoldenText& golden : golden_texts()) {
    if ((golden.*column).empty()) continue;
    EXPECT_EQ(tokenizer.encode(golden.text), golden.*column) << golden.text;
    ++checked;
  }
  EXPECT_GE(checked, 12);
}

TEST(TokenizerGolden, Llama3) {
  check_golden(test_data("tokenizers/llama3"), &GoldenText::llama3);
}
TEST(TokenizerGolden, Qwen3) {
  check_golden(test_data("tokenizers/qwen3"), &GoldenText::qwen);
}
TEST(TokenizerGolden, Qwen25) {
  check_golden(test_data("tokenizers/qwen2.5"), &GoldenText::qwen);
}
TEST(TokenizerGolden, QwenGguf) {
  check_golden(zoo_file("qwen2.5-coder-0.5b"), &GoldenText::qwen);
}
TEST(TokenizerGolden, SmolLm2) {
  check_golden(test_data("tokenizers/smollm2"), &GoldenText::smollm2);
}
TEST(TokenizerGolden, SmolLm2Gguf) {
  check_golden(zoo_file("smollm2-135m"), &GoldenText::smollm2);
}

TEST(Tokenizer, GgufOfSmolLm2EqualsItsTokenizerJson) {
  const std::string text_path = test_data("eval/text/wikitext-2-raw.wiki.test.raw");
  DOVETAIL_SKIP_WITHOUT(zoo_file("smollm2-135m"));
  DOVETAIL_SKIP_WITHOUT(text_path);
  const Tokenizer gguf = loaded(zoo_file("smollm2-135m"));
  const Tokenizer file = loaded(test_data("tokenizers/smollm2"));
  EXPECT_EQ(gguf.vocab_size(), file.vocab_size());
  EXPECT_EQ(gguf.eos_id(), file.eos_id());
  EXPECT_EQ(gguf.bos_id(), file.bos_id());
  const std::string text = read_text_file(text_path, 1 << 24).value();
  const Ids ids = gguf.encode(text);
  EXPECT_EQ(ids, file.encode(text));
  EXPECT_EQ(gguf.decode(ids), text);
}

TEST(Tokenizer, NormalisesQwenEvenWhereTheFileSaysNull) {
  DOVETAIL_SKIP_WITHOUT(test_data("tokenizers/qwen3/tokenizer.json"));
  std::string text = read_text_file(test_data("tokenizers/qwen3/tokenizer.json"), 1 << 26).value();
  const size_t at = text.find("\"normalizer\"");
  const size_t open = text.find('{', at);
  const size_t close = text.find('}', open);
  ASSERT_NE(close, std::string::npos);
  text.replace(open, close + 1 - open, "null");
  const std::string path = (test_folder() / "qwen_without_normalizer.json").string();
  std::ofstream(path, std::ios::binary) << text;
  EXPECT_EQ(loaded(path).encode("e\u0301"), Ids{963});
  std::filesystem::remove(path);
}

// Random texts against the Rust library (tools/make_tokenizer_golden.py).
TEST(TokenizerGolden, RandomTextsMatchTheRustLibrary) {
  const auto golden = nlohmann::json::parse(
      read_text_file(std::string(DOVETAIL_SOURCE_DIR) + "/tests/golden/tokenizer_texts.json",
                     1 << 20)
          .value());
  for (const char* model : {"smollm2", "qwen3", "llama3"}) {
    const std::string path = test_data(std::string("tokenizers/") + model);
    DOVETAIL_SKIP_WITHOUT(path);
    const Tokenizer tokenizer = loaded(path);
    ASSERT_EQ(golden[model].size(), golden["texts"].size());
    for (size_t i = 0; i < golden["texts"].size(); ++i) {
      const std::string text = golden["texts"][i].get<std::string>();
      EXPECT_EQ(tokenizer.encode(text), golden[model][i].get<Ids>()) << model << ": " << text;
    }
  }
}

// A byte-level tokenizer with the 256 bytes, one merge and chosen added tokens.
std::string tiny_tokenizer(
    const std::string& added,
    const std::string& pre_tokenizer =
        R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":true})") {
  std::string vocabulary;
  int next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    vocabulary += "\"\\u" +
                  [](int code) {
                    std::ostringstream hex;
                    hex << std::hex;
                    hex.width(4);
                    hex.fill('0');
                    hex << code;
                    return hex.str();
                  }(itself ? byte : next++) +
                  "\":" + std::to_string(byte) + ",";
  }
  const std::string text =
      R"({"added_tokens":[)" + added + R"(],"normalizer":null,"pre_tokenizer":)" + pre_tokenizer +
      R"(,"model":{"type":"BPE","vocab":{)" + vocabulary + R"("ab":256},"merges":["a b"]}})";
  const std::string path = (test_folder() / "tiny_tokenizer.json").string();
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

TEST(Tokenizer, AddedTokensFollowTheirFlags) {
  const Tokenizer tokenizer = loaded(tiny_tokenizer(
      R"({"id":257,"content":"<x>"},{"id":258,"content":"<x>y"},)"
      R"({"id":259,"content":"<l>","lstrip":true},{"id":260,"content":"<r>","rstrip":true},)"
      R"({"id":261,"content":"word","single_word":true,"normalized":true})"));
  EXPECT_EQ(tokenizer.encode("a<x>b<x>yb"), (Ids{'a', 257, 'b', 258, 'b'}));
  EXPECT_EQ(tokenizer.encode("a  <l> b"), (Ids{'a', 259, ' ', 'b'}));
  EXPECT_EQ(tokenizer.encode("a  <r> \n b"), (Ids{'a', ' ', ' ', 260, 'b'}));
  EXPECT_EQ(tokenizer.encode("word sword"), (Ids{261, ' ', 's', 'w', 'o', 'r', 'd'}));
  EXPECT_EQ(tokenizer.decode({258, 256}), "<x>yab");
}

TEST(Tokenizer, EveryByteStringSurvivesTheRoundTrip) {
  const Tokenizer tokenizer = loaded(tiny_tokenizer(R"({"id":257,"content":"<x>"})"));
  Random random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (int64_t length = random.below(12); length > 0; --length) {
      // Half of the bytes come from those that begin, continue and break UTF-8 sequences.
      text +=
          static_cast<char>(random.below(2) == 0 ? random.below(256) : 0x80 + random.below(128));
    }
    ASSERT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  }
}

TEST(Tokenizer, LongRunsAreMergedAsFastAsShortOnes) {
  const Tokenizer tokenizer = loaded(tiny_tokenizer(""));
  std::string letters;
  for (int i = 0; i < 500'000; ++i) letters += "ab";
  EXPECT_EQ(tokenizer.encode(letters), Ids(500'000, 256));
  EXPECT_EQ(tokenizer.encode(std::string(1'000'000, ' ')).size(), 1'000'000U);
  EXPECT_EQ(tokenizer.encode(std::string(1'000'000, '7')).size(), 1'000'000U);
}

TEST(Tokenizer, ThreadsShareOneTokenizer) {
  const Tokenizer tokenizer = loaded(tiny_tokenizer(""));
  const Ids expected = tokenizer.encode("ab ab 12 xyz");
  std::vector<std::thread> threads;
  std::vector<int> equal(4);
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) equal[t] += tokenizer.encode("ab ab 12 xyz") == expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(equal, std::vector<int>(4, 500));
}

TEST(Tokenizer, IdsOutsideTheVocabularyDecodeToNothing) {
  const Tokenizer tokenizer = loaded(tiny_tokenizer(""));
  EXPECT_EQ(tokenizer.decode({-1, 'a', 100'000}), "a");
  EXPECT_EQ(tokenizer.eos_id(), -1);
  EXPECT_EQ(tokenizer.bos_id(), -1);
}

void expect_error(const std::string& path, const std::string& part) {
  const auto tokenizer = load_tokenizer(path);
  ASSERT_FALSE(tokenizer.has_value()) << path;
  EXPECT_NE(tokenizer.error().message.find(part), std::string::npos) << tokenizer.error().message;
}

TEST(TokenizerError, NamesWhatIsWrongAndWhatIsKnown) {
  expect_error("no/such/file", "no/such/file: no such file");
  expect_error(tiny_tokenizer("", R"({"type":"Whitespace"})"),
               "want one of gpt-2, llama-3, qwen2, smollm");
  expect_error(tiny_tokenizer("", "null"), "want one of gpt-2");
  expect_error(tiny_tokenizer(R"({"id":99999999,"content":"x"})"), "want 0..65792");
  expect_error(tiny_tokenizer(R"({"id":-1,"content":"x"})"), "has id -1");
  expect_error(tiny_tokenizer(R"({"id":97,"content":"<x>"})"), "id 97 belongs to both a and <x>");
  expect_error(tiny_tokenizer(R"({"id":97})"), "want id and content");
  expect_error(tiny_tokenizer(R"(7)"), "added_tokens");
}

TEST(TokenizerError, UnknownGgufSplitterIsNamed) {
  const std::string path = test_data("tokenizers/ggml-vocab/ggml-vocab-falcon.gguf");
  DOVETAIL_SKIP_WITHOUT(path);
  expect_error(path, "tokenizer.ggml.pre = falcon, want one of gpt-2, llama-bpe");
  expect_error(test_data("tokenizers/ggml-vocab/ggml-vocab-bert-bge.gguf"),
               "tokenizer.ggml.model = bert, want gpt2 (byte-level byte-pair encoding) or llama");
}

TEST(TokenizerError, DamagedFilesNeverCrash) {
  const std::string text =
      read_text_file(tiny_tokenizer(R"({"id":257,"content":"<x>"})"), 1 << 20).value();
  const std::string path = (test_folder() / "damaged_tokenizer.json").string();
  Random random(3);
  for (int round = 0; round < 300; ++round) {
    std::string damaged =
        text.substr(0, static_cast<size_t>(random.below(static_cast<int64_t>(text.size()))));
    if (round % 2 == 1) {
      damaged = text;
      for (int i = 0; i < 3; ++i) {
        damaged[static_cast<size_t>(random.below(static_cast<int64_t>(text.size())))] =
            "{}[]\",:0-e\\"[random.below(11)];
      }
    }
    std::ofstream(path, std::ios::binary) << damaged;
    const auto tokenizer = load_tokenizer(path);
    if (tokenizer.has_value()) (void)tokenizer->encode("ab <x> 12");
    EXPECT_TRUE(round % 2 == 1 || !tokenizer.has_value());
  }
  std::filesystem::remove(path);
}

TEST(TokenizerError, DeepNestingIsRefused) {
  const std::string path = (test_folder() / "deep.json").string();
  std::ofstream(path, std::ios::binary) << std::string(1'000'000, '[');
  expect_error(path, "nested more than 32 deep");
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace dovetail::model
