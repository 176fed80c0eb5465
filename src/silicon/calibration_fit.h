// Fits few bounded parameters of a model to measurements, and judges the fit on points that it has
// not seen.
//
// Minimises the sum of soft-L1 losses of ln(predicted / measured): a relative error counts alike
// for short and long runs, and a point that the model cannot explain pulls little.
// Levenberg-Marquardt with the bounds as walls and several starts; the same seed gives the same
// result.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace dovetail::silicon {

struct FitParameter {
  std::string name;       // with its unit as suffix
  std::string unit;       // as text: "cycles"
  std::string mechanism;  // what it stands for, one sentence
  double start = 0;       // low <= start <= high
  double low = 0;         // physical bounds
  double high = 0;
};

// Model under fit: the prediction for one point, positive and finite, at any values in the bounds.
// Called from several threads at once.
using Predictor = std::function<double(int64_t point, const std::vector<double>& values)>;

struct FitOptions {
  int64_t starts = 3;        // the given start, then random ones between half and twice of it
  uint64_t seed = 1;         // of the random starts
  double loss_scale = 0.1;   // relative error where the loss turns from square to linear
  int64_t max_rounds = 100;  // Levenberg-Marquardt steps a start
};

struct FitResult {
  std::vector<double> values;
  std::vector<double> standard_errors;  // from the curvature at the optimum; 0 at a bound
  std::vector<bool> at_bound;           // within 1e-6 of the range of its low or high
  double loss = 0;
};

// Fits to the points with these indices. measured[i] belongs to point i.
[[nodiscard]] FitResult fit_parameters(const std::vector<FitParameter>& parameters,
                                       const Predictor& predict,
                                       const std::vector<double>& measured,
                                       const std::vector<int64_t>& points,
                                       const FitOptions& options);

// One part of the points is left out of the fit and then predicted.
struct Fold {
  std::string name;
  std::vector<int64_t> train;
  std::vector<int64_t> test;
};

struct CrossValidation {
  std::vector<double> predicted;             // by point; 0 for a point that no fold tests
  std::vector<std::vector<double>> by_fold;  // fitted values, fold by fold
};

[[nodiscard]] CrossValidation cross_validate(const std::vector<FitParameter>& parameters,
                                             const Predictor& predict,
                                             const std::vector<double>& measured,
                                             const std::vector<Fold>& folds,
                                             const FitOptions& options);

// Splits points into `count` folds (at most one a group) such that all points of a group are on one
// side. Groups are dealt in an order drawn from the seed. groups[i] names the group of point i.
[[nodiscard]] std::vector<Fold> group_folds(const std::vector<std::string>& groups, int64_t count,
                                            uint64_t seed);

}  // namespace dovetail::silicon
