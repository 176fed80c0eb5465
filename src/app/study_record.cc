#include "app/study_record.h"

#include <filesystem>

#include "base/json_text.h"
#include "base/paths.h"
#include "record/study_db.h"

namespace dovetail::app {
namespace {

constexpr int64_t kMaxRecordBytes = int64_t{1} << 30;

}  // namespace

Result<Json> load_study_record(const std::string& study) {
  if (std::filesystem::is_regular_file(study)) {
    DOVETAIL_TRY(const std::string text, read_text_file(study, kMaxRecordBytes));
    return parse_json(text, study);
  }
  const std::string path = study + "/study.db";
  if (!std::filesystem::is_regular_file(path)) {
    return not_found(path + ": not found, want the folder of a finished study");
  }
  DOVETAIL_TRY(const record::StudyDb db, record::StudyDb::open(path));
  DOVETAIL_TRY(std::vector<Json> records, db.all("study"));
  if (records.empty()) {
    return invalid_argument(path +
                            ": holds no finished study; run dovetail optimize again, it "
                            "continues where it stopped");
  }
  return std::move(records.front());
}

}  // namespace dovetail::app
