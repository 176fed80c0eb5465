// What a product does: prompt and output lengths and the batch.
#pragma once

#include <cstdint>
#include <string>

#include "base/config.h"

namespace dovetail::recipe {

// A batch of requests starts together. Prefill of `prompt_tokens` gives the first token; decode
// step i = 1..output_tokens-1 reads prompt_tokens + i tokens of KV.
struct Workload {
  std::string name;
  int64_t prompt_tokens = 512;
  int64_t output_tokens = 256;
  int64_t batch = 1;

  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.text("name", s.name, {.required = true, .help = "short name used in reports"});
    v.number("prompt_tokens", s.prompt_tokens,
             {.min = 1, .max = 1 << 20, .required = true, .help = "tokens of the prompt"});
    v.number("output_tokens", s.output_tokens,
             {.min = 1, .max = 1 << 20, .required = true, .help = "tokens generated per request"});
    v.number("batch", s.batch, {.min = 1, .max = 4096, .help = "requests that run together"});
  }
};

}  // namespace dovetail::recipe
