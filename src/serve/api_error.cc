#include "serve/api_error.h"

#include <utility>

namespace dovetail::serve {
namespace {

std::string type_of(int status) {
  if (status == 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json() : Json(text);
}

}  // namespace

std::unexpected<ApiError> refuse(std::string param, std::string message) {
  return std::unexpected(
      ApiError{.status = 400, .message = std::move(message), .param = std::move(param)});
}

ApiError api_error(const Error& error) {
  switch (error.code) {
    case ErrorCode::kInvalidArgument:
      return {.status = 400, .message = error.message};
    case ErrorCode::kNotFound:
      return {.status = 404, .message = error.message};
    case ErrorCode::kUnavailable:
      return {.status = 503, .message = error.message};
    default:
      return {.status = 500, .message = error.message};
  }
}

Json to_json(const ApiError& error) {
  return {{"error",
           {{"message", error.message},
            {"type", type_of(error.status)},
            {"param", text_or_null(error.param)},
            {"code", text_or_null(error.code)}}}};
}

std::string dump_json(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace dovetail::serve
