// A chip: its file, and what it costs to run a model on it.
#include "chip/chip.h"

#include "config_checks.h"
#include "cost_checks.h"

namespace dovetail::fuzz {

void fuzz_chip(std::string_view input) {
  const std::string path = write_scratch("chip.toml", input);
  const auto chip = chip::load_chip(path);
  if (!chip.has_value()) {
    require_good_error(chip.error(), path);
    return;
  }
  require_sound_config(*chip);
  note_accepted();
  require_finite_costs(*chip, large_shape(),
                       {.name = "chat", .prompt_tokens = 512, .output_tokens = 64});
}

}  // namespace dovetail::fuzz
