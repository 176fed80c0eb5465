// All that a study knows of one model's losses: its texts, a loss profile for each rotation, how
// well the profiles predict whole recipes, and measurements of recipes. Everything is remembered.
//
// A rotation changes no output, so texts and the reference are those of the model as it is; what
// rounding does to its weights is another matter, so each rotation has a profile and versions of
// its own. Memory: the weights, and turned and treated copies for one rotation at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "compress/additivity.h"
#include "compress/loss_profile.h"
#include "compress/treat.h"
#include "eval/kl.h"
#include "eval/task.h"
#include "eval/text.h"
#include "host/host_model.h"
#include "recipe/site.h"
#include "study/memory.h"
#include "study/study_config.h"

namespace dovetail::study {

class LossLab {
 public:
  // Loads the model (a zoo name that was pulled, or a path) and moves it off its released grid.
  // Errors: of loading; kNotFound with the command that pulls it.
  [[nodiscard]] static Result<LossLab> open(const std::string& model, const StudyConfig& config,
                                            Memory& memory, const ProgressSink& progress);
  LossLab(LossLab&&) noexcept;
  LossLab& operator=(LossLab&&) noexcept;
  ~LossLab();

  [[nodiscard]] const model::ModelShape& shape() const;
  [[nodiscard]] const std::string& digest() const;  // of the weights as profiled

  // Profile of every treatment in the study's menu in the turned model; those with an algorithm by
  // site_versions.h.
  [[nodiscard]] Result<compress::LossProfile> profile(recipe::Rotation rotation);
  // Predicted against measured over config.validation_recipes whole recipes of each rotation, on
  // the selection text: all together, and under "by_rotation" each alone.
  [[nodiscard]] Result<Json> additivity(const recipe::Menu& menu,
                                        const std::vector<recipe::Rotation>& rotations);
  // KL of a recipe on the certification text with the sums of a chip's matrix unit
  // (host::HostModel::sum_as_chip): {"depth", "align_bits", "matrices", "kl"}, or "why_not" instead
  // of the last two where the recipe has elements that those sums are not written for. `row`: of
  // the study's database.
  struct ChipSums {
    Json result;
    std::string row;
  };
  [[nodiscard]] Result<ChipSums> measure_chip_sums(const recipe::Recipe& recipe,
                                                   const host::AlignedSums& sums);
  // KL of a recipe on the selection or certification text.
  [[nodiscard]] Result<eval::KlStats> measure(const recipe::Recipe& recipe, eval::TextPart part);
  // The rows (docs/evaluation.md) of the questions that the model under a recipe answered, in their
  // order; all bf16: the model as released. Each answer is kept in the user's cache as soon as it
  // is there. what: names the questions in progress.
  [[nodiscard]] Result<Json> ask(const recipe::Recipe& recipe, const std::vector<eval::Task>& tasks,
                                 const std::string& what, const ProgressSink& progress);
  // What the answers depend on beside the questions.
  [[nodiscard]] Result<Json> answers_key(const recipe::Recipe& recipe);
  // "kl/<key>", "profile/<key>": the rows of the study's database that hold these results.
  [[nodiscard]] Result<std::string> measurement_row(const recipe::Recipe& recipe,
                                                    eval::TextPart part);
  [[nodiscard]] Result<std::string> profile_row(recipe::Rotation rotation);
  // "compress_<treatment>_s", "compress_<treatment>+r:r1r2_s": seconds that each algorithm of the
  // menu took over all sites, of the rotations that were profiled.
  [[nodiscard]] Json algorithm_times() const;
  [[nodiscard]] bool has_algorithms() const;
  // {"profile": {...}, "select": {...}, "certify": {...}}: description, digest, tokens; "calibrate"
  // where the menu has algorithms.
  [[nodiscard]] Result<Json> describe_texts();

  // What the functions above remember, as pieces that several workers can share. All of them work
  // on the lab, which must stay, and not at once in one process.
  [[nodiscard]] Piece text_piece(eval::TextPart part);
  // What the menu's algorithms make of each layer and of the head; none without algorithms. Needs
  // the calibration text.
  [[nodiscard]] Result<std::vector<Piece>> versions_pieces(recipe::Rotation rotation);
  // None if the profile is there. Needs the profile text.
  [[nodiscard]] Result<std::vector<Piece>> profile_pieces(recipe::Rotation rotation);
  // The measurements of additivity(). Needs the selection text.
  [[nodiscard]] Result<std::vector<Piece>> additivity_pieces(
      const recipe::Menu& menu, const std::vector<recipe::Rotation>& rotations);
  // Needs the text.
  [[nodiscard]] Result<Piece> measure_piece(const recipe::Recipe& recipe, eval::TextPart part);

 private:
  struct Impl;
  explicit LossLab(std::unique_ptr<Impl> impl);
  [[nodiscard]] Result<const eval::TextWindows*> text_of(eval::TextPart part);
  // What a measurement depends on.
  [[nodiscard]] Result<Json> measurement_key(const recipe::Recipe& recipe, eval::TextPart part);
  [[nodiscard]] Result<compress::LossProfile> profile_of_formats(recipe::Rotation rotation);
  [[nodiscard]] Json profile_key(const eval::TextWindows& text, recipe::Rotation rotation) const;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dovetail::study
