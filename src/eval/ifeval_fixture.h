// Tests only: IFEval's files, and what lm-eval says of responses
// (tests/oracles/make_ifeval_fixtures.py).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/hash.h"
#include "eval/fixtures.h"
#include "eval/ifeval_checker.h"
#include "model/file_set.h"

namespace dovetail::eval {

// Read once. Nothing, with the reason, where `dovetail pull ifeval` has not run.
inline std::shared_ptr<const IfevalTools> ifeval_tools(std::string& missing) {
  using Tools = std::shared_ptr<const IfevalTools>;
  static const Result<Tools> kTools = []() -> Result<Tools> {
    DOVETAIL_TRY(const auto files, model::read_file_set("ifeval"));
    DOVETAIL_TRY(IfevalTools tools, IfevalTools::create(files));
    return std::make_shared<const IfevalTools>(std::move(tools));
  }();
  if (kTools.has_value()) return *kTools;
  missing = kTools.error().message;
  if (kTools.error().code != ErrorCode::kNotFound) ADD_FAILURE() << missing;
  return nullptr;
}

inline std::string sha_of_parts(const std::vector<std::string>& parts) {
  std::string joined;
  for (size_t i = 0; i < parts.size(); ++i)
    joined += (i == 0 ? "" : std::string("\n\0", 2)) + parts[i];
  return sha256_hex(joined).substr(0, 16);
}

// One verdict each of `packed`: four a hexadecimal digit.
inline std::vector<bool> unpacked(const std::string& packed) {
  std::vector<bool> flags;
  for (const char digit : packed) {
    const int value = std::stoi(std::string(1, digit), nullptr, 16);
    for (int bit = 3; bit >= 0; --bit) flags.push_back(((value >> bit) & 1) != 0);
  }
  return flags;
}

}  // namespace dovetail::eval
