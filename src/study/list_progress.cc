#include "study/list_progress.h"

#include <utility>

namespace dovetail::study {

struct ListProgress::State {
  std::string what;
  ProgressSink outer;
  double done_frac = 0;
};

ListProgress::ListProgress(std::string what, ProgressSink outer)
    : state_(std::make_shared<State>(State{std::move(what), std::move(outer)})) {}

ProgressSink ListProgress::inside() const {
  return [state = state_](const Progress& progress) {
    report_progress(state->outer, state->what + ": " + progress.what, state->done_frac);
  };
}

std::function<void(int64_t done, int64_t total)> ListProgress::counter() const {
  return [state = state_](int64_t done, int64_t total) {
    state->done_frac = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 1.0;
    report_progress(state->outer, state->what, state->done_frac);
  };
}

}  // namespace dovetail::study
