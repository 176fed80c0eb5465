// JSON from untrusted files: size and nesting limited before the parser sees it, no exceptions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/result.h"

namespace dovetail::model {

inline constexpr int kMaxModelJsonDepth = 32;
inline constexpr int64_t kMaxJsonFileBytes = int64_t{256} << 20;

// `name` stands in front of every error message. Errors: kInvalidArgument.
[[nodiscard]] Result<nlohmann::json> parse_bounded_json(std::string_view text,
                                                        const std::string& name);
// Errors: kNotFound, kInvalidArgument, kIo.
[[nodiscard]] Result<nlohmann::json> read_bounded_json(const std::string& path);

// Typed members of an object; absent and null give nothing, another type is an error that names
// `where`, key, value and what was wanted.
[[nodiscard]] Result<std::optional<int64_t>> json_integer(const nlohmann::json& object,
                                                          const char* key,
                                                          const std::string& where);
[[nodiscard]] Result<std::optional<double>> json_number(const nlohmann::json& object,
                                                        const char* key, const std::string& where);
[[nodiscard]] Result<std::optional<bool>> json_bool(const nlohmann::json& object, const char* key,
                                                    const std::string& where);
[[nodiscard]] Result<std::optional<std::string>> json_text(const nlohmann::json& object,
                                                           const char* key,
                                                           const std::string& where);

}  // namespace dovetail::model
