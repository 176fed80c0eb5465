#include "model/tokenizer_export.h"

#include <gtest/gtest.h>

#include "base/paths.h"
#include "model/test_data.h"
#include "model/test_files.h"
#include "model/tokenizer.h"

namespace dovetail::model {
namespace {

// A tokenizer.json made of a checkpoint's tokenizer gives the same ids.
void expect_same_ids(const std::string& source) {
  const auto files = tokenizer_files(source);
  ASSERT_TRUE(files.has_value()) << files.error().message;
  write_temporary("tokenizer_config.json", files->tokenizer_config_json);
  const std::string written = write_temporary("tokenizer.json", files->tokenizer_json);
  const auto before = load_tokenizer(source);
  const auto after = load_tokenizer(written);
  ASSERT_TRUE(after.has_value()) << after.error().message;
  EXPECT_EQ(after->eos_id(), before->eos_id());
  EXPECT_EQ(after->bos_id(), before->bos_id());
  std::vector<std::string> texts = {"", " a  b\n\n c\t12345 <|im_start|>user\n<|endoftext|>",
                                    "Zwölf Boxkämpfer — 2½ \xf0\x9f\x98\x80 'll I'M e\xcc\x81"};
  for (const char* name : {"exllamav2-multilingual.utf8", "exllamav2-code.utf8"}) {
    const auto text = read_text_file(test_data(std::string("eval/text/") + name), 1 << 24);
    if (text.has_value()) texts.push_back(text->substr(0, 60'000));
  }
  for (const std::string& text : texts) {
    EXPECT_EQ(after->encode(text), before->encode(text)) << text.substr(0, 40);
  }
}

TEST(TokenizerExport, TokenizerOfAGguf) {
  DOVETAIL_SKIP_WITHOUT(zoo_file("smollm2-135m"));
  expect_same_ids(zoo_file("smollm2-135m"));
}

TEST(TokenizerExport, TokenizersOfJson) {
  for (const char* name : {"smollm2", "qwen2.5", "llama3", "gpt2"}) {
    const std::string folder = test_data(std::string("tokenizers/") + name);
    DOVETAIL_SKIP_WITHOUT(folder);
    SCOPED_TRACE(name);
    expect_same_ids(folder);
  }
}

TEST(TokenizerExport, AVocabularyForGgufHasATokenForEveryRow) {
  const std::string folder = test_data("tokenizers/gpt2");
  DOVETAIL_SKIP_WITHOUT(folder);
  const auto made = gguf_vocabulary(folder, 50'304);
  ASSERT_TRUE(made.has_value()) << made.error().message;
  EXPECT_EQ(made->pre, "gpt-2");
  EXPECT_EQ(made->tokens.size(), 50'304U);
  EXPECT_EQ(made->tokens[50'303], "[PAD50303]");
  EXPECT_EQ(made->types[50'303], 5);
  EXPECT_EQ(made->types[50'256], 3);
  EXPECT_EQ(made->merges.size(), 50'000U);
  EXPECT_EQ(made->merges[0], "\xc4\xa0 t");
  EXPECT_NE(gguf_vocabulary(folder, 100).error().message.find("50257 tokens, want at most the 100"),
            std::string::npos);
}

}  // namespace
}  // namespace dovetail::model
