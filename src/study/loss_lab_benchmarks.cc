// LossLab: questions of benchmarks, asked of recipes.
#include <fmt/format.h>

#include "base/paths.h"
#include "eval/cached_scorer.h"
#include "eval/evaluate.h"
#include "eval/host_scorer.h"
#include "host/amx.h"
#include "model/tokenizer.h"
#include "study/loss_lab_impl.h"

namespace dovetail::study {
namespace {

bool is_released(const recipe::Recipe& recipe) {
  recipe::Recipe released;
  released.layers.resize(recipe.layers.size());
  return recipe == released;
}

}  // namespace

Result<Json> LossLab::answers_key(const recipe::Recipe& recipe) {
  Json key = {{"model", impl_->digest}, {"tile_unit", host::amx::available()}};
  // As `dovetail eval` knows a model as released.
  if (is_released(recipe)) return key;
  key["recipe"] = recipe::recipe_to_toml(recipe);
  if (recipe::needs_calibration(recipe)) {
    DOVETAIL_TRY(const eval::TextWindows* calibration, text_of(eval::TextPart::kCalibrate));
    key["calibration"] = calibration->digest();
  }
  return key;
}

Result<Json> LossLab::ask(const recipe::Recipe& recipe, const std::vector<eval::Task>& tasks,
                          const std::string& what, const ProgressSink& progress) {
  DOVETAIL_TRY(const Json key, answers_key(recipe));
  const bool released = !key.contains("recipe");
  DOVETAIL_TRY(const host::HostModel* model, [&]() -> Result<const host::HostModel*> {
    if (released) return &*impl_->reference;
    recipe::Recipe treated = recipe;
    return impl_->treat(treated);
  }());
  DOVETAIL_TRY(const model::Tokenizer tokenizer, model::load_tokenizer(impl_->model_path));
  DOVETAIL_TRY(const std::unique_ptr<eval::Scorer> host, eval::make_host_scorer(*model));
  DOVETAIL_TRY(eval::ResultJournal journal,
               eval::ResultJournal::open(
                   cache_folder() + "/answers",
                   eval::host_scorer_identity(impl_->digest, released ? "" : key.dump(),
                                              host::amx::available())));
  eval::CachedScorer scorer(*host, journal);
  Json rows = Json::array();
  eval::EvaluateParams params;
  params.take_sample = [&](const Json& row) -> Status {
    rows.push_back(row);
    return {};
  };
  if (progress) {
    params.progress = [&](const Progress& part) {
      progress({fmt::format("{}: {}", what, part.what), part.done_frac});
    };
  }
  DOVETAIL_TRY([[maybe_unused]] const eval::Evaluation evaluation,
               eval::evaluate(tasks, tokenizer, scorer, params));
  return rows;
}

}  // namespace dovetail::study
