#include "base/result.h"

#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

namespace dovetail {

std::string to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "invalid_argument";
    case ErrorCode::kNotFound:
      return "not_found";
    case ErrorCode::kIo:
      return "io";
    case ErrorCode::kUnavailable:
      return "unavailable";
    case ErrorCode::kInternal:
      return "internal";
  }
  return "internal";
}

std::unexpected<Error> with_context(Error error, const std::string& context) {
  error.message = fmt::format("{}: {}", context, error.message);
  return std::unexpected(std::move(error));
}

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "dovetail: internal error: %s is false at %s:%d\n", condition, file, line);
  std::abort();
}

}  // namespace dovetail
