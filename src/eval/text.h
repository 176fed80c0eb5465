// The text that losses are measured on: windows of token ids, from a file or drawn from the model.
//
// A loss is a property of a model *and a text*; every result names its text and keeps its digest.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "base/progress.h"
#include "base/result.h"
#include "host/host_model.h"
#include "model/tokenizer.h"

namespace dovetail::eval {

inline constexpr int64_t kMaxTextBytes = int64_t{1} << 30;

struct TextWindows {
  std::string name;  // "wiki.txt, 4 windows of 1024", "sampled profile, 4 windows of 256, seed 1"
  std::vector<std::vector<int32_t>> windows;  // each 2 tokens or longer

  // The first token of a window is not predicted: a window of t tokens has t - 1 scored positions.
  [[nodiscard]] int64_t num_scored() const;
  // SHA-256 over lengths and tokens; the name is not part of it.
  [[nodiscard]] std::string digest() const;
};

// Non-overlapping windows of `context` tokens from the start of the text, at most `max_windows`, no
// BOS. What is left at the end is dropped, unless it is all there is.
// Errors: kInvalidArgument (context < 2, max_windows < 1, fewer than 2 tokens of text).
[[nodiscard]] Result<TextWindows> windows_of_text(const model::Tokenizer& tokenizer,
                                                  std::string_view text, const std::string& name,
                                                  int64_t context, int64_t max_windows);
// The same from a file of UTF-8 text. Errors: also kNotFound, kIo; the message names the file.
[[nodiscard]] Result<TextWindows> windows_of_file(const model::Tokenizer& tokenizer,
                                                  const std::string& path, int64_t context,
                                                  int64_t max_windows);

// What a text is for. The parts are disjoint, so that nothing is certified on what chose it.
enum class TextPart : uint8_t { kProfile, kSelect, kCertify, kCalibrate };
// "profile", "select", "certify", "calibrate"
[[nodiscard]] std::string_view text_part_name(TextPart part);

// Cuts one text into the windows of a part: the first `counts[0]` windows are kProfile's, the next
// `counts[1]` kSelect's, the next `counts[2]` kCertify's; a fourth, if there, kCalibrate's.
// Errors: kInvalidArgument if the text has too few windows; the message says how many it has.
[[nodiscard]] Result<TextWindows> part_of_text(const TextWindows& text,
                                               const std::vector<int64_t>& counts, TextPart part);

struct SampleParams {
  int64_t num_sequences = 4;  // 1..4096
  int64_t length = 256;       // tokens of one sequence, 2..the model's positions - 1
  uint64_t seed = 1;          // each part and sequence draws from a stream of its own
};

// Draws text from the model itself: temperature 1, no truncation, each sequence started by
// `bos_id`, which is not part of the window. Needs no data set; losses on other text differ.
// Errors: kInvalidArgument naming the parameter.
[[nodiscard]] Result<TextWindows> sample_text(const host::HostModel& model, int32_t bos_id,
                                              TextPart part, const SampleParams& params,
                                              const ProgressSink& progress = {});

// For caches. Errors: kInvalidArgument naming `name` and the key.
[[nodiscard]] Json text_to_json(const TextWindows& text);
[[nodiscard]] Result<TextWindows> text_from_json(const Json& json, const std::string& name);

// Windows of equal length side by side, in order, at most `max_rows` tokens (but at least one
// window) in a batch.
[[nodiscard]] std::vector<host::TokenBatch> batches_of(const TextWindows& text, int64_t max_rows);

}  // namespace dovetail::eval
