// tokenizer.json, and texts of any bytes through it.
#include "fuzz_target.h"
#include "model_checks.h"

namespace dovetail::fuzz {

void fuzz_tokenizer_json(std::string_view input) {
  const std::string path = write_scratch("json/tokenizer.json", input);
  const auto parts = model::read_json_tokenizer(path);
  require_sound_tokenizer(path, parts, "ab  a\xc3\xa9 1\n\xff<|x|> aab");
  require_sound_tokenizer(path, parts, input.substr(0, 256));
}

}  // namespace dovetail::fuzz
