// A damaged study database: it opens, salvaged or not, and then works; or it says why not.
#include "record/study_db.h"

#include <filesystem>

#include "fuzz_target.h"

namespace dovetail::fuzz {
namespace {

void require_works(record::StudyDb& db, const std::string& path) {
  note_accepted();
  for (const char* kind : {"study", "loss", "profile"}) {
    const auto values = db.all(kind);
    if (!values.has_value()) require_good_error(values.error(), path);
  }
  const auto schema = db.meta("schema_version");
  require(schema.has_value() && schema->has_value(), "an open database has a layout");
  const Json input = {{"fuzz", 1}};
  const auto value = db.remember("loss", input, [] { return Result<Json>(Json{{"loss", 0.5}}); });
  if (!value.has_value()) {
    require_good_error(value.error(), path);
    return;
  }
  const auto stored = db.get("loss", input);
  require(stored.has_value() && stored->has_value() && **stored == *value,
          "what is stored is found again");
}

}  // namespace

void fuzz_study_db(std::string_view input) {
  const std::string folder = scratch_folder() + "/db";
  std::error_code code;
  std::filesystem::remove_all(folder, code);
  const std::string path = write_scratch("db/study.db", input);
  auto db = record::StudyDb::open(path, record::Durability::kCheckpoint);
  if (!db.has_value()) {
    require_good_error(db.error(), path);
    require(std::filesystem::file_size(path, code) > 0 || input.empty(),
            "a database that is refused is still there");
    return;
  }
  require_works(*db, path);
}

}  // namespace dovetail::fuzz
