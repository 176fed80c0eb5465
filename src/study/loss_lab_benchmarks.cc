// LossLab: questions of benchmarks, asked of recipes.
#include <fmt/format.h>

#include "base/paths.h"
#include "eval/cached_scorer.h"
#include "eval/evaluate.h"
#include "eval/host_scorer.h"
#include "host/amx.h"
#include "model/tokenizer.h"
#include "model/zoo.h"
#include "study/loss_lab_impl.h"

namespace dovetail::study {
namespace {

bool is_released(const recipe::Recipe& recipe) {
  recipe::Recipe released;
  released.layers.resize(recipe.layers.size());
  return recipe == released;
}

}  // namespace

// The weights as they lie on disk; the permuted ones give the same up to rounding.
Result<std::unique_ptr<eval::Scorer>> LossLab::Impl::released_scorer() const {
  if (off_grid_seed == 0) return eval::make_host_scorer(*reference);
  DOVETAIL_TRY(model::Weights released, model::load_weights(model_path));
  DOVETAIL_TRY(
      const host::HostModel model,
      host::HostModel::create(std::make_shared<const model::Weights>(std::move(released))));
  return eval::make_host_scorer(model);
}

Result<std::unique_ptr<eval::Scorer>> LossLab::Impl::treated_scorer(recipe::Recipe recipe) {
  DOVETAIL_TRY(const host::HostModel* model, treat(recipe));
  return eval::make_host_scorer(*model);
}

Result<Json> LossLab::answers_key(const recipe::Recipe& recipe) {
  Json key = {{"tile_unit", host::amx::available()}};
  // As `dovetail eval` knows a model as released: what was asked there is not asked again.
  key["model"] = is_released(recipe) ? impl_->released_digest : impl_->digest;
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
  DOVETAIL_TRY(const model::Tokenizer tokenizer, model::load_tokenizer(impl_->model_path));
  DOVETAIL_TRY(const std::unique_ptr<eval::Scorer> host, [&] {
    return released ? impl_->released_scorer() : impl_->treated_scorer(recipe);
  }());
  DOVETAIL_TRY(eval::ResultJournal journal,
               eval::ResultJournal::open(
                   cache_folder() + "/answers",
                   eval::host_scorer_identity(key.at("model").get<std::string>(),
                                              released ? "" : key.dump(), host::amx::available())));
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
