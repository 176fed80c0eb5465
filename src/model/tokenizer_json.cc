#include <algorithm>
#include <filesystem>
#include <optional>

#include <fmt/format.h>

#include "base/paths.h"
#include "model/bounded_json.h"
#include "model/pre_tokenizer.h"
#include "model/tokenizer_parts.h"

namespace dovetail::model {
namespace {

using nlohmann::json;

std::unexpected<Error> unknown_splitter(const std::string& path, const std::string& found) {
  return invalid_argument(fmt::format("{}: pre_tokenizer is {}, want one of {}", path, found,
                                      known_pre_tokenizer_names()));
}

std::string shortened(const json& value) {
  const std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  return text.size() <= 200 ? text : text.substr(0, 197) + "...";
}

// The regular expressions that a pre_tokenizer of tokenizer.json stands for. Empty behind an error.
Result<std::vector<std::string>> patterns_of(const json& pre, const std::string& path) {
  std::vector<json> steps = {pre};
  if (pre.is_object() && pre.value("type", json()) == "Sequence" && pre.contains("pretokenizers") &&
      pre["pretokenizers"].is_array()) {
    steps = pre["pretokenizers"].get<std::vector<json>>();
  }
  const std::string gpt2(known_pre_tokenizers()[0].patterns[0]);
  std::vector<std::string> patterns;
  for (const json& step : steps) {
    const json type = step.is_object() ? step.value("type", json()) : json();
    if (type == "Digits" && step.value("individual_digits", json()) == true) {
      patterns.emplace_back(R"(\p{N})");
    } else if (type == "ByteLevel" && step.value("add_prefix_space", json()) == false) {
      if (step.value("use_regex", json(true)) == true) patterns.push_back(gpt2);
    } else if (type == "Split" && step.value("behavior", json()) == "Isolated" &&
               step.value("invert", json(false)) == false && step.contains("pattern") &&
               step["pattern"].is_object() && step["pattern"].contains("Regex") &&
               step["pattern"]["Regex"].is_string()) {
      patterns.push_back(step["pattern"]["Regex"].get<std::string>());
    } else {
      return unknown_splitter(path, shortened(step));
    }
  }
  return patterns;
}

Result<const PreTokenizerFacts*> splitter_of(const json& file, const std::string& path) {
  if (!file.contains("pre_tokenizer")) return unknown_splitter(path, "missing");
  DOVETAIL_TRY(const auto patterns, patterns_of(file["pre_tokenizer"], path));
  for (const PreTokenizerFacts& facts : known_pre_tokenizers()) {
    if (std::equal(patterns.begin(), patterns.end(), facts.patterns.begin(),
                   facts.patterns.end())) {
      return &facts;
    }
  }
  return unknown_splitter(path, shortened(file["pre_tokenizer"]));
}

Result<bool> normalizes(const json& file, const std::string& path) {
  if (!file.contains("normalizer") || file["normalizer"].is_null()) return false;
  const json& normalizer = file["normalizer"];
  if (normalizer.is_object() && normalizer.value("type", json()) == "NFC") return true;
  return invalid_argument(
      fmt::format("{}: normalizer is {}, want null or NFC", path, shortened(normalizer)));
}

// Puts `content` at `id`, growing the list; two contents for one id are an error.
Status place_token(TokenizerParts& parts, const json& id, const std::string& content,
                   const std::string& path) {
  if (!id.is_number_unsigned() || id.get<uint64_t>() >= parts.id_limit) {
    return invalid_argument(fmt::format("{}: token {} has id {}, want 0..{}", path, content,
                                        shortened(id), parts.id_limit - 1));
  }
  const size_t index = id.get<size_t>();
  if (index >= parts.tokens.size()) parts.tokens.resize(index + 1);
  std::string& entry = parts.tokens[index];
  if (!entry.empty() && entry != content) {
    return invalid_argument(
        fmt::format("{}: id {} belongs to both {} and {}", path, index, entry, content));
  }
  entry = content;
  return {};
}

Status read_vocabulary(const json& vocabulary, const std::string& path, TokenizerParts& parts) {
  if (!vocabulary.is_object() || vocabulary.empty()) {
    return invalid_argument(fmt::format("{}: the vocabulary is missing or no object", path));
  }
  parts.id_limit = vocabulary.size() + kMaxVocabularyGap;
  parts.tokens.reserve(vocabulary.size());
  for (const auto& [content, id] : vocabulary.items()) {
    DOVETAIL_TRY_STATUS(place_token(parts, id, content, path));
  }
  return {};
}

Status add_merge(std::string_view merge, const std::string& path, TokenizerParts& parts) {
  const size_t space = merge.find(' ');
  if (space == std::string_view::npos || merge.find(' ', space + 1) != std::string_view::npos) {
    return invalid_argument(
        fmt::format("{}: merge \"{}\", want two tokens and one space", path, merge));
  }
  parts.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  return {};
}

Status read_merges(const json& model, const std::string& path, TokenizerParts& parts) {
  if (!model.contains("merges") || !model["merges"].is_array()) {
    return invalid_argument(fmt::format("{}: model.merges is missing or no list", path));
  }
  for (const json& merge : model["merges"]) {
    if (merge.is_string()) {
      DOVETAIL_TRY_STATUS(add_merge(merge.get_ref<const std::string&>(), path, parts));
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      parts.merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
    } else {
      return invalid_argument(
          fmt::format("{}: model.merges holds {}, want a pair of tokens", path, shortened(merge)));
    }
  }
  return {};
}

Status read_added(const json& list, const std::string& path, TokenizerParts& parts) {
  if (!list.is_array()) return invalid_argument(fmt::format("{}: added_tokens is no list", path));
  for (const json& entry : list) {
    DOVETAIL_TRY(const auto content, json_text(entry, "content", path + ": added_tokens"));
    if (!content.has_value() || !entry.contains("id")) {
      return invalid_argument(
          fmt::format("{}: added_tokens holds {}, want id and content", path, shortened(entry)));
    }
    DOVETAIL_TRY_STATUS(place_token(parts, entry["id"], *content, path));
    AddedToken token;
    token.content = *content;
    token.id = entry["id"].get<int32_t>();
    for (const auto& [key, flag] : {std::pair("single_word", &token.single_word),
                                    {"lstrip", &token.lstrip},
                                    {"rstrip", &token.rstrip},
                                    {"normalized", &token.normalized},
                                    {"special", &token.special}}) {
      DOVETAIL_TRY(const auto value, json_bool(entry, key, path + ": added_tokens"));
      *flag = value.value_or(false);
    }
    parts.added.push_back(std::move(token));
  }
  return {};
}

int32_t id_of(const TokenizerParts& parts, std::string_view content) {
  const auto found = std::find(parts.tokens.begin(), parts.tokens.end(), content);
  return found == parts.tokens.end() || content.empty()
             ? -1
             : static_cast<int32_t>(found - parts.tokens.begin());
}

// tokenizer_config.json names the tokens; without it config.json has their ids; without either the
// names that the known families use decide.
int32_t special_id(const TokenizerParts& parts, const std::string& folder, const std::string& role,
                   const std::vector<std::string_view>& usual_names) {
  std::error_code ignored;
  const std::string named = folder + "/tokenizer_config.json";
  if (std::filesystem::exists(named, ignored)) {
    const auto config = read_bounded_json(named);
    if (config.has_value() && config->is_object()) {
      json token = config->value(role + "_token", json());
      if (token.is_object()) token = token.value("content", json());
      if (token.is_string()) return id_of(parts, token.get<std::string>());
      if (config->contains(role + "_token")) return -1;  // null: the family has none
    }
  }
  const auto config = read_bounded_json(folder + "/config.json");
  if (config.has_value() && config->is_object()) {
    json id = config->value(role + "_token_id", json());
    if (id.is_array() && !id.empty()) id = json(id[0]);
    if (id.is_number_unsigned() && id.get<uint64_t>() < parts.tokens.size())
      return id.get<int32_t>();
  }
  for (const std::string_view name : usual_names) {
    if (const int32_t id = id_of(parts, name); id >= 0) return id;
  }
  return -1;
}

// A step of the post-processor that puts tokens around a text: one before it, or none, is served.
Result<bool> template_adds_bos(const json& step, const TokenizerParts& parts) {
  const json single = step.value("single", json());
  const auto part = [&](size_t i, const char* kind) {
    return single[i].is_object() && single[i].contains(kind) && single[i][kind].is_object();
  };
  const bool alone = single.is_array() && single.size() == 1 && part(0, "Sequence");
  const bool behind_one =
      single.is_array() && single.size() == 2 && part(0, "SpecialToken") && part(1, "Sequence");
  if (alone) return false;
  const json id = behind_one ? single[0]["SpecialToken"].value("id", json()) : json();
  if (id.is_string() && parts.bos_id >= 0 &&
      id.get<std::string>() == parts.tokens[static_cast<size_t>(parts.bos_id)]) {
    return true;
  }
  return invalid_argument(
      fmt::format("{}: post_processor is {}, want BOS before the text or nothing", parts.source,
                  shortened(single)));
}

Result<bool> post_processor_adds_bos(const json& file, const TokenizerParts& parts) {
  if (!file.contains("post_processor") || !file["post_processor"].is_object()) return false;
  const json& post = file["post_processor"];
  std::vector<json> steps = {post};
  if (post.value("type", json()) == "Sequence" && post.contains("processors") &&
      post["processors"].is_array()) {
    steps = post["processors"].get<std::vector<json>>();
  }
  for (const json& step : steps) {
    if (!step.is_object() || step.value("type", json()) != "TemplateProcessing") continue;
    return template_adds_bos(step, parts);
  }
  return false;
}

// What tokenizer_config.json says of `key`, if it does. Source: transformers 5, TokenizersBackend:
// add_bos_token there outweighs the post-processor.
std::optional<bool> config_flag(const std::string& folder, const char* key) {
  const auto config = read_bounded_json(folder + "/tokenizer_config.json");
  if (!config.has_value() || !config->is_object()) return std::nullopt;
  const json value = config->value(key, json());
  return value.is_boolean() ? std::optional(value.get<bool>()) : std::nullopt;
}

std::string folder_of(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

// No closer than the class that reads them: added_tokens_decoder of a tokenizer_config.json.
Status read_added_of_config(const json& config, const std::string& path, TokenizerParts& parts) {
  if (!config.contains("added_tokens_decoder") || !config["added_tokens_decoder"].is_object())
    return {};
  json list = json::array();
  for (const auto& [id, token] : config["added_tokens_decoder"].items()) {
    json entry = token;
    const bool is_number =
        !id.empty() && id.size() < 9 && std::all_of(id.begin(), id.end(), ::isdigit);
    if (entry.is_object() && is_number) entry["id"] = static_cast<uint64_t>(std::stoul(id));
    list.push_back(entry);
  }
  return read_added(list, path, parts);
}

void read_special_ids(const std::string& path, TokenizerParts& parts) {
  const std::string folder = folder_of(path);
  parts.eos_id = special_id(parts, folder, "eos", {"<|end_of_text|>", "<|endoftext|>", "</s>"});
  parts.bos_id = special_id(parts, folder, "bos", {"<|begin_of_text|>", "<s>"});
}

Status check_model(const json& model, const std::string& path) {
  DOVETAIL_TRY(const auto type, json_text(model, "type", path + ": model"));
  if (type.value_or("BPE") != "BPE") {
    return invalid_argument(fmt::format("{}: model.type = {}, want BPE", path, *type));
  }
  DOVETAIL_TRY(const auto fallback, json_bool(model, "byte_fallback", path + ": model"));
  if (fallback.value_or(false)) {
    return invalid_argument(
        fmt::format("{}: model.byte_fallback = true, want false (byte-level)", path));
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    DOVETAIL_TRY(const auto affix, json_text(model, key, path + ": model"));
    if (!affix.value_or("").empty()) {
      return invalid_argument(fmt::format("{}: model.{} = {}, want none", path, key, *affix));
    }
  }
  return {};
}

}  // namespace

Result<TokenizerParts> read_json_tokenizer(const std::string& path) {
  DOVETAIL_TRY(const json file, read_bounded_json(path));
  if (!file.is_object() || !file.contains("model") || !file["model"].is_object()) {
    return invalid_argument(fmt::format("{}: model is missing or no object", path));
  }
  const json& model = file["model"];
  DOVETAIL_TRY_STATUS(check_model(model, path));
  TokenizerParts parts;
  parts.source = path;
  DOVETAIL_TRY(const PreTokenizerFacts* splitter, splitter_of(file, path));
  parts.pre_tokenizer = splitter->name;
  DOVETAIL_TRY(const bool nfc, normalizes(file, path));
  // transformers normalises Qwen2's text whatever its tokenizer.json says.
  parts.nfc = nfc || splitter->nfc;
  DOVETAIL_TRY(const auto ignore_merges, json_bool(model, "ignore_merges", path + ": model"));
  parts.ignore_merges = ignore_merges.value_or(false);
  DOVETAIL_TRY_STATUS(read_vocabulary(model.value("vocab", json()), path, parts));
  DOVETAIL_TRY_STATUS(read_merges(model, path, parts));
  if (file.contains("added_tokens"))
    DOVETAIL_TRY_STATUS(read_added(file["added_tokens"], path, parts));
  read_special_ids(path, parts);
  DOVETAIL_TRY(const bool adds_bos, post_processor_adds_bos(file, parts));
  parts.adds_bos = config_flag(folder_of(path), "add_bos_token").value_or(adds_bos);
  return parts;
}

Result<TokenizerParts> read_vocab_and_merges(const std::string& folder) {
  TokenizerParts parts;
  parts.source = folder;
  parts.pre_tokenizer = "gpt-2";
  DOVETAIL_TRY(const json vocabulary, read_bounded_json(folder + "/vocab.json"));
  DOVETAIL_TRY_STATUS(read_vocabulary(vocabulary, folder + "/vocab.json", parts));
  const std::string merges_path = folder + "/merges.txt";
  DOVETAIL_TRY(const std::string merges, read_text_file(merges_path, kMaxJsonFileBytes));
  for (size_t begin = 0; begin < merges.size();) {
    const size_t end = std::min(merges.find('\n', begin), merges.size());
    std::string_view line = std::string_view(merges).substr(begin, end - begin);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty() && !(begin == 0 && line.starts_with("#version"))) {
      DOVETAIL_TRY_STATUS(add_merge(line, merges_path, parts));
    }
    begin = end + 1;
  }
  std::error_code ignored;
  const std::string config_path = folder + "/tokenizer_config.json";
  if (std::filesystem::exists(config_path, ignored)) {
    DOVETAIL_TRY(const json config, read_bounded_json(config_path));
    DOVETAIL_TRY(const auto type, json_text(config, "tokenizer_class", config_path));
    if (type.value_or("").starts_with("Qwen2")) {
      parts.pre_tokenizer = "qwen2";
      parts.nfc = true;
    }
    DOVETAIL_TRY_STATUS(read_added_of_config(config, config_path, parts));
  } else if (const int32_t end_of_text = id_of(parts, "<|endoftext|>"); end_of_text >= 0) {
    parts.added.push_back({.content = "<|endoftext|>", .id = end_of_text, .special = true});
  }
  read_special_ids(config_path, parts);
  parts.adds_bos = config_flag(folder, "add_bos_token").value_or(false);
  return parts;
}

Result<bool> is_of_pieces(const std::string& path) {
  DOVETAIL_TRY(const json file, read_bounded_json(path));
  return file.is_object() && file.value("model", json()).is_object() &&
         file["model"].value("byte_fallback", json()) == true;
}

Result<TokenizerParts> read_piece_tokenizer(const std::string& path) {
  DOVETAIL_TRY(const std::string bytes, read_text_file(path, kMaxJsonFileBytes));
  DOVETAIL_TRY(PieceModel model, parse_piece_model(bytes, path));
  TokenizerParts parts;
  parts.source = path;
  parts.id_limit = model.pieces.size() + kMaxVocabularyGap;
  add_pieces(model, parts);
  parts.pieces = std::make_shared<const PieceModel>(std::move(model));
  const std::string folder = folder_of(path);
  std::error_code ignored;
  TokenizerParts beside = parts;
  beside.added.clear();
  const std::string json_path = folder + "/tokenizer.json";
  const std::string config_path = folder + "/tokenizer_config.json";
  if (std::filesystem::exists(json_path, ignored)) {
    DOVETAIL_TRY(const json file, read_bounded_json(json_path));
    if (file.is_object() && file.contains("added_tokens"))
      DOVETAIL_TRY_STATUS(read_added(file["added_tokens"], json_path, beside));
  } else if (std::filesystem::exists(config_path, ignored)) {
    DOVETAIL_TRY(const json config, read_bounded_json(config_path));
    DOVETAIL_TRY_STATUS(read_added_of_config(config, config_path, beside));
  }
  if (!beside.added.empty()) parts = std::move(beside);
  read_special_ids(path, parts);
  parts.adds_bos = config_flag(folder, "add_bos_token").value_or(true);
  parts.space_after_special = config_flag(folder, "legacy").value_or(false);
  return parts;
}

}  // namespace dovetail::model
