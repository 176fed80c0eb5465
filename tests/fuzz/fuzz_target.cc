#include "fuzz_target.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

namespace dovetail::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLongestMessage = 3000;
int64_t accepted = 0;

class Folder {
 public:
  Folder() {
    std::error_code code;
    const fs::path memory = "/dev/shm";
    const fs::path parent = fs::is_directory(memory, code) && ::access(memory.c_str(), W_OK) == 0
                                ? memory
                                : fs::temp_directory_path();
    path_ = (parent / fmt::format("dovetail_fuzz_{}", ::getpid())).string();
    fs::create_directories(path_);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code code;
    fs::remove_all(path_, code);
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

void require(bool holds, std::string_view promise, const std::source_location& where) {
  if (holds) return;
  fmt::print(stderr, "broken promise: {} ({}:{})\n", promise, where.file_name(), where.line());
  std::fflush(stderr);
  std::abort();
}

void require_good_error(const Error& error) {
  if (error.message.empty() || error.message.size() > kLongestMessage) {
    fmt::print(stderr, "message of {} bytes: {:.300}\n", error.message.size(), error.message);
  }
  require(!error.message.empty(), "an error says something");
  require(error.message.size() <= kLongestMessage, "an error is short whatever the file holds");
  require(error.code != ErrorCode::kInternal, "wrong input is not called a bug: " + error.message);
  for (const char c : error.message) {
    const auto byte = static_cast<unsigned char>(c);
    require(byte >= 0x20 && byte != 0x7f, "an error is one line without control characters");
  }
  // Whoever stores an error as JSON must be able to.
  require(Json::accept(Json(error.message).dump(-1, ' ', false, Json::error_handler_t::ignore)),
          "an error can be stored");
  bool valid = true;
  try {
    (void)Json(error.message).dump();
  } catch (const Json::exception&) {
    valid = false;
  }
  require(valid, "an error is valid UTF-8");
}

void require_good_error(const Error& error, std::string_view file) {
  require_good_error(error);
  require(error.message.find(file) != std::string::npos,
          fmt::format("an error names the file {}: {}", file, error.message));
}

void note_accepted() {
  ++accepted;
}

int64_t num_accepted() {
  return accepted;
}

const std::string& scratch_folder() {
  static const Folder folder;
  return folder.path();
}

std::string write_scratch(const std::string& name, std::string_view bytes) {
  std::string path = scratch_folder() + "/" + name;
  std::error_code code;
  if (name.find('/') != std::string::npos) {
    fs::create_directories(fs::path(path).parent_path(), code);
  }
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  require(file.good(), "the scratch folder can be written");
  return path;
}

}  // namespace dovetail::fuzz
