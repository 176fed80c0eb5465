// Files and folders that appear whole or not at all: everything is written under "OUT.partial",
// which one process holds locked, and renamed at the end, after the disk has it.
//
// After a kill OUT does not exist and OUT.partial is stale: the next writer of OUT throws it away
// and starts anew. Nothing that is called OUT was ever incomplete.
#pragma once

#include <string>

#include "base/result.h"

namespace dovetail::checkpoint {

class StagedOutput {
 public:
  StagedOutput(const StagedOutput&) = delete;
  StagedOutput& operator=(const StagedOutput&) = delete;
  StagedOutput(StagedOutput&& other) noexcept;
  StagedOutput& operator=(StagedOutput&&) = delete;
  // Removes what was not published.
  ~StagedOutput();

  // Errors: kInvalidArgument if `out` exists, or another process is writing it; kIo.
  [[nodiscard]] static Result<StagedOutput> create_folder(const std::string& out);
  [[nodiscard]] static Result<StagedOutput> create_file(const std::string& out);

  // Where to write until publish(): a folder, or a file's name.
  [[nodiscard]] const std::string& path() const { return staged_; }
  [[nodiscard]] const std::string& out() const { return out_; }

  // Syncs everything and gives it its name. Errors: kInvalidArgument if `out` exists by now; kIo.
  [[nodiscard]] Status publish();

 private:
  StagedOutput(std::string out, std::string staged, int lock, bool is_folder)
      : out_(std::move(out)), staged_(std::move(staged)), lock_(lock), is_folder_(is_folder) {}
  [[nodiscard]] static Result<StagedOutput> create(const std::string& out, bool is_folder);

  std::string out_;
  std::string staged_;
  int lock_ = -1;  // an open file that is locked; -1 once moved from or published
  bool is_folder_ = false;
};

}  // namespace dovetail::checkpoint
