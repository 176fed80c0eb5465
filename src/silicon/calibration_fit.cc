#include "silicon/calibration_fit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "base/parallel.h"
#include "base/random.h"
#include "base/result.h"

namespace dovetail::silicon {
namespace {

using Vector = std::vector<double>;
using Matrix = std::vector<Vector>;

struct Problem {
  const std::vector<FitParameter>& parameters;
  const Predictor& predict;
  const Vector& measured;
  const std::vector<int64_t>& points;
  const FitOptions& options;
};

struct Candidate {
  Vector values;
  Vector residuals;
  double loss = std::numeric_limits<double>::infinity();
};

double range_of(const FitParameter& p) {
  return p.high - p.low;
}

Candidate judge(const Problem& problem, Vector values) {
  Candidate candidate;
  candidate.values = std::move(values);
  candidate.residuals.resize(problem.points.size());
  double loss = 0;
  for (size_t i = 0; i < problem.points.size(); ++i) {
    const int64_t point = problem.points[i];
    const double residual = std::log(problem.predict(point, candidate.values) /
                                     problem.measured[static_cast<size_t>(point)]);
    candidate.residuals[i] = residual;
    const double scaled = residual / problem.options.loss_scale;
    loss += 2 * (std::sqrt(1 + scaled * scaled) - 1);
  }
  candidate.loss = std::isfinite(loss) ? loss : std::numeric_limits<double>::infinity();
  return candidate;
}

// d residual / d (value / range), one column a parameter.
Matrix jacobian(const Problem& problem, const Candidate& at) {
  Matrix columns;
  for (size_t j = 0; j < problem.parameters.size(); ++j) {
    const FitParameter& parameter = problem.parameters[j];
    const double step = 1e-5 * range_of(parameter);
    Vector moved = at.values;
    const double sign = moved[j] + step > parameter.high ? -1 : 1;
    moved[j] += sign * step;
    Vector column = judge(problem, std::move(moved)).residuals;
    for (size_t i = 0; i < column.size(); ++i) {
      column[i] = sign * (column[i] - at.residuals[i]) / 1e-5;
    }
    columns.push_back(std::move(column));
  }
  return columns;
}

// Weighted normal equations: J^T W J and J^T W r, weights of the soft-L1 loss.
struct Normal {
  Matrix curvature;
  Vector gradient;
};

Normal normal_equations(const Problem& problem, const Candidate& at, const Matrix& columns) {
  const size_t count = columns.size();
  Normal normal{Matrix(count, Vector(count, 0)), Vector(count, 0)};
  for (size_t i = 0; i < at.residuals.size(); ++i) {
    const double scaled = at.residuals[i] / problem.options.loss_scale;
    const double weight = 1 / std::sqrt(1 + scaled * scaled);
    for (size_t j = 0; j < count; ++j) {
      normal.gradient[j] += weight * columns[j][i] * at.residuals[i];
      for (size_t k = 0; k <= j; ++k) {
        normal.curvature[j][k] += weight * columns[j][i] * columns[k][i];
      }
    }
  }
  for (size_t j = 0; j < count; ++j) {
    for (size_t k = 0; k < j; ++k) normal.curvature[k][j] = normal.curvature[j][k];
  }
  return normal;
}

// Solves a symmetric positive definite system by Cholesky; nothing if it is not definite.
std::optional<Vector> solve(Matrix a, Vector b) {
  const size_t n = b.size();
  for (size_t j = 0; j < n; ++j) {
    for (size_t k = 0; k < j; ++k) a[j][j] -= a[j][k] * a[j][k];
    if (!(a[j][j] > 1e-14)) return std::nullopt;
    a[j][j] = std::sqrt(a[j][j]);
    for (size_t i = j + 1; i < n; ++i) {
      for (size_t k = 0; k < j; ++k) a[i][j] -= a[i][k] * a[j][k];
      a[i][j] /= a[j][j];
    }
  }
  for (size_t i = 0; i < n; ++i) {
    for (size_t k = 0; k < i; ++k) b[i] -= a[i][k] * b[k];
    b[i] /= a[i][i];
  }
  for (size_t i = n; i-- > 0;) {
    for (size_t k = i + 1; k < n; ++k) b[i] -= a[k][i] * b[k];
    b[i] /= a[i][i];
  }
  return b;
}

bool is_at_bound(const FitParameter& parameter, double value) {
  const double margin = 1e-6 * range_of(parameter);
  return value - parameter.low < margin || parameter.high - value < margin;
}

// Parameters that may move: not those at a wall with the slope pushing against it.
std::vector<size_t> free_parameters(const Problem& problem, const Candidate& at,
                                    const Vector& gradient) {
  std::vector<size_t> free;
  for (size_t j = 0; j < gradient.size(); ++j) {
    const FitParameter& p = problem.parameters[j];
    const bool low = at.values[j] <= p.low && gradient[j] > 0;
    const bool high = at.values[j] >= p.high && gradient[j] < 0;
    if (!low && !high) free.push_back(j);
  }
  return free;
}

Matrix part_of(const Matrix& matrix, const std::vector<size_t>& rows) {
  Matrix part;
  for (const size_t j : rows) {
    Vector row;
    for (const size_t k : rows) row.push_back(matrix[j][k]);
    part.push_back(std::move(row));
  }
  return part;
}

// One damped step; nothing if the system cannot be solved.
std::optional<Candidate> try_step(const Problem& problem, const Candidate& at, const Normal& normal,
                                  double damping) {
  const std::vector<size_t> free = free_parameters(problem, at, normal.gradient);
  Matrix system = part_of(normal.curvature, free);
  Vector right;
  for (size_t i = 0; i < free.size(); ++i) {
    system[i][i] += damping * std::max(system[i][i], 1e-6);
    right.push_back(-normal.gradient[free[i]]);
  }
  const auto step = solve(std::move(system), std::move(right));
  if (!step.has_value()) return std::nullopt;
  Vector values = at.values;
  for (size_t i = 0; i < free.size(); ++i) {
    const FitParameter& p = problem.parameters[free[i]];
    values[free[i]] = std::clamp(values[free[i]] + (*step)[i] * range_of(p), p.low, p.high);
  }
  return judge(problem, std::move(values));
}

// Levenberg-Marquardt until three rounds in a row gain nothing.
Candidate follow_slope(const Problem& problem, Candidate best) {
  double damping = 1e-2;
  int64_t idle = 0;
  for (int64_t round = 0; round < problem.options.max_rounds && idle < 3; ++round) {
    const Normal normal = normal_equations(problem, best, jacobian(problem, best));
    const double before = best.loss;
    while (damping < 1e8) {
      const auto next = try_step(problem, best, normal, damping);
      if (next.has_value() && next->loss < best.loss) {
        best = *next;
        damping = std::max(damping / 5, 1e-9);
        break;
      }
      damping *= 4;
    }
    const bool gained = before - best.loss > 1e-5 * before;
    idle = gained ? 0 : idle + 1;
    if (!gained) damping = 1e-3;
  }
  return best;
}

// Models of machines have kinks (the larger of two times), where a slope leads nowhere: tries steps
// along each parameter, smaller and smaller. True if one gained.
bool search_axes(const Problem& problem, Candidate& best) {
  const double before = best.loss;
  for (const double step : {0.1, 0.02, 0.004}) {
    for (size_t j = 0; j < best.values.size(); ++j) {
      const FitParameter& p = problem.parameters[j];
      for (const double sign : {-1.0, 1.0}) {
        Vector values = best.values;
        values[j] = std::clamp(values[j] + sign * step * range_of(p), p.low, p.high);
        Candidate next = judge(problem, std::move(values));
        if (next.loss < best.loss) best = std::move(next);
      }
    }
  }
  return before - best.loss > 1e-4 * before;
}

Candidate descend(const Problem& problem, Vector start) {
  Candidate best = follow_slope(problem, judge(problem, std::move(start)));
  for (int64_t round = 0; round < 5 && search_axes(problem, best); ++round) {
    best = follow_slope(problem, std::move(best));
  }
  return best;
}

// Curvature of the loss gives the covariance up to the variance of the weighted residuals.
Vector standard_errors(const Problem& problem, const Candidate& best) {
  Vector errors(best.values.size(), 0);
  std::vector<size_t> inside;
  for (size_t j = 0; j < best.values.size(); ++j) {
    if (!is_at_bound(problem.parameters[j], best.values[j])) inside.push_back(j);
  }
  const Normal normal = normal_equations(problem, best, jacobian(problem, best));
  const Matrix curvature = part_of(normal.curvature, inside);
  double variance = 0;
  for (const double r : best.residuals) {
    const double scaled = r / problem.options.loss_scale;
    variance += r * r / std::sqrt(1 + scaled * scaled);
  }
  const auto points = static_cast<double>(best.residuals.size());
  variance /= std::max(1.0, points - static_cast<double>(inside.size()));
  for (size_t i = 0; i < inside.size(); ++i) {
    Vector unit(inside.size(), 0);
    unit[i] = 1;
    const auto column = solve(curvature, std::move(unit));
    if (!column.has_value()) continue;
    errors[inside[i]] =
        range_of(problem.parameters[inside[i]]) * std::sqrt(variance * std::max(0.0, (*column)[i]));
  }
  return errors;
}

}  // namespace

FitResult fit_parameters(const std::vector<FitParameter>& parameters, const Predictor& predict,
                         const Vector& measured, const std::vector<int64_t>& points,
                         const FitOptions& options) {
  DOVETAIL_CHECK(!parameters.empty() && !points.empty() && options.starts >= 1);
  const Problem problem{parameters, predict, measured, points, options};
  Random random(options.seed);
  std::vector<Vector> starts;
  for (int64_t s = 0; s < options.starts; ++s) {
    Vector start;
    for (const FitParameter& p : parameters) {
      const double factor = s == 0 ? 1 : std::exp2(2 * random.uniform() - 1);
      start.push_back(std::clamp(p.start * factor, p.low, p.high));
    }
    starts.push_back(std::move(start));
  }
  std::vector<Candidate> ends(starts.size());
  parallel_for(options.starts, [&](int64_t s, int64_t) {
    ends[static_cast<size_t>(s)] = descend(problem, starts[static_cast<size_t>(s)]);
  });
  const Candidate& best = *std::min_element(
      ends.begin(), ends.end(), [](const auto& a, const auto& b) { return a.loss < b.loss; });
  FitResult result;
  result.values = best.values;
  result.loss = best.loss;
  result.standard_errors = standard_errors(problem, best);
  for (size_t j = 0; j < parameters.size(); ++j) {
    result.at_bound.push_back(is_at_bound(parameters[j], best.values[j]));
  }
  return result;
}

CrossValidation cross_validate(const std::vector<FitParameter>& parameters,
                               const Predictor& predict, const Vector& measured,
                               const std::vector<Fold>& folds, const FitOptions& options) {
  CrossValidation result;
  result.predicted.assign(measured.size(), 0);
  result.by_fold.resize(folds.size());
  parallel_for(static_cast<int64_t>(folds.size()), [&](int64_t f, int64_t) {
    const Fold& fold = folds[static_cast<size_t>(f)];
    const FitResult fit = fit_parameters(parameters, predict, measured, fold.train, options);
    for (const int64_t point : fold.test) {
      result.predicted[static_cast<size_t>(point)] = predict(point, fit.values);
    }
    result.by_fold[static_cast<size_t>(f)] = fit.values;
  });
  return result;
}

std::vector<Fold> group_folds(const std::vector<std::string>& groups, int64_t count,
                              uint64_t seed) {
  std::map<std::string, int64_t> fold_of;
  for (const std::string& group : groups) fold_of.emplace(group, 0);
  std::vector<std::string> names;
  for (const auto& [name, fold] : fold_of) names.push_back(name);
  Random random(seed);
  for (size_t i = names.size(); i > 1; --i) {
    std::swap(names[i - 1], names[static_cast<size_t>(random.below(static_cast<int64_t>(i)))]);
  }
  count = std::min(count, static_cast<int64_t>(names.size()));
  for (size_t i = 0; i < names.size(); ++i) {
    fold_of[names[i]] = static_cast<int64_t>(i) % count;
  }
  std::vector<Fold> folds(static_cast<size_t>(count));
  for (size_t f = 0; f < folds.size(); ++f) {
    folds[f].name = std::to_string(f);
    for (size_t i = 0; i < groups.size(); ++i) {
      const bool tested = fold_of[groups[i]] == static_cast<int64_t>(f);
      (tested ? folds[f].test : folds[f].train).push_back(static_cast<int64_t>(i));
    }
  }
  return folds;
}

}  // namespace dovetail::silicon
