// Remembers results twice: in the study's own database, and in the user's cache, where other
// studies of the same model find them. The study's database alone holds all that its report needs.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/config.h"
#include "base/result.h"
#include "record/study_db.h"

namespace dovetail::study {

class Memory {
 public:
  // `study_path` must be usable; a shared cache that cannot be opened is left out.
  [[nodiscard]] static Result<Memory> open(const std::string& study_path,
                                           const std::string& shared_path);

  // From the study, else from the shared cache (and then copied to the study), else computed and
  // stored in both.
  template <typename Compute>
  [[nodiscard]] Result<Json> remember(std::string_view kind, const Json& input, Compute&& compute) {
    return study_.remember(kind, input, [&]() -> Result<Json> {
      if (!shared_.has_value()) return compute();
      return shared_->remember(kind, input, compute);
    });
  }

  [[nodiscard]] record::StudyDb& study() { return study_; }

 private:
  Memory(record::StudyDb study, std::optional<record::StudyDb> shared)
      : study_(std::move(study)), shared_(std::move(shared)) {}
  record::StudyDb study_;
  std::optional<record::StudyDb> shared_;
};

}  // namespace dovetail::study
