// The study database: one SQLite file that holds every expensive result of a study.
//
// A result is a row keyed by its kind and by the SHA-256 of the JSON that produced it, so a killed
// study finds what it had and repeats nothing. Each row is one transaction; the journal is a
// write-ahead log with synchronous = FULL, so a row that was reported as written survives power
// loss.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "base/result.h"

namespace dovetail::record {

inline constexpr int kSchemaVersion = 1;

// SHA-256 of the JSON's text; keys keep their order, so build inputs the same way every time.
[[nodiscard]] std::string key_of(const Json& input);

class StudyDb {
 public:
  // Opens or creates. Errors: kIo (unwritable folder, full disk), kInvalidArgument (not a study
  // database, another schema version), naming the file and what was wanted.
  [[nodiscard]] static Result<StudyDb> open(const std::string& path);
  StudyDb(StudyDb&&) noexcept;
  StudyDb& operator=(StudyDb&&) noexcept;
  ~StudyDb();

  // The stored value, or nothing. Errors: kIo, kInvalidArgument (a damaged row, named).
  [[nodiscard]] Result<std::optional<Json>> get(std::string_view kind, const Json& input) const;
  // Stores or replaces. Errors: kIo.
  [[nodiscard]] Status put(std::string_view kind, const Json& input, const Json& value);
  // Every value of a kind, ordered by key. Errors: kIo, kInvalidArgument.
  [[nodiscard]] Result<std::vector<Json>> all(std::string_view kind) const;

  // The stored value, or compute() stored and returned.
  template <typename Compute>
  [[nodiscard]] Result<Json> remember(std::string_view kind, const Json& input, Compute&& compute) {
    DOVETAIL_TRY(std::optional<Json> stored, get(kind, input));
    if (stored.has_value()) return *std::move(stored);
    Result<Json> value = compute();
    if (!value.has_value()) return value;
    DOVETAIL_TRY_STATUS(put(kind, input, *value));
    return value;
  }

 private:
  struct Impl;
  explicit StudyDb(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dovetail::record
