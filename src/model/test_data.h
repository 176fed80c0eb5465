// Where the tests of this folder find data that is not part of the repository.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/paths.h"

namespace dovetail::model {

// $DOVETAIL_DATA, else ../shared/data beside the working directory of the tests.
inline std::string test_data(const std::string& path) {
  const char* folder = std::getenv("DOVETAIL_DATA");
  return std::string(folder == nullptr ? "../shared/data" : folder) + "/" + path;
}

inline std::string zoo_file(const std::string& name) {
  return cache_folder() + "/models/" + name + "/model.gguf";
}

inline bool exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

}  // namespace dovetail::model

#define DOVETAIL_SKIP_WITHOUT(path) \
  if (!::dovetail::model::exists(path)) GTEST_SKIP() << "NOT TESTED: " << (path) << " is absent"
