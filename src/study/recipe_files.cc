#include "study/recipe_files.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "base/paths.h"
#include "model/off_grid.h"
#include "recipe/site.h"

namespace dovetail::study {
namespace {

namespace fs = std::filesystem;

// A product's name is free text; one that could leave the folder gives way to its number, which no
// other product is called by.
std::string name_in_file(const std::string& name, size_t index) {
  const bool is_plain = std::ranges::all_of(name, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
  });
  return is_plain ? name : fmt::format("#{}", index + 1);
}

// compress permutes by one seed of its own; another can only be named.
std::string permutation_note(int64_t seed) {
  if (seed == 0 || seed == int64_t{model::kOffGridSeed}) return "";
  return fmt::format("# The study permuted channels by seed {}, compress by {}.\n", seed,
                     model::kOffGridSeed);
}

std::string heading(const StudyConfig& config, const ProductConfig& product,
                    const ScenarioAnswer& answer, const recipe::Recipe& recipe,
                    const std::string& file) {
  const std::string whose = fmt::format(
      "The joint answer of study {}: objective {}, at most {:g} nats, product {}.", config.name,
      search::objective_name(answer.objective), answer.kl_cap_nats, product.name);
  const std::string command =
      fmt::format("dovetail compress {} --recipe {}{}{} --out MODEL_FOLDER", product.model, file,
                  config.off_grid_seed != 0 ? " --off-grid" : "",
                  recipe::needs_calibration(recipe) ? " --text CALIBRATION.txt" : "");
  // A line of a comment each, whatever stands in the names.
  return fmt::format("# {}\n# {}\n{}\n", one_line(whose), one_line(command),
                     permutation_note(config.off_grid_seed));
}

Status write_answer(const StudyState& state, const ScenarioAnswer& answer,
                    const std::string& folder, std::set<std::string>& written) {
  for (size_t i = 0; i < state.products.size(); ++i) {
    const ProductState& product = state.products[i];
    const recipe::Recipe recipe = recipe_of(product, answer.joint.settled.candidate.treatments[i]);
    const std::string file =
        fmt::format("{}/{}@{:g}.{}.toml", folder, search::objective_name(answer.objective),
                    answer.kl_cap_nats, name_in_file(product.config.name, i));
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
