#include "app/model_scorer.h"

#include <utility>

#include "base/paths.h"
#include "checkpoint/manifest.h"
#include "eval/host_scorer.h"
#include "host/amx.h"
#include "model/weights_digest.h"
#include "model/zoo.h"
#include "recipe/site.h"

namespace dovetail::app {

Result<RunnableModel> load_runnable(const std::string& path) {
  DOVETAIL_TRY(model::Weights read, model::load_weights(path));
  const auto weights = std::make_shared<const model::Weights>(std::move(read));
  DOVETAIL_TRY(host::HostModel model, host::HostModel::create(weights));
  std::string treatment;
  DOVETAIL_TRY(const auto manifest, checkpoint::find_manifest(path));
  if (manifest.has_value()) {
    DOVETAIL_TRY(const recipe::Recipe recipe,
                 recipe::parse_recipe(weights->shape, manifest->recipe_toml, path));
    DOVETAIL_TRY_STATUS(model.set_numerics(host::numerics_of(recipe)));
    treatment = recipe::recipe_to_toml(recipe);
  }
  return RunnableModel{std::move(model), weights, std::move(treatment)};
}

Result<ModelScorer> load_scorer(const std::string& path, const ScorerOptions& options) {
  DOVETAIL_TRY(const RunnableModel runnable, load_runnable(path));
  ModelScorer loaded;
  DOVETAIL_TRY(loaded.host, eval::make_host_scorer(runnable.model, options.max_length));
  if (options.fresh) return loaded;
  DOVETAIL_TRY(eval::ResultJournal journal,
               eval::ResultJournal::open(
                   cache_folder() + "/answers",
                   eval::host_scorer_identity(model::weights_digest(*runnable.weights),
                                              runnable.treatment, host::amx::available())));
  loaded.journal = std::make_unique<eval::ResultJournal>(std::move(journal));
  loaded.cached = std::make_unique<eval::CachedScorer>(*loaded.host, *loaded.journal);
  return loaded;
}

}  // namespace dovetail::app
