// dovetail_pieces: runs the SentencePiece library for model/piece_encoder.h, which starts it; users
// do not. A process of its own, because the library of Debian carries symbols of another protobuf
// than libtorch's, and because a hostile model then ends this process alone.
//
// One line in, one line out, bytes as hexadecimal digits. The first line is a serialized model; the
// answer "ok", the number of pieces and the id of the unknown one, or what is wrong. Each later
// line is a text; the answer its ids.
#include <sentencepiece_processor.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

namespace {

int value_of(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : 0;
}

std::string from_hex(const std::string& digits) {
  std::string bytes;
  for (size_t i = 0; i + 1 < digits.size(); i += 2)
    bytes += static_cast<char>(value_of(digits[i]) * 16 + value_of(digits[i + 1]));
  return bytes;
}

std::string load(sentencepiece::SentencePieceProcessor& library, const std::string& model) {
  try {
    const auto status = library.LoadFromSerializedProto(model);
    if (!status.ok()) return status.ToString();
  } catch (const std::exception& wrong) {
    return wrong.what();
  }
  return "ok " + std::to_string(library.GetPieceSize()) + " " + std::to_string(library.unk_id());
}

std::string encode(const sentencepiece::SentencePieceProcessor& library, const std::string& text) {
  std::vector<int> ids;
  const auto status = library.Encode(text, &ids);
  if (!status.ok()) return "error";
  std::string answer;
  for (const int id : ids) answer += (answer.empty() ? "" : " ") + std::to_string(id);
  return answer;
}

bool answer(std::string line) {
  for (char& c : line)
    if (c == '\n' || c == '\r') c = ' ';
  line += '\n';
  for (size_t sent = 0; sent < line.size();) {
    const ssize_t count = ::write(STDOUT_FILENO, line.data() + sent, line.size() - sent);
    if (count <= 0) return false;
    sent += static_cast<size_t>(count);
  }
  return true;
}

// The next line of standard input; false at its end.
bool take_line(std::string& pending, std::string& line) {
  std::vector<char> piece(size_t{1} << 16);
  size_t searched = 0;
  for (;;) {
    const size_t end = pending.find('\n', searched);
    if (end != std::string::npos) {
      line = pending.substr(0, end);
      pending.erase(0, end + 1);
      return true;
    }
    searched = pending.size();
    const ssize_t count = ::read(STDIN_FILENO, piece.data(), piece.size());
    if (count <= 0) return false;
    pending.append(piece.data(), static_cast<size_t>(count));
  }
}

}  // namespace

int main() {
  if (std::freopen("/dev/null", "w", stderr) == nullptr) return 1;  // it would mix with the answers
  sentencepiece::SentencePieceProcessor library;
  std::string pending;
  std::string line;
  for (bool loaded = false; take_line(pending, line);) {
    const std::string bytes = from_hex(line);
    const std::string said = loaded ? encode(library, bytes) : load(library, bytes);
    if (!answer(said)) return 1;
    loaded = loaded || said.starts_with("ok ");
  }
  return 0;
}
