// Remembers results twice: in the study's own database, and in the user's cache, where other
// studies of the same model find them. The study's database alone holds all that its report needs.
//
// Many processes may work on one study: every piece is claimed before it is computed
// (record/work_queue.h), so each is computed once, and all go on with the same values.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "base/result.h"
#include "record/study_db.h"
#include "record/work_queue.h"

namespace dovetail::study {

// One result that can be computed without the others of its list.
struct Piece {
  std::string kind;
  Json input;  // all that the result depends on
  std::function<Result<Json>()> compute;
  bool shared = false;  // also kept in the user's cache
};

class Memory {
 public:
  // `study_path` must be usable; a shared cache that cannot be opened is left out.
  [[nodiscard]] static Result<Memory> open(const std::string& study_path,
                                           const std::string& shared_path,
                                           record::WorkQueueParams params = {});

  // The results of all pieces, in order. This process computes those that are not stored and that
  // no other is at, the first ones first, then waits for the others or takes over from the dead.
  // A piece may remember pieces of other kinds while it computes, never its own kind.
  // on_done(done, total): whenever another result is there. Errors: of computing (the piece is free
  // for others then), kIo, damage.
  using OnDone = std::function<void(int64_t done, int64_t total)>;
  [[nodiscard]] Result<std::vector<Json>> remember_all(const std::vector<Piece>& pieces,
                                                       const OnDone& on_done = {});
  [[nodiscard]] Result<Json> remember(const Piece& piece);
  // The same for results that are asked for later.
  [[nodiscard]] Status work_through(const std::vector<Piece>& pieces, const OnDone& on_done = {});
  // What is stored in the study or in the shared cache, or nothing.
  [[nodiscard]] Result<std::optional<Json>> find(std::string_view kind, const Json& input) const;

  [[nodiscard]] record::StudyDb& study() { return study_; }

 private:
  Memory(record::StudyDb study, std::optional<record::StudyDb> shared, record::WorkQueue queue)
      : study_(std::move(study)), shared_(std::move(shared)), queue_(std::move(queue)) {}
  // The value if it is stored now or could be computed here; nothing if another is at it.
  [[nodiscard]] Result<std::optional<Json>> attempt(const Piece& piece);
  [[nodiscard]] Result<Json> compute(const Piece& piece);
  record::StudyDb study_;
  std::optional<record::StudyDb> shared_;
  record::WorkQueue queue_;
};

}  // namespace dovetail::study
