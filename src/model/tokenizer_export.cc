#include "model/tokenizer_export.h"

#include <filesystem>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "base/config.h"
#include "base/paths.h"
#include "model/bounded_json.h"
#include "model/chat_template.h"
#include "model/gguf.h"
#include "model/pre_tokenizer.h"
#include "model/tokenizer_parts.h"

namespace dovetail::model {
namespace {

namespace fs = std::filesystem;

constexpr int32_t kNormal = 1;
constexpr int32_t kControl = 3;
constexpr int32_t kUnused = 5;

const PreTokenizerFacts& facts_of(const TokenizerParts& parts) {
  for (const PreTokenizerFacts& facts : known_pre_tokenizers())
    if (facts.name == parts.pre_tokenizer) return facts;
  DOVETAIL_CHECK(false);
}

// A broken template is the source's business: what is no text is left out.
std::string chat_template_of(const std::string& path) {
  const auto found = find_chat_template(path);
  return found.has_value() && found->has_value() ? (*found)->text : std::string();
}

// One Split a pattern, then bytes to their stand-ins.
nlohmann::json pre_tokenizer_json(const PreTokenizerFacts& facts) {
  nlohmann::json steps = nlohmann::json::array();
  for (const std::string_view pattern : facts.patterns) {
    steps.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", pattern}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  }
  steps.push_back({{"type", "ByteLevel"},
                   {"add_prefix_space", false},
                   {"trim_offsets", true},
                   {"use_regex", false}});
  return nlohmann::json{{"type", "Sequence"}, {"pretokenizers", steps}};
}

nlohmann::json added_tokens_json(const TokenizerParts& parts) {
  nlohmann::json list = nlohmann::json::array();
  for (const AddedToken& token : parts.added) {
    list.push_back({{"id", token.id},
                    {"content", token.content},
                    {"single_word", token.single_word},
                    {"lstrip", token.lstrip},
                    {"rstrip", token.rstrip},
                    {"normalized", token.normalized},
                    {"special", true}});
  }
  return list;
}

nlohmann::json tokenizer_json(const TokenizerParts& parts) {
  nlohmann::json vocabulary = nlohmann::json::object();  // sorted: a list would be walked for each
  for (size_t id = 0; id < parts.tokens.size(); ++id) {
    if (!parts.tokens[id].empty()) vocabulary.emplace(parts.tokens[id], id);
  }
  nlohmann::json merges = nlohmann::json::array();
  for (const auto& [left, right] : parts.merges)
    merges.push_back(nlohmann::json::array({left, right}));
  const nlohmann::json byte_level = {{"type", "ByteLevel"},
                                     {"add_prefix_space", false},
                                     {"trim_offsets", true},
                                     {"use_regex", false}};
  using nlohmann::json;
  return json{{"version", "1.0"},
              {"truncation", nullptr},
              {"padding", nullptr},
              {"added_tokens", added_tokens_json(parts)},
              {"normalizer", parts.nfc ? json{{"type", "NFC"}} : json()},
              {"pre_tokenizer", pre_tokenizer_json(facts_of(parts))},
              {"post_processor", nullptr},
              {"decoder", byte_level},
              {"model",
               {{"type", "BPE"},
                {"dropout", nullptr},
                {"unk_token", nullptr},
                {"continuing_subword_prefix", nullptr},
                {"end_of_word_suffix", nullptr},
                {"fuse_unk", false},
                {"byte_fallback", false},
                {"ignore_merges", parts.ignore_merges},
                {"vocab", std::move(vocabulary)},
                {"merges", std::move(merges)}}}};
}

std::string token_text(const TokenizerParts& parts, int32_t id) {
  return parts.tokens[static_cast<size_t>(id)];
}

Result<TokenizerParts> read_parts(const std::string& path) {
  DOVETAIL_TRY(TokenizerParts parts, read_tokenizer_parts(path));
  if (parts.pieces == nullptr) return parts;
  return invalid_argument(
      fmt::format("{}: a SentencePiece tokenizer is not turned into another kind of file; a folder "
                  "from a folder keeps it",
                  path));
}

}  // namespace

Result<TokenizerFiles> tokenizer_files(const std::string& path) {
  DOVETAIL_TRY(const TokenizerParts parts, read_parts(path));
  TokenizerFiles files{.bos_id = parts.bos_id, .eos_id = parts.eos_id};
  files.tokenizer_json =
      tokenizer_json(parts).dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"clean_up_tokenization_spaces", false},
                 {"add_bos_token", false}};
  config["bos_token"] = parts.bos_id < 0 ? Json() : Json(token_text(parts, parts.bos_id));
  config["eos_token"] = parts.eos_id < 0 ? Json() : Json(token_text(parts, parts.eos_id));
  const std::string chat_template = chat_template_of(path);
  if (!chat_template.empty()) config["chat_template"] = chat_template;
  files.tokenizer_config_json = config.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  return files;
}

Result<GgufVocabulary> gguf_vocabulary(const std::string& path, int64_t vocab_size) {
  DOVETAIL_TRY(const TokenizerParts parts, read_parts(path));
  if (std::ssize(parts.tokens) > vocab_size) {
    return invalid_argument(fmt::format("{}: {} tokens, want at most the {} rows of the embedding",
                                        path, parts.tokens.size(), vocab_size));
  }
  GgufVocabulary made{.pre = std::string(facts_of(parts).gguf_names[0]),
                      .tokens = parts.tokens,
                      .bos_id = parts.bos_id,
                      .eos_id = parts.eos_id,
                      .chat_template = chat_template_of(path)};
  made.tokens.resize(static_cast<size_t>(vocab_size));
  made.types.assign(made.tokens.size(), kNormal);
  for (size_t id = 0; id < made.tokens.size(); ++id) {
    if (!made.tokens[id].empty()) continue;
    made.tokens[id] = fmt::format("[PAD{}]", id);
    made.types[id] = kUnused;
  }
  for (const AddedToken& token : parts.added) made.types[static_cast<size_t>(token.id)] = kControl;
  for (const auto& [left, right] : parts.merges) made.merges.push_back(left + " " + right);
  return made;
}

}  // namespace dovetail::model
