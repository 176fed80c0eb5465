#include "search/price_master.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace dovetail::search {
namespace {

constexpr double kReducedCostTolerance = 1e-11;  // of the costs' scale, which callers keep near 1
constexpr double kPivotTolerance = 1e-13;
// A degenerate basis could cycle; the bound of the caller stays valid at any prices.
constexpr int kMaxPivots = 60;

constexpr size_t at(int i) {
  return static_cast<size_t>(i);
}

}  // namespace

void PriceMaster::reset(int num_limits, const Use& limit, double ceiling) {
  num_limits_ = num_limits;
  ceiling_ = ceiling;
  columns_.clear();
  set_limits(limit);
}

void PriceMaster::set_limits(const Use& limit) {
  limit_ = limit;
  restart_basis();
}

// Slacks and the artificial column: feasible because limits are not negative.
void PriceMaster::restart_basis() {
  const int rows = num_limits_ + 1;
  for (int i = 0; i < rows; ++i) {
    inverse_[at(i)].fill(0);
    inverse_[at(i)][at(i)] = 1;
    basic_[at(i)] = i < num_limits_ ? slack(i) : kArtificial;
    level_[at(i)] = i < num_limits_ ? limit_[at(i)] : 1;
  }
  update_prices();
}

int32_t PriceMaster::add(const PriceColumn& column) {
  columns_.push_back(column);
  return static_cast<int32_t>(columns_.size()) - 1;
}

void PriceMaster::solve() {
  for (int pivot = 0; pivot < kMaxPivots; ++pivot) {
    const int32_t entering = most_violated();
    if (entering == kArtificial || !enter(entering)) break;
    update_prices();
  }
  for (double& price : prices_) price = std::max(0.0, price);
}

std::vector<PriceMaster::Weighted> PriceMaster::basis() const {
  std::vector<Weighted> result;
  for (int i = 0; i <= num_limits_; ++i) {
    if (basic_[at(i)] >= 0) result.push_back({basic_[at(i)], level_[at(i)]});
  }
  return result;
}

void PriceMaster::update_prices() {
  const int rows = num_limits_ + 1;
  std::array<double, kRows> dual = {};
  value_ = 0;
  for (int i = 0; i < rows; ++i) {
    const double cost = cost_of(basic_[at(i)]);
    value_ += cost * level_[at(i)];
    if (cost == 0) continue;
    for (int j = 0; j < rows; ++j) dual[at(j)] += cost * inverse_[at(i)][at(j)];
  }
  for (int j = 0; j < num_limits_; ++j) prices_[at(j)] = -dual[at(j)];
  convexity_price_ = dual[at(num_limits_)];
}

// The variable with the most negative reduced cost; kArtificial if there is none.
int32_t PriceMaster::most_violated() const {
  double worst = -kReducedCostTolerance;
  int32_t entering = kArtificial;
  for (int j = 0; j < num_limits_; ++j) {
    if (prices_[at(j)] < worst) {
      worst = prices_[at(j)];
      entering = slack(j);
    }
  }
  for (size_t k = 0; k < columns_.size(); ++k) {
    double reduced = columns_[k].cost - convexity_price_;
    for (int j = 0; j < num_limits_; ++j) reduced += prices_[at(j)] * columns_[k].use[at(j)];
    if (reduced < worst) {
      worst = reduced;
      entering = static_cast<int32_t>(k);
    }
  }
  return entering;
}

bool PriceMaster::enter(int32_t variable) {
  const int rows = num_limits_ + 1;
  const std::array<double, kRows> column = coefficients(variable);
  std::array<double, kRows> direction = {};
  int leaving = -1;
  double step = 0;
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < rows; ++j) direction[at(i)] += inverse_[at(i)][at(j)] * column[at(j)];
    if (direction[at(i)] <= kPivotTolerance) continue;
    const double ratio = std::max(0.0, level_[at(i)]) / direction[at(i)];
    // Of equal ratios the larger pivot is the more accurate one.
    if (leaving < 0 || ratio < step ||
        (ratio == step && direction[at(i)] > direction[at(leaving)])) {
      leaving = i;
      step = ratio;
    }
  }
  if (leaving < 0) return false;

  const double pivot = direction[at(leaving)];
  for (int j = 0; j < rows; ++j) inverse_[at(leaving)][at(j)] /= pivot;
  for (int i = 0; i < rows; ++i) {
    if (i == leaving) continue;
    level_[at(i)] = std::max(0.0, level_[at(i)] - direction[at(i)] * step);
    for (int j = 0; j < rows; ++j) {
      inverse_[at(i)][at(j)] -= direction[at(i)] * inverse_[at(leaving)][at(j)];
    }
  }
  level_[at(leaving)] = step;
  basic_[at(leaving)] = variable;
  return true;
}

std::array<double, PriceMaster::kRows> PriceMaster::coefficients(int32_t variable) const {
  std::array<double, kRows> column = {};
  if (variable >= 0) {
    const PriceColumn& given = columns_[static_cast<size_t>(variable)];
    std::copy_n(given.use.begin(), num_limits_, column.begin());
    column[at(num_limits_)] = 1;
  } else if (variable == kArtificial) {
    column[at(num_limits_)] = 1;
  } else {
    column[at(-2 - variable)] = 1;
  }
  return column;
}

double PriceMaster::cost_of(int32_t variable) const {
  if (variable >= 0) return columns_[static_cast<size_t>(variable)].cost;
  return variable == kArtificial ? ceiling_ : 0;
}

}  // namespace dovetail::search
