#include "model/piece_encoder.h"

#include <array>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <mutex>
#include <string>

#include <fmt/format.h>

#include "base/line_process.h"
#include "model/pre_tokenizer.h"

namespace dovetail::model {
namespace {

// Behind a serialized model: normalizer_spec.add_dummy_prefix = false. Fields of a protocol buffer
// that come later win, so that `append` alone says where a space is added.
constexpr std::string_view kNoAddedSpace("\x1a\x02\x18\x00", 4);

constexpr LineLimits kLimits{.max_seconds = 300, .max_bytes = int64_t{1} << 32};

std::string to_hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string digits;
  digits.reserve(2 * bytes.size());
  for (const char c : bytes) {
    const auto byte = static_cast<uint8_t>(c);
    digits += kDigits[byte >> 4];
    digits += kDigits[byte & 15];
  }
  return digits;
}

std::vector<int64_t> numbers_of(std::string_view text) {
  std::vector<int64_t> numbers;
  for (const char* at = text.data(); at < text.data() + text.size();) {
    int64_t number = -1;
    const auto [end, wrong] = std::from_chars(at, text.data() + text.size(), number);
    DOVETAIL_CHECK(wrong == std::errc());  // our own program wrote it
    numbers.push_back(number);
    at = end + 1;
  }
  return numbers;
}

// What the library does not look at itself.
Status check_pieces(const PieceModel& model) {
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    const Piece& piece = model.pieces[id];
    if (std::isfinite(piece.score) && piece.text.find('\0') == std::string::npos) continue;
    return invalid_argument(fmt::format("{}: piece {} has the score {} or holds a zero byte",
                                        model.source, id, piece.score));
  }
  return {};
}

// Stands beside the program that runs.
Result<LineProcess> start_library() {
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  const std::string path = (program.parent_path() / "dovetail_pieces").string();
  if (!std::filesystem::exists(path, ignored))
    return unavailable(path + " is missing; build the target dovetail_pieces");
  return LineProcess::start({path});
}

}  // namespace

struct PieceEncoder::Impl {
  LineProcess library;
  bool adds_space = false;
  std::array<int32_t, 256> byte_ids = {};
  mutable std::mutex one_at_a_time = {};
};

PieceEncoder::PieceEncoder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PieceEncoder::PieceEncoder(PieceEncoder&&) noexcept = default;
PieceEncoder::~PieceEncoder() = default;

Result<PieceEncoder> PieceEncoder::create(const PieceModel& model) {
  DOVETAIL_TRY_STATUS(check_pieces(model));
  DOVETAIL_TRY(LineProcess library, start_library());
  const auto said = library.ask(to_hex(model.serialized + std::string(kNoAddedSpace)), kLimits);
  if (!said.has_value() || !said->starts_with("ok ")) {
    return invalid_argument(fmt::format("{}: no SentencePiece model: {}", model.source,
                                        said.has_value() ? *said : said.error().message));
  }
  const std::vector<int64_t> facts = numbers_of(std::string_view(*said).substr(3));
  DOVETAIL_CHECK(facts.size() == 2);
  if (facts[0] != std::ssize(model.pieces)) {
    return invalid_argument(fmt::format("{}: the SentencePiece library reads {} pieces, want {}",
                                        model.source, facts[0], model.pieces.size()));
  }
  auto impl = std::unique_ptr<Impl>(
      new Impl{.library = std::move(library), .adds_space = model.adds_space});
  impl->byte_ids.fill(static_cast<int32_t>(facts[1]));
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    if (model.pieces[id].kind != PieceKind::kByte) continue;
    const std::string byte = piece_bytes(model.pieces[id]);
    if (byte.size() == 1) impl->byte_ids[static_cast<uint8_t>(byte[0])] = static_cast<int32_t>(id);
  }
  return PieceEncoder(std::move(impl));
}

void PieceEncoder::append(std::string_view text, bool at_start, std::vector<int32_t>& ids) const {
  const std::lock_guard lock(impl_->one_at_a_time);
  std::string space = at_start && impl_->adds_space ? " " : "";
  while (!text.empty()) {
    const size_t valid = valid_utf8_prefix(text);
    const std::string whole = space + std::string(text.substr(0, valid));
    if (!whole.empty()) {
      const auto said = impl_->library.ask(to_hex(whole), kLimits);
      DOVETAIL_CHECK(said.has_value());  // a model that is loaded encodes every text
      for (const int64_t id : numbers_of(*said)) ids.push_back(static_cast<int32_t>(id));
    }
    space.clear();
    if (valid == text.size()) return;
    ids.push_back(impl_->byte_ids[static_cast<uint8_t>(text[valid])]);
    text.remove_prefix(valid + 1);
  }
}

}  // namespace dovetail::model
