#include "app/command.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <set>

#include <fmt/format.h>

#include "app/terminal.h"

namespace dovetail::app {
namespace {

using Clock = std::chrono::steady_clock;

struct ProgressState {
  std::string phase;  // first word of `what`, which starts a new line elsewhere than a terminal
  Clock::time_point phase_start = Clock::now();
  Clock::time_point last_print;
  std::set<std::string> seen;  // phases announced elsewhere than on a terminal
  bool line_open = false;
};

ProgressState& progress_state() {
  static ProgressState state;
  return state;
}

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

std::string time_left(double elapsed_s, double done_frac) {
  constexpr double kTooEarly = 0.02;
  if (done_frac < kTooEarly) return "";
  const double left_s = elapsed_s * (1.0 - done_frac) / done_frac;
  if (left_s < 90) return fmt::format(", {:.0f} s left", left_s);
  return fmt::format(", {:.0f} min left", left_s / 60);
}

// The part of a message before its first number or colon names the phase.
std::string phase_of(const std::string& what) {
  return what.substr(0, what.find_first_of("0123456789:,("));
}

}  // namespace

void print_line(const std::string& text) {
  std::fputs((text + "\n").c_str(), stdout);
}

void print_json(const Json& json) {
  print_line(json.dump(2));
}

void end_progress() {
  ProgressState& state = progress_state();
  if (state.line_open) std::fputs("\r\033[K", stderr);
  state.line_open = false;
}

ProgressSink terminal_progress() {
  const bool terminal = rewrites_lines(STDERR_FILENO);
  return [terminal](const Progress& progress) {
    ProgressState& state = progress_state();
    const auto now = Clock::now();
    const std::string phase = phase_of(progress.what);
    const bool new_phase = phase != state.phase;
    if (new_phase) {
      state.phase = phase;
      state.phase_start = now;
    }
    if (!terminal) {
      if (state.seen.insert(phase).second) {
        std::fputs(fmt::format("{}\n", progress.what).c_str(), stderr);
      }
      return;
    }
    constexpr double kMinSecondsBetweenPrints = 0.1;
    if (!new_phase && seconds_between(state.last_print, now) < kMinSecondsBetweenPrints) return;
    state.last_print = now;
    state.line_open = true;
    // A phase that cannot tell how far it is reports nothing done: no "0 %" that never moves.
    const std::string share =
        progress.done_frac > 0
            ? fmt::format(" {:3.0f} %{}", 100 * progress.done_frac,
                          time_left(seconds_between(state.phase_start, now), progress.done_frac))
            : "";
    std::fputs(fmt::format("\r\033[K{}{}", progress.what, share).c_str(), stderr);
    std::fflush(stderr);
  };
}

int exit_code(const Error& error) {
  const bool wrong_input =
      error.code == ErrorCode::kInvalidArgument || error.code == ErrorCode::kNotFound;
  return wrong_input ? 2 : 1;
}

}  // namespace dovetail::app
