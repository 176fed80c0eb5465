// For tests: a folder of this process alone. Tests run side by side, one process each, and must not
// meet in a folder of a fixed name.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <string>

namespace dovetail {

// Made empty when it is first asked for, removed at the end of the process. Below the system's
// folder for temporary files.
inline const std::filesystem::path& test_folder() {
  struct Folder {
    pid_t owner = ::getpid();
    std::filesystem::path path =
        std::filesystem::temp_directory_path() / ("dovetail_test_" + std::to_string(::getpid()));
    Folder() {
      std::filesystem::remove_all(path);
      std::filesystem::create_directories(path);
    }
    ~Folder() {
      if (::getpid() != owner) return;  // a forked child that ends
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
  };
  static const Folder folder;
  return folder.path;
}

}  // namespace dovetail
