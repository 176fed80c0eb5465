// Prices of up to three limits: the master of a cutting-plane (Kelley, Dantzig-Wolfe) search for
// the best Lagrangian bound.
//
//   minimise   sum w_k cost_k          over weights w_k >= 0, sum w_k = 1
//   subject to sum w_k use_k <= limit
//
// over the columns given so far (a column is one whole choice). Its dual prices are where the
// caller asks for the next column; its value is never below the best Lagrangian bound. With at most
// three limits the basis is 4 x 4, so a pivot costs tens of nanoseconds.
//
// Units are the caller's; it should scale limits and costs to about 1.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace dovetail::search {

inline constexpr int kMaxLimits = 3;
using Use = std::array<double, kMaxLimits>;

struct PriceColumn {
  double cost = 0;
  Use use = {};  // entries beyond the number of limits are ignored
};

class PriceMaster {
 public:
  // Starts over without columns. `ceiling` is the cost of an artificial column that uses nothing:
  // it keeps the master feasible and the prices finite. Far above any cost in the problem.
  void reset(int num_limits, const Use& limit, double ceiling);
  // Keeps the columns, moves the limits.
  void set_limits(const Use& limit);

  // Index of the column, counted from 0.
  int32_t add(const PriceColumn& column);

  // Primal simplex over all columns. Prices, value and weights are then those of its optimum.
  void solve();

  [[nodiscard]] const Use& prices() const { return prices_; }  // >= 0
  [[nodiscard]] double value() const { return value_; }
  // Columns of the basis with their weights (0 included); artificial and slacks left out.
  struct Weighted {
    int32_t column = 0;
    double weight = 0;
  };
  [[nodiscard]] std::vector<Weighted> basis() const;
  [[nodiscard]] int64_t num_columns() const { return static_cast<int64_t>(columns_.size()); }

 private:
  static constexpr int kRows = kMaxLimits + 1;
  // A variable of the simplex: a column (>= 0), the artificial one, or the slack of a limit.
  static constexpr int32_t kArtificial = -1;
  static constexpr int32_t slack(int limit) { return -2 - limit; }

  void restart_basis();
  void update_prices();
  [[nodiscard]] int32_t most_violated() const;
  // False if the pivot would be singular: the basis is then optimal within rounding.
  bool enter(int32_t variable);
  [[nodiscard]] std::array<double, kRows> coefficients(int32_t variable) const;
  [[nodiscard]] double cost_of(int32_t variable) const;

  int num_limits_ = 0;
  Use limit_ = {};
  double ceiling_ = 0;
  std::vector<PriceColumn> columns_;
  std::array<int32_t, kRows> basic_ = {};                      // variable of each row
  std::array<std::array<double, kRows>, kRows> inverse_ = {};  // of the basis
  std::array<double, kRows> level_ = {};                       // value of each basic variable
  Use prices_ = {};
  double convexity_price_ = 0;
  double value_ = 0;
};

}  // namespace dovetail::search
