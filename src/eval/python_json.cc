#include "eval/python_json.h"

#include <cstddef>
#include <string>

namespace dovetail::eval {
namespace {

constexpr size_t kMostDigits = 4300;  // sys.int_info.default_max_str_digits

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// Reads one value without recursion: open brackets are kept in a string.
class Reader {
 public:
  Reader(std::string_view text, JsonConstants constants) : text_(text), constants_(constants) {}

  bool is_document() {
    for (;;) {
      skip_spaces();
      if (take('{')) {
        if (!open('{', '}')) return false;
      } else if (take('[')) {
        if (!open('[', ']')) return false;
      } else {
        if (!scalar()) return false;
        value_done_ = true;
      }
      if (value_done_ && !close_or_continue()) return false;
      if (value_done_ && open_.empty()) return at_ == text_.size();
    }
  }

 private:
  bool at_end() const { return at_ >= text_.size(); }
  bool take(char c) {
    if (at_end() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  void skip_spaces() {
    while (!at_end() && std::string_view(" \t\n\r").find(text_[at_]) != std::string_view::npos) {
      ++at_;
    }
  }

  // Behind an opening bracket. An empty one is a value that is done.
  bool open(char bracket, char closing) {
    skip_spaces();
    value_done_ = take(closing);
    if (value_done_) return true;
    open_ += bracket;
    return bracket == '[' || key();
  }

  bool key() {
    skip_spaces();
    if (!string()) return false;
    skip_spaces();
    return take(':');
  }

  // Behind a value: closes brackets while it can. Leaves value_done_ false where another value must
  // follow.
  bool close_or_continue() {
    for (;;) {
      skip_spaces();
      if (open_.empty()) return true;
      const bool in_object = open_.back() == '{';
      if (take(',')) {
        value_done_ = false;
        return !in_object || key();
      }
      if (!take(in_object ? '}' : ']')) return false;
      open_.pop_back();
    }
  }

  bool scalar() {
    if (!at_end() && text_[at_] == '"') return string();
    if (take("null") || take("true") || take("false")) return true;
    if (constants_ == JsonConstants::kAllowed &&
        (take("NaN") || take("Infinity") || take("-Infinity"))) {
      return true;
    }
    return number();
  }

  bool string() {
    if (!take('"')) return false;
    while (!at_end()) {
      const char c = text_[at_++];
      if (c == '"') return true;
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c == '\\' && !escape()) return false;
    }
    return false;
  }

  bool escape() {
    if (at_end()) return false;
    const char c = text_[at_++];
    if (c != 'u') return std::string_view("\"\\/bfnrt").find(c) != std::string_view::npos;
    for (int i = 0; i < 4; ++i) {
      if (at_end() || !is_hex(text_[at_++])) return false;
    }
    return true;
  }

  size_t digits() {
    const size_t begin = at_;
    while (!at_end() && is_digit(text_[at_])) ++at_;
    return at_ - begin;
  }

  // Takes the longest number and leaves what follows, as "1." leaves a dot.
  bool number() {
    take('-');
    const bool is_zero = !at_end() && text_[at_] == '0';
    const size_t count = is_zero ? ++at_, 1 : digits();
    if (count == 0) return false;
    bool is_integer = true;
    const size_t before_fraction = at_;
    if (take('.') && digits() > 0)
      is_integer = false;
    else
      at_ = before_fraction;
    const size_t before_exponent = at_;
    if (take('e') || take('E')) {
      if (!take('-')) take('+');
      if (digits() > 0)
        is_integer = false;
      else
        at_ = before_exponent;
    }
    return !is_integer || count <= kMostDigits;
  }

  std::string_view text_;
  JsonConstants constants_;
  size_t at_ = 0;
  std::string open_;
  bool value_done_ = false;
};

}  // namespace

bool is_python_json(std::string_view text, JsonConstants constants) {
  return Reader(text, constants).is_document();
}

}  // namespace dovetail::eval
