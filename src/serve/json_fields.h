// Members of a JSON object with their types and ranges. Keeps the first error, which names key,
// value and what was wanted; a member that nobody asked for is an error as well, because an answer
// must not leave out silently what the client asked for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "serve/api_error.h"

namespace dovetail::serve {

class JsonFields {
 public:
  // `json` must outlive this. `where` stands in front of keys: "messages[0].", empty at the top.
  explicit JsonFields(const Json& json, std::string where = {});

  // Absent and null leave the value as it is.
  void integer(const std::string& key, int64_t min, int64_t max, int64_t& value);
  void number(const std::string& key, double min, double max, double& value);
  void flag(const std::string& key, bool& value);
  void text(const std::string& key, std::string& value);
  // The member, null if absent or null.
  [[nodiscard]] const Json* any(const std::string& key);
  // Members that are taken and mean nothing here.
  void ignore(const std::string& key) { known_.push_back(key); }
  // A member that must be absent, null or this, because nothing else is offered.
  void only(const std::string& key, const Json& value, const std::string& wanted);

  void fail(const std::string& key, const std::string& problem);
  // The first error met, else a member that is not known.
  [[nodiscard]] ApiResult<void> finish() const;

 private:
  const Json& json_;
  std::string where_;
  std::vector<std::string> known_;
  std::optional<ApiError> error_;
};

// A value as an error shows it: its JSON, shortened.
[[nodiscard]] std::string shown(const Json& value);

}  // namespace dovetail::serve
