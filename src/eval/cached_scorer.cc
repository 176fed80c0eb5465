#include "eval/cached_scorer.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <mutex>
#include <optional>
#include <span>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/hash.h"
#include "base/result.h"
#include "host/paged_model.h"

namespace dovetail::eval {
namespace {

std::string key_of(std::string_view kind, const std::vector<int32_t>& first,
                   const std::vector<int32_t>& second) {
  Sha256 hash;
  hash.update(kind);
  const auto add = [&](const std::vector<int32_t>& ids) {
    hash.update(fmt::format("|{}|", ids.size()));
    hash.update(ids.data(), ids.size() * sizeof(int32_t));
  };
  add(first);
  add(second);
  return hash.hex();
}

std::string key_of(const LoglikelihoodRequest& request) {
  return key_of("loglikelihood", request.context, request.continuation);
}
std::string key_of(const GenerationRequest& request) {
  return key_of("greedy", request.prompt, {});
}

// The bits of the number, so that reading gives it back exactly.
std::string text_of(const Loglikelihood& result) {
  return fmt::format("{:016x} {}", std::bit_cast<uint64_t>(result.nats), result.is_greedy ? 1 : 0);
}

std::optional<Loglikelihood> parse_loglikelihood(const std::string* text) {
  if (text == nullptr || text->size() != 18) return std::nullopt;
  uint64_t bits = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + 16, bits, 16);
  if (error != std::errc{} || end != text->data() + 16) return std::nullopt;
  return Loglikelihood{.nats = std::bit_cast<double>(bits), .is_greedy = text->back() == '1'};
}

std::optional<std::vector<int32_t>> parse_ids(const std::string* text) {
  if (text == nullptr) return std::nullopt;
  std::vector<int32_t> ids;
  for (const char* at = text->data(); at < text->data() + text->size(); ++at) {
    const auto [end, error] =
        std::from_chars(at, text->data() + text->size(), ids.emplace_back());
    if (error != std::errc{}) return std::nullopt;
    at = end;
  }
  return ids;
}

// What the request would have got, if it ends within `ids`.
std::optional<std::vector<int32_t>> replay(const GenerationRequest& request,
                                           const std::vector<int32_t>& ids) {
  std::vector<int32_t> made;
  for (const int32_t id : ids) {
    made.push_back(id);
    const bool is_done = request.is_done && request.is_done(made);
    if (is_done || std::ssize(made) == request.max_new_tokens) return made;
  }
  return std::nullopt;
}

ProgressSink rest_of(const ProgressSink& whole, double done_frac, double part_frac) {
  if (!whole) return {};
  return [=](const Progress& part) {
    whole({part.what, done_frac + part_frac * part.done_frac});
  };
}

}  // namespace

std::string host_scorer_identity(const std::string& weights_digest, const std::string& treatment,
                                 bool tile_unit) {
  return fmt::format("weights {} treatment {} kernels {} {}", weights_digest, treatment,
                     host::kPagedKernels, tile_unit ? "tiles" : "vectors");
}

CachedScorer::CachedScorer(Scorer& inner, ResultJournal& journal, int64_t batch_requests)
    : inner_(inner), journal_(journal), batch_requests_(batch_requests) {
  DOVETAIL_CHECK(batch_requests >= 1);
}

Result<std::vector<Loglikelihood>> CachedScorer::loglikelihoods(
    const std::vector<LoglikelihoodRequest>& requests, const ProgressSink& progress) {
  std::vector<Loglikelihood> results(requests.size());
  std::vector<size_t> missing;
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto found = parse_loglikelihood(journal_.find(key_of(requests[i])));
    if (found.has_value())
      results[i] = *found;
    else
      missing.push_back(i);
  }
  stats_.found += std::ssize(requests) - std::ssize(missing);
  const auto all = static_cast<double>(std::max<size_t>(1, requests.size()));
  auto done = static_cast<double>(requests.size() - missing.size());
  for (int64_t at = 0; at < std::ssize(missing); at += batch_requests_) {
    const auto count = std::min(batch_requests_, std::ssize(missing) - at);
    const auto batch =
        std::span(missing).subspan(static_cast<size_t>(at), static_cast<size_t>(count));
    std::vector<LoglikelihoodRequest> asked;
    for (const size_t i : batch) asked.push_back(requests[i]);
    DOVETAIL_TRY(const std::vector<Loglikelihood> answers,
                 inner_.loglikelihoods(asked, rest_of(progress, done / all,
                                                      static_cast<double>(count) / all)));
    stats_.asked += count;
    done += static_cast<double>(count);
    std::vector<ResultJournal::Entry> entries;
    for (size_t i = 0; i < batch.size(); ++i) {
      results[batch[i]] = answers[i];
      if (std::isfinite(answers[i].nats))
        entries.emplace_back(key_of(asked[i]), text_of(answers[i]));
    }
    DOVETAIL_TRY_STATUS(journal_.append(entries));
  }
  return results;
}

Result<std::vector<std::vector<int32_t>>> CachedScorer::generate(
    const std::vector<GenerationRequest>& requests, const ProgressSink& progress) {
  std::vector<std::vector<int32_t>> results(requests.size());
  std::vector<size_t> missing;
  std::vector<GenerationRequest> asked;
  std::mutex mutex;
  Status appended;
  for (size_t i = 0; i < requests.size(); ++i) {
    const std::string key = key_of(requests[i]);
    if (const auto ids = parse_ids(journal_.find(key)); ids.has_value()) {
      if (auto made = replay(requests[i], *ids); made.has_value()) {
        results[i] = *std::move(made);
        continue;
      }
    }
    missing.push_back(i);
    asked.push_back(requests[i]);
    asked.back().is_done = [&, key, i](const std::vector<int32_t>& made) {
      const GenerationRequest& request = requests[i];
      const bool is_done = (request.is_done && request.is_done(made)) ||
                           std::ssize(made) == request.max_new_tokens;
      if (!is_done) return false;
      const std::scoped_lock lock(mutex);
      Status status = journal_.append({{key, fmt::format("{}", fmt::join(made, ","))}});
      if (appended.has_value()) appended = std::move(status);
      return true;
    };
  }
  stats_.found += std::ssize(requests) - std::ssize(missing);
  stats_.asked += std::ssize(missing);
  if (missing.empty()) return results;
  const auto all = static_cast<double>(requests.size());
  const auto done = static_cast<double>(requests.size() - missing.size());
  DOVETAIL_TRY(auto made,
               inner_.generate(asked, rest_of(progress, done / all, 1.0 - done / all)));
  DOVETAIL_TRY_STATUS(appended);
  for (size_t i = 0; i < missing.size(); ++i) results[missing[i]] = std::move(made[i]);
  return results;
}

}  // namespace dovetail::eval
