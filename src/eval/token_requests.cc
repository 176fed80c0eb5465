#include "eval/token_requests.h"

#include <algorithm>

#include <fmt/format.h>

#include "eval/python_text.h"

namespace dovetail::eval {
namespace {

Result<LoglikelihoodRequest> encode_without_context(const model::Tokenizer& tokenizer,
                                                    std::string_view continuation) {
  LoglikelihoodRequest request{.context = {tokenizer.bos_id()},
                               .continuation = tokenizer.encode(continuation)};
  if (request.context[0] < 0) {
    return invalid_argument("an empty prompt, and the tokenizer has no token that begins a text");
  }
  // A text that begins with that token already does not get it twice.
  if (!request.continuation.empty() && request.continuation[0] == request.context[0]) {
    request.continuation.erase(request.continuation.begin());
  }
  return request;
}

}  // namespace

std::vector<int32_t> encode_request(const model::Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> ids = tokenizer.encode(text);
  if (!tokenizer.adds_bos() || text.starts_with(tokenizer.decode({tokenizer.bos_id()}))) return ids;
  ids.insert(ids.begin(), tokenizer.bos_id());
  return ids;
}

Result<LoglikelihoodRequest> encode_pair(const model::Tokenizer& tokenizer,
                                         std::string_view context, std::string_view continuation) {
  LoglikelihoodRequest request;
  if (context.empty()) {
    DOVETAIL_TRY(request, encode_without_context(tokenizer, continuation));
  } else {
    const std::string whole = std::string(context) + std::string(continuation);
    request.context = encode_request(tokenizer, strip_right(context));
    request.continuation = encode_request(tokenizer, whole);
    const size_t shared = std::min(request.context.size(), request.continuation.size());
    request.continuation.erase(request.continuation.begin(),
                               request.continuation.begin() + static_cast<int64_t>(shared));
  }
  if (request.continuation.empty()) {
    return invalid_argument(
        fmt::format("continuation \"{}\" has no token of its own", one_line(continuation)));
  }
  if (request.context.empty()) {
    return invalid_argument("a prompt of white space has no token before its continuation");
  }
  return request;
}

Result<bool> truncate_left(int64_t max_length, LoglikelihoodRequest& request) {
  const auto fed = std::ssize(request.context) + std::ssize(request.continuation) - 1;
  if (fed <= max_length) return false;
  if (std::ssize(request.continuation) > max_length) {
    return invalid_argument(fmt::format("a continuation of {} tokens, want at most {}",
                                        request.continuation.size(), max_length));
  }
  request.context.erase(request.context.begin(),
                        request.context.begin() + static_cast<int64_t>(fed - max_length));
  return true;
}

std::vector<LoglikelihoodRequest> rolling_windows(const std::vector<int32_t>& tokens,
                                                  int32_t prefix, int64_t max_length) {
  DOVETAIL_CHECK(max_length >= 1);
  std::vector<LoglikelihoodRequest> windows;
  const auto size = std::ssize(tokens);
  for (int64_t done = 0; done < size;) {
    const int64_t end = std::min(size, done + max_length);
    const int64_t begin = std::max(int64_t{0}, end - max_length - 1);  // of what is fed
    LoglikelihoodRequest& window = windows.emplace_back();
    if (done == 0)
      window.context.push_back(prefix);
    else
      window.context.assign(tokens.begin() + begin, tokens.begin() + done);
    window.continuation.assign(tokens.begin() + done, tokens.begin() + end);
    done = end;
  }
  return windows;
}

StopCheck::StopCheck(const model::Tokenizer& tokenizer, const std::vector<std::string>& stops)
    : tokenizer_(&tokenizer) {
  for (const std::string& stop : stops) {
    stops_.push_back({.text = stop, .tail_ids = tokenizer.encode(stop).size() + 2});
  }
}

bool StopCheck::operator()(const std::vector<int32_t>& generated) const {
  if (generated.empty()) return false;
  if (generated.back() == tokenizer_->eos_id()) return true;
  return std::any_of(stops_.begin(), stops_.end(), [&](const Stop& stop) {
    const size_t tail = std::min(stop.tail_ids, generated.size());
    const std::vector<int32_t> ids(generated.end() - static_cast<int64_t>(tail), generated.end());
    return tokenizer_->decode(ids).find(stop.text) != std::string::npos;
  });
}

std::vector<std::string> with_end_of_text(const model::Tokenizer& tokenizer,
                                          std::vector<std::string> stops) {
  if (tokenizer.eos_id() < 0) return stops;
  const std::string end = tokenizer.decode({tokenizer.eos_id()});
  if (std::find(stops.begin(), stops.end(), end) == stops.end()) stops.push_back(end);
  return stops;
}

std::string generated_text(const model::Tokenizer& tokenizer, const std::vector<int32_t>& ids,
                           const std::vector<std::string>& stops) {
  std::vector<int32_t> visible;
  std::copy_if(ids.begin(), ids.end(), std::back_inserter(visible),
               [&](int32_t id) { return !tokenizer.is_special(id); });
  std::string text = with_replacement_characters(tokenizer.decode_text(visible));
  for (const std::string& stop : stops) {
    if (!stop.empty()) text = std::string(text_before(text, stop));
  }
  return text;
}

}  // namespace dovetail::eval
