#include "study/recipe_files.h"

#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "base/paths.h"
#include "model/off_grid.h"
#include "recipe/site.h"

namespace dovetail::study {
namespace {

namespace fs = std::filesystem;

// compress permutes by one seed of its own; another can only be named.
std::string permutation_note(int64_t seed) {
  if (seed == 0 || seed == int64_t{model::kOffGridSeed}) return "";
  return fmt::format("# The study permuted channels by seed {}, compress by {}.\n", seed,
                     model::kOffGridSeed);
}

std::string heading(const StudyConfig& config, const ProductConfig& product,
                    const ScenarioAnswer& answer, const recipe::Recipe& recipe,
                    const std::string& file) {
  return fmt::format(
      "# The joint answer of study {}: objective {}, at most {:g} nats, product {}.\n"
      "# dovetail compress {} --recipe {}{}{} --out MODEL_FOLDER\n{}\n",
      config.name, search::objective_name(answer.objective), answer.kl_cap_nats, product.name,
      product.model, file, config.off_grid_seed != 0 ? " --off-grid" : "",
      recipe::needs_calibration(recipe) ? " --text CALIBRATION.txt" : "",
      permutation_note(config.off_grid_seed));
}

Status write_answer(const StudyState& state, const ScenarioAnswer& answer,
                    const std::string& folder, std::set<std::string>& written) {
  for (size_t i = 0; i < state.products.size(); ++i) {
    const ProductState& product = state.products[i];
    const recipe::Recipe recipe = recipe_of(product, answer.joint.settled.candidate.treatments[i]);
    const std::string file =
        fmt::format("{}/{}@{:g}.{}.toml", folder, search::objective_name(answer.objective),
                    answer.kl_cap_nats, product.config.name);
    DOVETAIL_TRY_STATUS(
        write_text_file(file, heading(state.config, product.config, answer, recipe, file) +
                                  recipe::recipe_to_toml(recipe)));
    written.insert(file);
  }
  return {};
}

// Other workers of the study may be at it too: what is gone already is no error.
void remove_others(const std::string& folder, const std::set<std::string>& written) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.path().extension() == ".toml" && !written.contains(entry.path().string())) {
      fs::remove(entry.path(), ignored);
    }
  }
}

}  // namespace

Status write_recipe_files(const StudyStates& states, const std::vector<ScenarioAnswer>& answers,
                          const std::string& out_folder) {
  const std::string folder = out_folder + "/recipes";
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) return make_error(ErrorCode::kIo, fmt::format("{}: {}", folder, failed.message()));
  std::set<std::string> written;
  for (const ScenarioAnswer& answer : answers) {
    if (!answer.joint.settled.feasible) continue;
    DOVETAIL_TRY_STATUS(write_answer(states[answer.joint.state], answer, folder, written));
  }
  remove_others(folder, written);
  return {};
}

}  // namespace dovetail::study
