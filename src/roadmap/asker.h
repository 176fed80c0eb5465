// One answer of a study and the questions that its ranking asks.
#pragma once

#include <optional>
#include <vector>

#include "roadmap/silicon_need.h"
#include "roadmap/solve.h"

namespace dovetail::roadmap {

// When a technique that the answer does not use would become part of it.
struct Entry {
  double saved_if_free_frac = 0;  // of the answer's objective, if it added no loss; >= 0
  // Share of the loss that it is predicted to add (of a rotation: of its bias) below which it saves
  // more than solving can tell, to 1/256; absent: not even if free.
  std::optional<double> at_frac;
};

class Asker {
 public:
  [[nodiscard]] static Result<Asker> open(const Tables& tables, const Answer& answer);

  [[nodiscard]] const Tables& tables() const { return *tables_; }
  [[nodiscard]] const Answer& answer() const { return *answer_; }
  [[nodiscard]] const Point& point() const { return point_; }
  [[nodiscard]] const RotatedProduct& product(size_t p) const;
  // Measured (or expected) over predicted loss of the answer.
  [[nodiscard]] double loss_scale(size_t p) const;
  // A product has no weights here, or the study did not test its prediction.
  [[nodiscard]] bool predicted_only() const;
  // Geometric standard deviation of measured over predicted loss, of the answer's rotations and of
  // the technique's algorithms.
  [[nodiscard]] double spread_of(const Technique& technique) const;
  [[nodiscard]] Result<Technique> executed_part(const Technique& technique) const;

  // Per product, predicted: its sites' loss less what is left of it without the technique.
  [[nodiscard]] std::vector<double> added_nats(const Technique& technique) const;
  // On the chip, or on the chip without the technique's own pairs, at `factor` times the answer's
  // loss. The cheaper of both.
  [[nodiscard]] Result<Point> without(const Technique& technique, const SiliconNeed& need,
                                      double factor) const;
  // The same where loss is lower by what the technique adds.
  [[nodiscard]] Result<Point> without_and_unspent(const Technique& technique,
                                                  const SiliconNeed& need,
                                                  const std::vector<double>& added) const;
  // On the chip, under another rotation at the cap that its own bias allows, times `factor`.
  [[nodiscard]] Result<Point> without_rotation(recipe::Rotation rotation, double factor = 1) const;
  [[nodiscard]] Result<Point> without_in_space(const Technique& technique,
                                               const ProgressSink& progress) const;
  [[nodiscard]] Result<Entry> entry_of(const Technique& technique) const;
  // The least factor of the answer's loss at which an answer without the technique costs no more
  // than this one does, to 1 %; absent: none does at any loss.
  [[nodiscard]] Result<std::optional<double>> equal_cost_factor(const Technique& technique,
                                                                const SiliconNeed& need) const;

 private:
  Asker(const Tables& tables, const Answer& answer, Point point)
      : tables_(&tables), answer_(&answer), point_(std::move(point)) {}
  [[nodiscard]] Question question(double factor) const;
  [[nodiscard]] Question rotated_question(recipe::Rotation from, recipe::Rotation to,
                                          double factor) const;
  [[nodiscard]] Result<Point> cheapest(const Question& question, const SiliconNeed& need) const;

  const Tables* tables_;
  const Answer* answer_;
  Point point_;
};

}  // namespace dovetail::roadmap
