#include "study/memory.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>

namespace dovetail::study {
namespace {

// Between two looks at what other workers are at.
constexpr auto kPause = std::chrono::milliseconds(20);

}  // namespace

Result<Memory> Memory::open(const std::string& study_path, const std::string& shared_path,
                            record::WorkQueueParams params) {
  DOVETAIL_TRY(record::StudyDb study, record::StudyDb::open(study_path));
  DOVETAIL_TRY(record::WorkQueue queue, record::WorkQueue::open(study_path, std::move(params)));
  std::error_code code;
  std::filesystem::create_directories(std::filesystem::path(shared_path).parent_path(), code);
  std::optional<record::StudyDb> shared;
  if (auto opened = record::StudyDb::open(shared_path)) shared = std::move(opened).value();
  return Memory(std::move(study), std::move(shared), std::move(queue));
}

Result<std::optional<Json>> Memory::find(std::string_view kind, const Json& input) const {
  DOVETAIL_TRY(std::optional<Json> stored, study_.get(kind, input));
  if (stored.has_value() || !shared_.has_value()) return stored;
  return shared_->get(kind, input);
}

Result<Json> Memory::compute(const Piece& piece) {
  if (!piece.shared || !shared_.has_value()) return piece.compute();
  return shared_->remember(piece.kind, piece.input, piece.compute);
}

Result<std::optional<Json>> Memory::attempt(const Piece& piece) {
  DOVETAIL_TRY(std::optional<Json> stored, study_.get(piece.kind, piece.input));
  if (stored.has_value()) return stored;
  const std::string key = record::key_of(piece.input);
  DOVETAIL_TRY(const record::Claim claim, queue_.claim(piece.kind, key));
  if (claim != record::Claim::kOurs) return std::optional<Json>();
  Result<Json> value = compute(piece);
  if (!value.has_value()) {
    (void)queue_.release(piece.kind, key);
    return std::unexpected(std::move(value).error());
  }
  DOVETAIL_TRY(Json first,
               study_.finish(piece.kind, piece.input, *std::move(value), queue_.worker()));
  return std::optional<Json>(std::move(first));
}

Result<std::vector<Json>> Memory::remember_all(const std::vector<Piece>& pieces,
                                               const OnDone& on_done) {
  std::vector<std::optional<Json>> values(pieces.size());
  const int64_t total = std::ssize(pieces);
  int64_t done = 0;
  if (on_done) on_done(done, total);
  while (done < total) {
    bool progressed = false;
    for (size_t i = 0; i < pieces.size(); ++i) {
      if (values[i].has_value()) continue;
      DOVETAIL_TRY(values[i], attempt(pieces[i]));
      if (!values[i].has_value()) continue;
      progressed = true;
      ++done;
      if (on_done) on_done(done, total);
    }
    if (!progressed) std::this_thread::sleep_for(kPause);
  }
  std::vector<Json> all;
  for (std::optional<Json>& value : values) all.push_back(*std::move(value));
  return all;
}

Status Memory::work_through(const std::vector<Piece>& pieces, const OnDone& on_done) {
  DOVETAIL_TRY([[maybe_unused]] const std::vector<Json> values, remember_all(pieces, on_done));
  return {};
}

Result<Json> Memory::remember(const Piece& piece) {
  DOVETAIL_TRY(std::vector<Json> values, remember_all({piece}));
  return std::move(values.front());
}

}  // namespace dovetail::study
