// A cache folder of its own and a `python3` that plays the package index, for tests that fetch
// without a network.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/test_folder.h"

namespace dovetail::model {

class FakePythonTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = test_folder() / "fake_python_test";
    std::filesystem::create_directories(folder_ / "bin");
    std::filesystem::create_directories(folder_ / "data");
    ::setenv("DOVETAIL_CACHE", (folder_ / "cache").c_str(), 1);
    path_ = std::getenv("PATH");
  }
  void TearDown() override {
    ::unsetenv("DOVETAIL_CACHE");
    ::unsetenv("DOVETAIL_HOME");
    ::setenv("PATH", path_.c_str(), 1);
    std::filesystem::remove_all(folder_);
  }
  // `script` is for the shell; the real interpreters stay behind it in PATH.
  void fake_python(const std::string& script) {
    const auto file = folder_ / "bin" / "python3";
    std::ofstream(file) << "#!/bin/sh\n" << script;
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
    ::setenv("PATH", ((folder_ / "bin").string() + ":" + path_).c_str(), 1);
  }
  // data/NAME of the program is this text from now on, and nothing else of data is there.
  void write_data(const std::string& name, const std::string& text) {
    const auto file = folder_ / "data" / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
    ::setenv("DOVETAIL_HOME", folder_.c_str(), 1);
  }
  std::filesystem::path folder_;

 private:
  std::string path_;
};

}  // namespace dovetail::model
