// One bar for a list of pieces, each of which reports phases of its own: the share of the list that
// is done counts, so that time left can be told; what runs inside a piece only names itself.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/progress.h"

namespace dovetail::study {

class ListProgress {
 public:
  // what: names the list, as "settling at measured loss".
  ListProgress(std::string what, ProgressSink outer);
  // For what runs inside the pieces. Outlives this object.
  [[nodiscard]] ProgressSink inside() const;
  // For who works through the list: `done` of `total` pieces are there.
  [[nodiscard]] std::function<void(int64_t done, int64_t total)> counter() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace dovetail::study
