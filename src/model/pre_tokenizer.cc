#include "model/pre_tokenizer.h"

#include <cstdint>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

namespace dovetail::model {
namespace {

constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kSingleDigit = R"(\p{N})";

constexpr size_t kJitStackBytes = size_t{8} << 20;

// Leading byte, number of bytes, and the range of the second byte, after table 3-7 of the Unicode
// standard. Zero bytes: not a leading byte.
struct Utf8Lead {
  size_t bytes = 0;
  uint8_t second_min = 0x80;
  uint8_t second_max = 0xbf;
};

Utf8Lead lead_of(uint8_t byte) {
  if (byte < 0x80) return {.bytes = 1};
  if (byte < 0xc2) return {};
  if (byte < 0xe0) return {.bytes = 2};
  if (byte == 0xe0) return {.bytes = 3, .second_min = 0xa0};
  if (byte == 0xed) return {.bytes = 3, .second_max = 0x9f};
  if (byte < 0xf0) return {.bytes = 3};
  if (byte == 0xf0) return {.bytes = 4, .second_min = 0x90};
  if (byte < 0xf4) return {.bytes = 4};
  if (byte == 0xf4) return {.bytes = 4, .second_max = 0x8f};
  return {};
}

struct CodeDeleter {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
using Code = std::unique_ptr<pcre2_code, CodeDeleter>;

// What one thread needs while it matches.
struct Matcher {
  Matcher(const Matcher&) = delete;
  Matcher& operator=(const Matcher&) = delete;
  Matcher()
      : data(pcre2_match_data_create(1, nullptr)),
        context(pcre2_match_context_create(nullptr)),
        stack(pcre2_jit_stack_create(32 * 1024, kJitStackBytes, nullptr)) {
    pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~Matcher() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
  pcre2_match_data* data;
  pcre2_match_context* context;
  pcre2_jit_stack* stack;
};

// PCRE2 counts U+180E as white space, Unicode since 6.3 and the engine of the tokenizers library do
// not; the property (PCRE2 10.40 and later) agrees with them on every code point.
std::string with_unicode_space(std::string_view pattern) {
  std::string translated;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const std::string_view escape = pattern.substr(i, 2);
    const bool is_space = escape == R"(\s)" || escape == R"(\S)";
    translated += is_space ? (escape[1] == 's' ? R"(\p{White_Space})" : R"(\P{White_Space})")
                           : std::string(1, pattern[i]);
    if (is_space) ++i;
  }
  return translated;
}

Result<Code> compile(std::string_view known_pattern) {
  const std::string pattern = with_unicode_space(known_pattern);
  int error = 0;
  PCRE2_SIZE offset = 0;
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                          PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr));
  if (code == nullptr) {
    return invalid_argument(
        fmt::format("pattern {}: PCRE2 error {} at {}", pattern, error, offset));
  }
  // Without JIT on this machine the interpreter gives the same matches.
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  return code;
}

}  // namespace

struct PreTokenizer::Impl {
  std::vector<Code> stages;

  using Sink = std::function<void(std::string_view)>;

  void split_from(size_t stage, std::string_view text, Matcher& matcher, const Sink& piece) const {
    if (stage == stages.size()) {
      if (!text.empty()) piece(text);
      return;
    }
    size_t done = 0;
    while (done < text.size()) {
      const int found =
          pcre2_match(stages[stage].get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                      done, PCRE2_NO_UTF_CHECK, matcher.data, matcher.context);
      if (found < 0) break;  // no match: the rest is one gap
      // Copied, because the next stage matches into the same data.
      const size_t begin = pcre2_get_ovector_pointer(matcher.data)[0];
      const size_t end = pcre2_get_ovector_pointer(matcher.data)[1];
      if (end <= begin) break;  // cannot happen: no known pattern matches nothing
      split_from(stage + 1, text.substr(done, begin - done), matcher, piece);
      split_from(stage + 1, text.substr(begin, end - begin), matcher, piece);
      done = end;
    }
    if (done < text.size()) split_from(stage + 1, text.substr(done), matcher, piece);
  }
};

PreTokenizer::PreTokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) noexcept = default;
PreTokenizer::~PreTokenizer() = default;

void PreTokenizer::split(std::string_view text,
                         const std::function<void(std::string_view)>& piece) const {
  thread_local Matcher matcher;
  impl_->split_from(0, text, matcher, piece);
}

const std::vector<PreTokenizerFacts>& known_pre_tokenizers() {
  // StarCoder and Refact were trained with the same two steps as SmolLM2.
  static const std::vector<PreTokenizerFacts> known = {
      {.name = "gpt-2", .gguf_names = {"gpt-2"}, .patterns = {kGpt2}},
      {.name = "llama-3",
       .gguf_names = {"llama-bpe", "llama3", "llama-v3"},
       .patterns = {kLlama3},
       .ignore_merges = true},
      {.name = "qwen2", .gguf_names = {"qwen2"}, .patterns = {kQwen2}, .nfc = true},
      {.name = "smollm",
       .gguf_names = {"smollm", "starcoder", "refact"},
       .patterns = {kSingleDigit, kGpt2}},
  };
  return known;
}

std::string known_pre_tokenizer_names() {
  std::string list;
  for (const PreTokenizerFacts& facts : known_pre_tokenizers()) {
    list += (list.empty() ? "" : ", ") + std::string(facts.name);
  }
  return list;
}

Result<PreTokenizer> make_pre_tokenizer(std::string_view name) {
  for (const PreTokenizerFacts& facts : known_pre_tokenizers()) {
    if (facts.name != name) continue;
    auto impl = std::make_unique<PreTokenizer::Impl>();
    for (const std::string_view pattern : facts.patterns) {
      DOVETAIL_TRY(Code code, compile(pattern));
      impl->stages.push_back(std::move(code));
    }
    return PreTokenizer(std::move(impl));
  }
  return invalid_argument(
      fmt::format("pre-tokenizer {}, want one of {}", name, known_pre_tokenizer_names()));
}

size_t valid_utf8_prefix(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Utf8Lead lead = lead_of(static_cast<uint8_t>(text[at]));
    if (lead.bytes == 0 || lead.bytes > text.size() - at) return at;
    for (size_t i = 1; i < lead.bytes; ++i) {
      const auto byte = static_cast<uint8_t>(text[at + i]);
      const uint8_t low = i == 1 ? lead.second_min : uint8_t{0x80};
      const uint8_t high = i == 1 ? lead.second_max : uint8_t{0xbf};
      if (byte < low || byte > high) return at;
    }
    at += lead.bytes;
  }
  return at;
}

}  // namespace dovetail::model
