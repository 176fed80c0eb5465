#include "serve/json_fields.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

namespace dovetail::serve {
namespace {

constexpr size_t kMaxShown = 60;

}  // namespace

std::string shown(const Json& value) {
  // A large value is not written out only to be shortened.
  if (value.is_array()) return fmt::format("an array of {}", value.size());
  if (value.is_object()) return fmt::format("an object of {}", value.size());
  const std::string text = one_line(dump_json(value));
  return text.size() <= kMaxShown ? text : one_line(text.substr(0, kMaxShown)) + "...";
}

JsonFields::JsonFields(const Json& json, std::string where)
    : json_(json), where_(std::move(where)) {
  if (!json.is_object()) {
    const std::string name = where_.empty() ? "the body" : where_.substr(0, where_.size() - 1);
    error_ = ApiError{.message = fmt::format("{} = {}, want a JSON object", name, shown(json)),
                      .param = where_.empty() ? "" : name};
  }
}

void JsonFields::fail(const std::string& key, const std::string& problem) {
  if (error_.has_value()) return;
  error_ = ApiError{.message = fmt::format("{}{}{}", where_, key, problem), .param = where_ + key};
}

const Json* JsonFields::any(const std::string& key) {
  known_.push_back(key);
  if (error_.has_value()) return nullptr;
  const auto found = json_.find(key);
  return found == json_.end() || found->is_null() ? nullptr : &*found;
}

void JsonFields::integer(const std::string& key, int64_t min, int64_t max, int64_t& value) {
  const Json* found = any(key);
  if (found == nullptr) return;
  // 16.0 is whole as well; a number beyond int64_t is none.
  const double x = found->is_number() ? found->get<double>() : std::nan("");
  const bool is_whole = found->is_number() && std::floor(x) == x && std::abs(x) < 9e18;
  const int64_t whole = !is_whole                  ? 0
                        : found->is_number_float() ? static_cast<int64_t>(x)
                                                   : found->get<int64_t>();
  if (!is_whole || whole < min || whole > max) {
    return fail(key, fmt::format(" = {}, want a whole number in {}..{}", shown(*found), min, max));
  }
  value = whole;
}

void JsonFields::number(const std::string& key, double min, double max, double& value) {
  const Json* found = any(key);
  if (found == nullptr) return;
  const double x = found->is_number() ? found->get<double>() : std::nan("");
  if (!(x >= min && x <= max)) {
    return fail(key, fmt::format(" = {}, want a number in {}..{}", shown(*found), min, max));
  }
  value = x;
}

void JsonFields::flag(const std::string& key, bool& value) {
  const Json* found = any(key);
  if (found == nullptr) return;
  if (!found->is_boolean()) {
    return fail(key, fmt::format(" = {}, want true or false", shown(*found)));
  }
  value = found->get<bool>();
}

void JsonFields::text(const std::string& key, std::string& value) {
  const Json* found = any(key);
  if (found == nullptr) return;
  if (!found->is_string()) return fail(key, fmt::format(" = {}, want a text", shown(*found)));
  value = found->get<std::string>();
}

void JsonFields::only(const std::string& key, const Json& value, const std::string& wanted) {
  const Json* found = any(key);
  if (found == nullptr || *found == value) return;
  fail(key, fmt::format(" = {} is not offered, want {}", shown(*found), wanted));
}

ApiResult<void> JsonFields::finish() const {
  if (error_.has_value()) return std::unexpected(*error_);
  for (const auto& [key, value] : json_.items()) {
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    const auto nearest = nearest_name(key, known_);
    const std::string hint = nearest.has_value() ? fmt::format(", did you mean {}?", *nearest) : "";
    return refuse(where_ + key, fmt::format("{}{} = {} is not known{}", where_, one_line(key),
                                            shown(value), hint));
  }
  return {};
}

}  // namespace dovetail::serve
