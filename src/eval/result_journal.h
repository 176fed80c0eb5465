// Answers that were paid for, in a file that only grows: a process that is killed loses what it had
// not yet appended, nothing else.
//
// One line an entry: key, value, and the first 16 digits of the SHA-256 of both. Lines that were
// torn or altered are passed over. Several processes may append to one file.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace dovetail::eval {

class ResultJournal {
 public:
  // Opens or creates `folder`/<first 32 digits of the SHA-256 of identity>.journal, whose entries
  // belong to that identity. Errors: kIo naming the file; kInvalidArgument if it belongs to another
  // identity.
  [[nodiscard]] static Result<ResultJournal> open(const std::string& folder,
                                                  const std::string& identity);
  ResultJournal(ResultJournal&& other) noexcept;
  ResultJournal& operator=(ResultJournal&& other) noexcept;
  ~ResultJournal();

  // Null if it is not there.
  [[nodiscard]] const std::string* find(const std::string& key) const;
  // On disk before this returns; what is there already stays. Keys and values are one word or more
  // of printable ASCII; keys are one word. Errors: kIo.
  using Entry = std::pair<std::string, std::string>;
  [[nodiscard]] Status append(const std::vector<Entry>& entries);

  [[nodiscard]] int64_t size() const { return std::ssize(entries_); }
  [[nodiscard]] int64_t damaged_lines() const { return damaged_lines_; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  ResultJournal() = default;
  Status read(const std::string& identity);
  Status write(const std::string& text);

  std::string path_;
  int file_ = -1;
  int64_t damaged_lines_ = 0;
  std::map<std::string, std::string, std::less<>> entries_;
};

}  // namespace dovetail::eval
