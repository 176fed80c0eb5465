// What a request is refused with: an HTTP status and a JSON body in the form of OpenAI's errors.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "base/config.h"
#include "base/result.h"

namespace dovetail::serve {

struct ApiError {
  int status = 400;        // 4xx: the request is wrong or comes too often; 5xx: this end failed
  std::string message;     // key, value, what was wanted
  std::string param = {};  // the key that is wrong, empty: none in particular
  std::string code = {};   // a stable word for programs: "model_not_found", empty: none
};

template <typename T>
using ApiResult = std::expected<T, ApiError>;

[[nodiscard]] std::unexpected<ApiError> refuse(std::string param, std::string message);

// 400, 404, 500, 503 as the code says.
[[nodiscard]] ApiError api_error(const Error& error);

// {"error": {"message", "type", "param", "code"}}
[[nodiscard]] Json to_json(const ApiError& error);

// Text in which bytes that are no UTF-8 became U+FFFD.
[[nodiscard]] std::string dump_json(const Json& json);

}  // namespace dovetail::serve
