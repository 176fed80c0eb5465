// The study database: one SQLite file that holds every expensive result of a study.
//
// A result is a row keyed by its kind and by the SHA-256 of the JSON that produced it, so a killed
// study finds what it had and repeats nothing. Each row is one transaction; what survives a kill, a
// power loss, damage and a full disk: docs/robustness.md.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "base/result.h"
#include "record/schema.h"
#include "record/sqlite_file.h"

namespace dovetail::record {

// SHA-256 of the JSON's text; keys keep their order, so build inputs the same way every time.
[[nodiscard]] std::string key_of(const Json& input);
// "kl/<key>": how a record names the row behind a number.
[[nodiscard]] std::string row_name(std::string_view kind, const Json& input);

class StudyDb {
 public:
  // Opens or creates; an older layout becomes today's. A damaged file is set aside and its good
  // rows move to a new one; notices() says so. Errors: kIo (unwritable folder, full disk, damaged
  // while another process has it open), kInvalidArgument (not a study database, a newer layout),
  // naming the file and what to do.
  [[nodiscard]] static Result<StudyDb> open(const std::string& path,
                                            Durability durability = Durability::kEveryRow);
  StudyDb(StudyDb&&) noexcept;
  StudyDb& operator=(StudyDb&&) noexcept;
  ~StudyDb();

  // The stored value, or nothing. A row whose sum is wrong is kept apart in the file and counts as
  // missing; notices() names it. Errors: kIo, damage.
  [[nodiscard]] Result<std::optional<Json>> get(std::string_view kind, const Json& input) const;
  // Stores or replaces. Errors: kIo.
  [[nodiscard]] Status put(std::string_view kind, const Json& input, const Json& value);
  // Stores unless a row is there, and returns what stands then: when two processes computed the
  // same, both go on with the same. Errors: kIo.
  [[nodiscard]] Result<Json> add(std::string_view kind, const Json& input, Json value);
  // As add(), and ends the lease of `worker` in the same transaction (work_queue.h). A lease that
  // another has taken over stays with it. Errors: kIo.
  [[nodiscard]] Result<Json> finish(std::string_view kind, const Json& input, Json value,
                                    const std::string& worker);
  // Every value of a kind, ordered by key. Errors: kIo, damage.
  [[nodiscard]] Result<std::vector<Json>> all(std::string_view kind) const;

  // The stored value, or compute() stored and returned.
  template <typename Compute>
  [[nodiscard]] Result<Json> remember(std::string_view kind, const Json& input, Compute&& compute) {
    DOVETAIL_TRY(std::optional<Json> stored, get(kind, input));
    if (stored.has_value()) return *std::move(stored);
    Result<Json> value = compute();
    if (!value.has_value()) return value;
    return add(kind, input, *std::move(value));
  }

  // Facts about the study as a whole. Errors: kIo.
  [[nodiscard]] Result<std::optional<std::string>> meta(std::string_view key) const;
  [[nodiscard]] Status set_meta(std::string_view key, std::string_view value);

  // What was repaired since opening, one sentence each.
  [[nodiscard]] const std::vector<std::string>& notices() const;

 private:
  struct Impl;
  explicit StudyDb(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dovetail::record
