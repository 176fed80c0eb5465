#include "model/piece_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/paths.h"
#include "base/random.h"
#include "base/test_folder.h"
#include "model/piece_encoder.h"
#include "model/test_data.h"
#include "model/test_files.h"
#include "model/tokenizer.h"

namespace dovetail::model {
namespace {

using Ids = std::vector<int32_t>;

// <unk>, <s>, </s>, the 256 bytes, single letters and a few merges of them.
std::vector<Piece> small_pieces() {
  std::vector<Piece> pieces = {{"<unk>", 0, PieceKind::kUnknown},
                               {"<s>", 0, PieceKind::kControl},
                               {"</s>", 0, PieceKind::kControl}};
  for (int byte = 0; byte < 256; ++byte)
    pieces.push_back({fmt::format("<0x{:02X}>", byte), 0, PieceKind::kByte});
  for (const char* text : {"he", "ll", "hell", "hello", "\xe2\x96\x81hello"})
    pieces.push_back({text, -static_cast<float>(pieces.size())});
  for (const char* text : {"h", "e", "l", "o", "\xe2\x96\x81"}) pieces.push_back({text, -1e3F});
  return pieces;
}

std::string write_model(const PieceModel& model) {
  const std::filesystem::path folder = test_folder() / "pieces";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "tokenizer.model", std::ios::binary) << model.serialized;
  return folder.string();
}

// The lowest scores are merged last; bytes stand in for what no piece covers.
TEST(Tokenizer, OfPiecesWorkedByHand) {
  const auto tokenizer = load_tokenizer(write_model(make_piece_model(small_pieces(), true, "s")));
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
  constexpr int32_t kSpaceHello = 263;
  constexpr int32_t kHello = 262;
  constexpr int32_t kSpace = 268;
  EXPECT_EQ(tokenizer->encode("hello"), (Ids{kSpaceHello}));
  EXPECT_EQ(tokenizer->encode(" hello"), (Ids{kSpace, kSpaceHello}));
  EXPECT_EQ(tokenizer->encode(""), Ids{});
  EXPECT_EQ(tokenizer->encode("z"), (Ids{kSpace, 3 + 'z'}));
  EXPECT_EQ(tokenizer->encode("\xff\n"), (Ids{kSpace, 3 + 0xff, 3 + '\n'}));
  // A special token that is written: no space behind it, as transformers has it since it left
  // `legacy`.
  EXPECT_EQ(tokenizer->encode("<s>hello</s>"), (Ids{1, kHello, 2}));
  EXPECT_EQ(tokenizer->decode({1, kSpaceHello, 3 + 0xff, 2}), "<s> hello\xff</s>");
  EXPECT_EQ(tokenizer->decode_text({kSpaceHello, kSpaceHello}), "hello hello");
  EXPECT_EQ(tokenizer->bos_id(), 1);
  EXPECT_EQ(tokenizer->eos_id(), 2);
  EXPECT_TRUE(tokenizer->adds_bos());
  EXPECT_TRUE(tokenizer->is_special(2));
  EXPECT_FALSE(tokenizer->is_special(kHello));
}

TEST(Tokenizer, OfPiecesTakesWhatStandsBesideTheModel) {
  const std::string folder = write_model(make_piece_model(small_pieces(), true, "s"));
  std::ofstream(folder + "/tokenizer_config.json")
      << R"({"add_bos_token":false,"legacy":true,"bos_token":"<s>","eos_token":"<|im_end|>",)"
      << R"("added_tokens_decoder":{"1":{"content":"<s>","special":true},)"
      << R"("269":{"content":"<|im_end|>","special":true}}})";
  const auto tokenizer = load_tokenizer(folder);
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
  EXPECT_FALSE(tokenizer->adds_bos());
  EXPECT_EQ(tokenizer->eos_id(), 269);
  EXPECT_EQ(tokenizer->vocab_size(), 270);
  EXPECT_EQ(tokenizer->encode("<s>hello<|im_end|>"), (Ids{1, 263, 269}));
  // A tokenizer.json of the same model gives way to it, another one does not.
  std::ofstream(folder + "/tokenizer.json")
      << R"({"model":{"type":"BPE","byte_fallback":true,"vocab":{"a":0},"merges":[]},)"
      << R"("added_tokens":[{"id":1,"content":"<s>","special":true}]})";
  EXPECT_EQ(load_tokenizer(folder)->encode("hello"), (Ids{263}));
  std::ofstream(folder + "/tokenizer.json")
      << R"({"model":{"type":"BPE","byte_fallback":false,"vocab":{"a":0},"merges":[]}})";
  EXPECT_NE(load_tokenizer(folder).error().message.find("tokenizer.json: pre_tokenizer is missing"),
            std::string::npos);
}

TEST(Tokenizer, OfPiecesInsideGgufIsLikeThatOfTheModel) {
  GgufParts parts;
  parts.text("general.architecture", "llama");
  parts.text("tokenizer.ggml.model", "llama");
  const std::vector<Piece> pieces = small_pieces();
  const auto array = [&](const std::string& key, uint32_t type, const auto& put_one) {
    std::string bytes;
    put<uint32_t>(bytes, 9);
    put<uint32_t>(bytes, type);
    put<uint64_t>(bytes, pieces.size());
    for (const Piece& piece : pieces) put_one(bytes, piece);
    parts.values.emplace_back(key, bytes);
  };
  array("tokenizer.ggml.tokens", 8, [](std::string& b, const Piece& p) { put_text(b, p.text); });
  array("tokenizer.ggml.scores", 6, [](std::string& b, const Piece& p) { put(b, p.score); });
  array("tokenizer.ggml.token_type", 5,
        [](std::string& b, const Piece& p) { put(b, static_cast<int32_t>(p.kind)); });
  parts.integer("tokenizer.ggml.bos_token_id", 1);
  parts.integer("tokenizer.ggml.eos_token_id", 2);
  const auto read = load_tokenizer(write_temporary("pieces.gguf", parts.bytes()));
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(read->encode("<s>hello z"), (Ids{1, 263, 268, 3 + 'z'}));  // llama.cpp: a space behind
  EXPECT_TRUE(read->adds_bos());
  EXPECT_EQ(read->bos_id(), 1);
  std::erase_if(parts.values, [](const auto& v) { return v.first == "tokenizer.ggml.scores"; });
  const auto broken = load_tokenizer(write_temporary("pieces.gguf", parts.bytes()));
  EXPECT_NE(broken.error().message.find("tokenizer.ggml.scores has 0 entries, want 269"),
            std::string::npos);
}

// Ids and texts as the Python package of SentencePiece has them (tools/make_piece_golden.py).
TEST(Tokenizer, OfPiecesEqualsThePackage) {
  const nlohmann::json golden = nlohmann::json::parse(
      read_text_file("tests/golden/sentencepiece_texts.json", 1 << 20).value());
  int64_t compared = 0;
  for (const char* name : {"llama2", "mistral_v1", "mistral_v7"}) {
    const auto& of = golden.at(name);
    const std::string path = test_data(of.at("path").get<std::string>());
    DOVETAIL_SKIP_WITHOUT(path);
    const std::string copy = (test_folder() / "copy.model").string();
    std::filesystem::copy_file(path, copy, std::filesystem::copy_options::overwrite_existing);
    const auto tokenizer = load_tokenizer(copy);
    ASSERT_TRUE(tokenizer.has_value()) << tokenizer.error().message;
    EXPECT_EQ(tokenizer->bos_id(), of.at("bos_id").get<int32_t>());
    EXPECT_EQ(tokenizer->eos_id(), of.at("eos_id").get<int32_t>());
    for (size_t i = 0; i < golden.at("texts").size(); ++i) {
      const auto text = golden.at("texts").at(i).get<std::string>();
      const Ids ids = tokenizer->encode(text);
      EXPECT_EQ(ids, of.at("ids").at(i).get<Ids>()) << name << ": " << text;
      EXPECT_EQ(tokenizer->decode_text(ids), of.at("decoded").at(i).get<std::string>()) << text;
      ++compared;
    }
  }
  EXPECT_EQ(compared, 3 * 155);
}

std::string error_of(const std::string& bytes) {
  const std::string path = (test_folder() / "hostile.model").string();
  std::ofstream(path, std::ios::binary) << bytes;
  const auto tokenizer = load_tokenizer(path);
  if (tokenizer.has_value()) {
    (void)tokenizer->encode("hello \xff <s> z");
    return "(no error)";
  }
  EXPECT_NE(tokenizer.error().message.find("hostile.model"), std::string::npos)
      << tokenizer.error().message;
  return tokenizer.error().message;
}

TEST(PieceModelError, SaysWhatIsWrong) {
  const std::string whole = make_piece_model(small_pieces(), true, "s").serialized;
  ASSERT_EQ(error_of(whole), "(no error)");
  EXPECT_NE(error_of(whole.substr(0, whole.size() - 1)).find("or is cut off"), std::string::npos);
  EXPECT_NE(error_of("").find("holds no pieces"), std::string::npos);
  EXPECT_NE(error_of("{\"model\": 1}").find("no SentencePiece model"), std::string::npos);
  EXPECT_NE(error_of(std::string("version 1\noid sha256:4d7a\nsize 499723\n")).find("model"),
            std::string::npos);
  // The library's own word: two pieces of the same text, no unknown piece.
  auto pieces = small_pieces();
  pieces.push_back(pieces.back());
  EXPECT_NE(error_of(make_piece_model(pieces, true, "s").serialized).find("is already defined"),
            std::string::npos);
  pieces = small_pieces();
  pieces[0].kind = PieceKind::kNormal;
  EXPECT_NE(error_of(make_piece_model(pieces, true, "s").serialized).find("unk"),
            std::string::npos);
  pieces = small_pieces();
  pieces[265].score = std::nanf("");
  EXPECT_NE(
      error_of(make_piece_model(pieces, true, "s").serialized).find("piece 265 has the score"),
      std::string::npos);
  EXPECT_NE(error_of(whole + std::string("\x1a\x05\x12\x03\x01\x02\x03", 7))
                .find("precompiled_charsmap, want none"),
            std::string::npos);
  // A later field wins: unigram, spaces removed.
  EXPECT_NE(error_of(whole + std::string("\x12\x02\x18\x01", 4)).find("model_type = 1, want 2"),
            std::string::npos);
  EXPECT_NE(error_of(whole + std::string("\x1a\x02\x20\x01", 4))
                .find("remove_extra_whitespaces = true, want false"),
            std::string::npos);
}

TEST(PieceModelError, TruncatedAndDamagedModelsNeverCrash) {
  const std::string whole = make_piece_model(small_pieces(), true, "s").serialized;
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_NE(error_of(whole.substr(0, size)), "(no error)") << size;
  Random random(7);
  for (int round = 0; round < 600; ++round) {
    std::string damaged = whole;
    for (int i = 0; i < 1 + round % 4; ++i) {
      damaged[static_cast<size_t>(random.below(std::ssize(whole)))] =
          static_cast<char>(random.below(256));
    }
    (void)error_of(damaged);
  }
}

}  // namespace
}  // namespace dovetail::model
