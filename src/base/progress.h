// Progress of long work, reported through a sink so that library code never prints.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace dovetail {

struct Progress {
  std::string what;      // "profiling mlp_down of layer 3"
  double done_frac = 0;  // 0..1
};

// May be empty. Called from the thread that does the work, at most a few times a second per phase.
using ProgressSink = std::function<void(const Progress&)>;

inline void report_progress(const ProgressSink& sink, const std::string& what, double done_frac) {
  if (sink) sink(Progress{what, done_frac});
}

}  // namespace dovetail
