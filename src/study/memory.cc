#include "study/memory.h"

#include <filesystem>

namespace dovetail::study {

Result<Memory> Memory::open(const std::string& study_path, const std::string& shared_path) {
  DOVETAIL_TRY(record::StudyDb study, record::StudyDb::open(study_path));
  std::error_code code;
  std::filesystem::create_directories(std::filesystem::path(shared_path).parent_path(), code);
  std::optional<record::StudyDb> shared;
  if (auto opened = record::StudyDb::open(shared_path)) shared = std::move(opened).value();
  return Memory(std::move(study), std::move(shared));
}

}  // namespace dovetail::study
