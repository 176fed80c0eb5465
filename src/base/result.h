// Errors as values: Result<T> is std::expected<T, Error>.
//
// Anything that a user, a file or a search point can cause travels as an Error. Broken invariants
// of the program itself use DOVETAIL_CHECK. "Infeasible" is a result, never an error.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace dovetail {

// The process exit code follows from the code: wrong input exits 2, all else 1.
enum class ErrorCode : uint8_t {
  kInvalidArgument,  // the input is wrong: file, key, value and what was wanted are in the message
  kNotFound,         // a named file, model or key does not exist
  kIo,               // the machine failed: disk full, unreadable or unwritable folder
  kUnavailable,      // something needed is missing here: network, tool, device
  kInternal,         // a bug that was caught
};

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;  // file, key, value, what was wanted; no trailing period or newline
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

// "invalid_argument", "not_found", ...; stable, used in JSON.
[[nodiscard]] std::string to_string(ErrorCode code);

// What a terminal and a record can show: one line without control characters, valid UTF-8, the
// middle left out if it is long. Messages quote files, and a file may hold anything.
[[nodiscard]] std::string one_line(std::string_view text);

[[nodiscard]] std::unexpected<Error> make_error(ErrorCode code, std::string_view message);
[[nodiscard]] inline std::unexpected<Error> invalid_argument(std::string_view message) {
  return make_error(ErrorCode::kInvalidArgument, message);
}
[[nodiscard]] inline std::unexpected<Error> not_found(std::string_view message) {
  return make_error(ErrorCode::kNotFound, message);
}
[[nodiscard]] inline std::unexpected<Error> io_error(std::string_view message) {
  return make_error(ErrorCode::kIo, message);
}
[[nodiscard]] inline std::unexpected<Error> unavailable(std::string_view message) {
  return make_error(ErrorCode::kUnavailable, message);
}

// Puts `context` and ": " before the message, so that an error names the file it came from.
[[nodiscard]] std::unexpected<Error> with_context(Error error, const std::string& context);

// Prints the failed condition and aborts. Only DOVETAIL_CHECK calls it.
[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace dovetail

// Aborts when an invariant of the program itself is broken. Never reachable from input.
#define DOVETAIL_CHECK(condition) \
  ((condition) ? (void)0 : ::dovetail::check_failed(#condition, __FILE__, __LINE__))

#define DOVETAIL_CONCAT_INNER(a, b) a##b
#define DOVETAIL_CONCAT(a, b) DOVETAIL_CONCAT_INNER(a, b)

// DOVETAIL_TRY(auto value, f());  declares `value` from f()'s success, or returns f()'s error.
// DOVETAIL_TRY_STATUS(f());       the same where there is nothing to keep.
#define DOVETAIL_TRY(declaration, ...) \
  DOVETAIL_TRY_IMPL(DOVETAIL_CONCAT(dovetail_try_, __LINE__), declaration, __VA_ARGS__)
#define DOVETAIL_TRY_IMPL(temporary, declaration, ...)                              \
  auto temporary = (__VA_ARGS__);                                                   \
  if (!temporary.has_value()) return std::unexpected(std::move(temporary).error()); \
  declaration = std::move(temporary).value()
#define DOVETAIL_TRY_STATUS(...)                                      \
  do {                                                                \
    auto dovetail_try_status = (__VA_ARGS__);                         \
    if (!dovetail_try_status.has_value())                             \
      return std::unexpected(std::move(dovetail_try_status).error()); \
  } while (false)
