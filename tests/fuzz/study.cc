// A study file, its menu and its space.
#include "config_checks.h"
#include "study/study_config.h"

namespace dovetail::fuzz {

void fuzz_study(std::string_view input) {
  const std::string path = write_scratch("study.toml", input);
  const auto study = study::load_study(path);
  if (!study.has_value()) {
    require_good_error(study.error(), path);
    return;
  }
  require_sound_config(*study);
  note_accepted();
  const auto menu = study::make_menu(study->menu);
  require(menu.has_value(), "the menu of an accepted study can be made");
  require(!menu->linear.empty() && menu->linear[0] == recipe::LinearTreatment{},
          "bf16 stands first");
  if (!study->space.has_value()) return;
  const int64_t count = search::num_chips(*study->space);
  require(count >= 1, "an accepted space holds a chip");
  for (const int64_t index : {int64_t{0}, count / 2, count - 1}) {
    const chip::Chip chip = search::chip_at(*study->space, index);
    RangeCheck check;
    chip::Chip::visit(check, chip);
  }
}

}  // namespace dovetail::fuzz
