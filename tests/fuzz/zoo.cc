// The list of models that can be fetched.
#include "model/zoo.h"

#include <cstdlib>

#include "config_checks.h"

namespace dovetail::fuzz {

void fuzz_zoo(std::string_view input) {
  const std::string path = write_scratch("data/models/zoo.toml", input);
  ::setenv("DOVETAIL_HOME", scratch_folder().c_str(), 1);
  const auto zoo = model::load_zoo();
  if (!zoo.has_value()) {
    require_good_error(zoo.error(), path);
    return;
  }
  note_accepted();
  for (const model::ZooEntry& entry : *zoo) require_sound_config(entry);
  const auto unknown = model::resolve_model("a name that no list holds \n");
  if (!unknown.has_value()) require_good_error(unknown.error());
}

}  // namespace dovetail::fuzz
