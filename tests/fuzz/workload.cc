// A workload: its file, and what it costs on the reference chips.
#include "recipe/workload.h"

#include "config_checks.h"
#include "cost_checks.h"

namespace dovetail::fuzz {

void fuzz_workload(std::string_view input) {
  const auto workload = read_soundly<recipe::Workload>(input);
  if (!workload.has_value()) return;
  note_accepted();
  require_finite_costs(reference_chip(), large_shape(), *workload);
}

}  // namespace dovetail::fuzz
