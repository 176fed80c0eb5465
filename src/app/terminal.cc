#include "app/terminal.h"

#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace dovetail::app {
namespace {

ColorChoice& color_choice() {
  static ColorChoice choice = ColorChoice::kAuto;
  return choice;
}

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

std::string painted(const char* code, const std::string& text, int fd) {
  return shows_color(fd) ? code + text + "\033[0m" : text;
}

}  // namespace

void set_color(ColorChoice choice) {
  color_choice() = choice;
}

bool rewrites_lines(int fd) {
  const std::string_view term = environment("TERM");
  return ::isatty(fd) == 1 && !term.empty() && term != "dumb";
}

bool shows_color(int fd) {
  if (color_choice() != ColorChoice::kAuto) return color_choice() == ColorChoice::kAlways;
  return rewrites_lines(fd) && environment("NO_COLOR").empty();
}

std::string bold(const std::string& text, int fd) {
  return painted("\033[1m", text, fd);
}

std::string red(const std::string& text, int fd) {
  return painted("\033[1;31m", text, fd);
}

}  // namespace dovetail::app
