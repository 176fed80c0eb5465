// Repairs a damaged study database: the good rows move to a new file, the damaged file is kept.
// Private to this folder.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "record/sqlite_file.h"

namespace dovetail::record {

// Held by everyone who has a database of a folder open, so that none is moved away below them.
// Not the file's own lock: closing any other descriptor of it would drop SQLite's locks.
class FolderLock {
 public:
  // Shared. Never fails: where the folder cannot be locked, salvage refuses to run.
  [[nodiscard]] static FolderLock shared(const std::string& file_path);
  [[nodiscard]] static FolderLock none() { return FolderLock(-1); }
  // Alone, within a few seconds. Errors: kIo.
  [[nodiscard]] static Result<FolderLock> exclusive(const std::string& file_path);
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&& other) noexcept;
  ~FolderLock();

 private:
  explicit FolderLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

struct Salvaged {
  int64_t num_kept = 0;      // rows whose sum (or, in an older layout, JSON) is right
  int64_t num_lost = 0;      // rows that were found and are damaged
  std::string set_aside_at;  // where the damaged file is now; empty if another process repaired it
};

// True if SQLite finds every page in order. Errors: other than damage.
[[nodiscard]] Result<bool> is_sound(const SqliteFile& file);

// Whatever moment it is killed at, opening the file again finds the old one or the salvaged one.
// Errors: kIo (no space, another process has the file open).
[[nodiscard]] Result<Salvaged> salvage(const std::string& path);

// To call before opening: a salvage that was killed between its two renames is ended.
[[nodiscard]] Status end_interrupted_salvage(const std::string& path);

}  // namespace dovetail::record
