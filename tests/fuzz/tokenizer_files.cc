// GPT-2's files: vocab.json, merges.txt and tokenizer_config.json, separated by zero bytes in the
// input; the last one may be absent.
#include "fuzz_target.h"
#include "model_checks.h"

#include <filesystem>

namespace dovetail::fuzz {

void fuzz_tokenizer_files(std::string_view input) {
  const size_t first = std::min(input.find('\0'), input.size());
  const std::string_view rest = input.substr(std::min(first + 1, input.size()));
  const size_t second = std::min(rest.find('\0'), rest.size());
  write_scratch("gpt2/vocab.json", input.substr(0, first));
  write_scratch("gpt2/merges.txt", rest.substr(0, second));
  const std::string folder = scratch_folder() + "/gpt2";
  std::error_code code;
  std::filesystem::remove(folder + "/tokenizer_config.json", code);
  if (second < rest.size()) {
    write_scratch("gpt2/tokenizer_config.json", rest.substr(second + 1));
  }
  const auto parts = model::read_vocab_and_merges(folder);
  require_sound_tokenizer(folder, parts, "ab  a\xc3\xa9 1\n\xff<|endoftext|> aab");
}

}  // namespace dovetail::fuzz
