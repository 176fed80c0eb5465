#include "model/bounded_json.h"

#include <limits>

#include <fmt/format.h>

#include "base/json_text.h"
#include "base/paths.h"

namespace dovetail::model {
namespace {

// The member, or null if it is absent or null.
const nlohmann::json* member(const nlohmann::json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto entry = object.find(key);
  return entry == object.end() || entry->is_null() ? nullptr : &*entry;
}

std::unexpected<Error> wrong_type(const nlohmann::json& value, const char* key,
                                  const std::string& where, const char* wanted) {
  std::string shown = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (shown.size() > 60) shown = shown.substr(0, 57) + "...";
  return invalid_argument(fmt::format("{}: {} = {}, want {}", where, key, shown, wanted));
}

}  // namespace

Result<nlohmann::json> parse_bounded_json(std::string_view text, const std::string& name) {
  if (json_depth(text, kMaxModelJsonDepth) > kMaxModelJsonDepth) {
    return invalid_argument(
        fmt::format("{}: JSON nested more than {} deep", name, kMaxModelJsonDepth));
  }
  try {
    return nlohmann::json::parse(text.begin(), text.end());
  } catch (const nlohmann::json::exception& error) {
    return invalid_argument(fmt::format("{}: {}", name, error.what()));
  }
}

Result<nlohmann::json> read_bounded_json(const std::string& path) {
  DOVETAIL_TRY(const std::string text, read_text_file(path, kMaxJsonFileBytes));
  return parse_bounded_json(text, path);
}

Result<std::optional<int64_t>> json_integer(const nlohmann::json& object, const char* key,
                                            const std::string& where) {
  const nlohmann::json* value = member(object, key);
  if (value == nullptr) return std::nullopt;
  const bool too_large = value->is_number_unsigned() &&
                         value->get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()};
  if (!value->is_number_integer() || too_large) return wrong_type(*value, key, where, "an integer");
  return value->get<int64_t>();
}

Result<std::optional<double>> json_number(const nlohmann::json& object, const char* key,
                                          const std::string& where) {
  const nlohmann::json* value = member(object, key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) return wrong_type(*value, key, where, "a number");
  return value->get<double>();
}

Result<std::optional<bool>> json_bool(const nlohmann::json& object, const char* key,
                                      const std::string& where) {
  const nlohmann::json* value = member(object, key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) return wrong_type(*value, key, where, "true or false");
  return value->get<bool>();
}

Result<std::optional<std::string>> json_text(const nlohmann::json& object, const char* key,
                                             const std::string& where) {
  const nlohmann::json* value = member(object, key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) return wrong_type(*value, key, where, "a text");
  return value->get<std::string>();
}

}  // namespace dovetail::model
