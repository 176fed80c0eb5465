#include "eval/text.h"

#include <algorithm>
#include <filesystem>
#include <numeric>

#include <fmt/format.h>

#include "base/hash.h"
#include "base/paths.h"
#include "base/random.h"

namespace dovetail::eval {

int64_t TextWindows::num_scored() const {
  return std::accumulate(windows.begin(), windows.end(), int64_t{0},
                         [](int64_t sum, const std::vector<int32_t>& window) {
                           return sum + static_cast<int64_t>(window.size()) - 1;
                         });
}

std::string TextWindows::digest() const {
  Sha256 hash;
  for (const std::vector<int32_t>& window : windows) {
    const uint64_t size = window.size();
    hash.update(&size, sizeof(size));
    hash.update(window.data(), window.size() * sizeof(int32_t));
  }
  return hash.hex();
}

Result<TextWindows> windows_of_text(const model::Tokenizer& tokenizer, std::string_view text,
                                    const std::string& name, int64_t context, int64_t max_windows) {
  if (context < 2) return invalid_argument(fmt::format("context = {}, want 2 or more", context));
  if (max_windows < 1) {
    return invalid_argument(fmt::format("windows = {}, want 1 or more", max_windows));
  }
  const std::vector<int32_t> ids = tokenizer.encode(text);
  const auto count = static_cast<int64_t>(ids.size());
  if (count < 2) {
    return invalid_argument(fmt::format("{}: {} tokens of text, want 2 or more", name, count));
  }
  const int64_t length = std::min(context, count);
  const int64_t num_windows = std::min(count / length, max_windows);
  TextWindows result{.name = fmt::format("{}, {} windows of {}", name, num_windows, length),
                     .windows = {}};
  for (int64_t i = 0; i < num_windows; ++i) {
    result.windows.emplace_back(ids.begin() + i * length, ids.begin() + (i + 1) * length);
  }
  return result;
}

Result<TextWindows> windows_of_file(const model::Tokenizer& tokenizer, const std::string& path,
                                    int64_t context, int64_t max_windows) {
  DOVETAIL_TRY(const std::string text, read_text_file(path, kMaxTextBytes));
  return windows_of_text(tokenizer, text, std::filesystem::path(path).filename().string(), context,
                         max_windows);
}

std::string_view text_part_name(TextPart part) {
  switch (part) {
    case TextPart::kProfile:
      return "profile";
    case TextPart::kSelect:
      return "select";
    case TextPart::kCertify:
      return "certify";
    case TextPart::kCalibrate:
      break;
  }
  return "calibrate";
}

Result<TextWindows> part_of_text(const TextWindows& text, const std::vector<int64_t>& counts,
                                 TextPart part) {
  const auto index = static_cast<size_t>(part);
  if (counts.size() < 3 || counts.size() > 4 || index >= counts.size() ||
      std::any_of(counts.begin(), counts.end(),
                  [](int64_t n) { return n < 1 || n > (int64_t{1} << 32); })) {
    return invalid_argument(
        "counts of a split text: want three or four, each 1 or more, one of them the part's");
  }
  const auto first =
      std::accumulate(counts.begin(), counts.begin() + static_cast<long>(index), int64_t{0});
  const int64_t wanted = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  const auto available = static_cast<int64_t>(text.windows.size());
  if (available < wanted) {
    return invalid_argument(
        fmt::format("{}: {} windows of text, want {} ({} profile, {} select, {} certify{})",
                    text.name, available, wanted, counts[0], counts[1], counts[2],
                    counts.size() > 3 ? fmt::format(", {} calibrate", counts[3]) : ""));
  }
  TextWindows result{.name = fmt::format("{}: {} part", text.name, text_part_name(part)),
                     .windows = {}};
  result.windows.assign(text.windows.begin() + first, text.windows.begin() + first + counts[index]);
  return result;
}

Result<TextWindows> sample_text(const host::HostModel& model, int32_t bos_id, TextPart part,
                                const SampleParams& params, const ProgressSink& progress) {
  const int64_t max_length = model.shape().max_positions - 1;
  if (params.num_sequences < 1 || params.num_sequences > 4096) {
    return invalid_argument(fmt::format("num_sequences = {}, want 1..4096", params.num_sequences));
  }
  if (params.length < 2 || params.length > max_length) {
    return invalid_argument(fmt::format("length = {}, want 2..{}", params.length, max_length));
  }
  const std::string what = fmt::format("drawing {} text", text_part_name(part));
  report_progress(progress, what, 0);
  // One more step of a generator apart from any other (seed, part): no two streams share a seed.
  Random stream(params.seed);
  uint64_t seed = stream.next();
  for (int i = 0; i < static_cast<int>(part); ++i) seed = stream.next();
  const std::vector<std::vector<int32_t>> prompts(static_cast<size_t>(params.num_sequences),
                                                  {bos_id});
  DOVETAIL_TRY(auto drawn, model.generate(prompts, {.max_new_tokens = params.length,
                                                    .temperature = 1.0,
                                                    .seed = seed,
                                                    .stop_token = -1}));
  report_progress(progress, what, 1);
  return TextWindows{
      .name = fmt::format("sampled {}, {} windows of {}, seed {}", text_part_name(part),
                          params.num_sequences, params.length, params.seed),
      .windows = std::move(drawn)};
}

Json text_to_json(const TextWindows& text) {
  Json json = Json::object();
  json["name"] = text.name;
  json["windows"] = text.windows;
  return json;
}

Result<TextWindows> text_from_json(const Json& json, const std::string& name) {
  if (!json.is_object() || !json.contains("name") || !json["name"].is_string()) {
    return invalid_argument(name + ": name: want a text");
  }
  if (!json.contains("windows") || !json["windows"].is_array()) {
    return invalid_argument(name + ": windows: want a list");
  }
  TextWindows text{.name = json["name"].get<std::string>(), .windows = {}};
  for (const Json& window : json["windows"]) {
    const bool is_tokens = window.is_array() && window.size() >= 2 &&
                           std::all_of(window.begin(), window.end(), [](const Json& token) {
                             return token.is_number_integer() && token.get<int64_t>() >= 0 &&
                                    token.get<int64_t>() <= std::numeric_limits<int32_t>::max();
                           });
    if (!is_tokens) {
      return invalid_argument(fmt::format("{}: windows[{}]: want a list of 2 or more token ids",
                                          name, text.windows.size()));
    }
    text.windows.push_back(window.get<std::vector<int32_t>>());
  }
  return text;
}

std::vector<host::TokenBatch> batches_of(const TextWindows& text, int64_t max_rows) {
  std::vector<host::TokenBatch> batches;
  for (const std::vector<int32_t>& window : text.windows) {
    const auto seq = static_cast<int64_t>(window.size());
    if (batches.empty() || batches.back().seq != seq || batches.back().rows() + seq > max_rows) {
      batches.push_back({.batch = 0, .seq = seq, .ids = {}});
    }
    host::TokenBatch& batch = batches.back();
    ++batch.batch;
    batch.ids.insert(batch.ids.end(), window.begin(), window.end());
  }
  return batches;
}

}  // namespace dovetail::eval
