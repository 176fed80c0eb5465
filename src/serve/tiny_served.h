// Tests only: a small random model that reads bytes, behind the endpoints.
#pragma once

#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/json_text.h"
#include "base/random.h"
#include "base/test_folder.h"
#include "eval/completer.h"
#include "eval/tiny_model.h"
#include "host/host_model.h"
#include "model/chat_template.h"
#include "model/tokenizer.h"
#include "serve/api.h"
#include "serve/completion_worker.h"

namespace dovetail::serve {

inline constexpr int32_t kTinyAb = 256;     // "ab"
inline constexpr int32_t kTinyEnd = 257;    // <|endoftext|>
inline constexpr int64_t kTinyVocab = 260;  // two more than the tokenizer knows

// One id a byte, and two more.
inline model::Tokenizer tiny_tokenizer() {
  std::string vocabulary;
  int next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    vocabulary += fmt::format("\"\\u{:04x}\":{},", itself ? byte : next++, byte);
  }
  const std::string text =
      R"({"added_tokens":[{"id":257,"content":"<|endoftext|>","special":true}],"normalizer":null,)"
      R"("pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},)"
      R"("model":{"type":"BPE","vocab":{)" +
      vocabulary + R"("ab":256},"merges":["a b"]}})";
  const std::string path = (test_folder() / "tokenizer.json").string();
  std::ofstream(path, std::ios::binary) << text;
  return model::load_tokenizer(path).value();
}

inline model::Weights tiny_byte_weights() {
  model::Weights weights = *eval::tiny_weights(1);
  Random random(11);
  weights.shape.vocab_size = kTinyVocab;
  weights.embedding = eval::random_matrix(kTinyVocab, weights.shape.hidden_size, 2.0, random);
  return weights;
}

inline host::HostModel tiny_host_model(model::Weights weights = tiny_byte_weights()) {
  return host::HostModel::create(std::make_shared<const model::Weights>(std::move(weights)))
      .value();
}

// Everything but sockets.
struct TinyServed {
  model::Tokenizer tokenizer = tiny_tokenizer();
  Served served;
  std::unique_ptr<CompletionWorker> worker;
  std::unique_ptr<Api> api;

  explicit TinyServed(int64_t max_requests = 8, model::Weights weights = tiny_byte_weights(),
                      std::unique_ptr<model::ChatTemplate> chat = nullptr) {
    auto completer = eval::make_completer(tiny_host_model(std::move(weights))).value();
    served = {.model_id = "tiny",
              .tokenizer = &tokenizer,
              .vocab_size = kTinyVocab,
              .max_length = completer->max_length(),
              .max_prompt_tokens = 400,
              .max_new_tokens = 300,
              .max_prompts = 4};
    worker = std::make_unique<CompletionWorker>(std::move(completer), tokenizer, max_requests);
    api = std::make_unique<Api>(served, ModelFacts{.created_s = 1}, *worker, std::move(chat));
  }

  Reply ask(const std::string& path, const std::string& body) const {
    return std::get<Reply>(api->answer(path, body, [] { return false; }));
  }
  // The data of each event.
  [[nodiscard]] std::vector<std::string> stream(const std::string& path,
                                                const std::string& body) const {
    std::vector<std::string> events;
    const Answer answer = api->answer(path, body, [] { return false; });
    std::get<EventStream>(answer)([&](const std::string& event) {
      events.push_back(event.substr(6, event.size() - 8));
      return true;
    });
    return events;
  }
};

}  // namespace dovetail::serve
