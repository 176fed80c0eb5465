#include "compress/gptq.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "base/parallel.h"
#include "formats/column_rounder.h"
#include "formats/quantize.h"
#include "host/matmul.h"
#include "host/symmetric.h"

namespace dovetail::compress {
namespace {

constexpr int64_t kBlock = 128;     // columns whose updates of later blocks are done at once
constexpr int64_t kPanelRows = 64;  // rows that one thread takes: block and panel stay in L1
constexpr double kDampingStep = 10;

using Order = std::vector<int64_t>;  // order[i]: the column that is rounded as number i

Order column_order(const GptqParams& params, int64_t k, const std::vector<float>& h) {
  Order order(static_cast<size_t>(k));
  std::iota(order.begin(), order.end(), 0);
  if (params.activation_order)
    std::ranges::stable_sort(order, std::ranges::greater{},
                             [&](int64_t j) { return h[static_cast<size_t>(j * k + j)]; });
  return order;
}

std::vector<float> diagonal(int64_t k, const std::vector<float>& h) {
  std::vector<float> values;
  for (int64_t j = 0; j < k; ++j) values.push_back(h[static_cast<size_t>(j * k + j)]);
  return values;
}

struct Factor {
  std::vector<float> upper;  // (k, k)
  double damping_frac = 0;
};

// A dead column has only the damping on its diagonal: it moves nothing.
Result<Factor> damped_factor(const GptqParams& params, int64_t k, const std::vector<float>& h,
                             const Order& order) {
  const std::vector<float> on_diagonal = diagonal(k, h);
  double mean =
      std::accumulate(on_diagonal.begin(), on_diagonal.end(), 0.0) / static_cast<double>(k);
  if (mean == 0) mean = 1;  // nothing is ever active
  for (double damping = params.damping_frac;; damping *= kDampingStep) {
    auto upper = host::factor_of_inverse(k, h, order, std::min(damping, 1.0) * mean);
    if (upper.has_value()) return Factor{std::move(*upper), std::min(damping, 1.0)};
    if (damping >= 1) return std::unexpected(upper.error());
  }
}

template <typename Body>
void for_row_panels(int64_t rows, const Body& body) {
  parallel_for((rows + kPanelRows - 1) / kPanelRows, [&](int64_t p, int64_t) {
    body(p * kPanelRows, std::min(rows, (p + 1) * kPanelRows));
  });
}

// (n, k) to (k, n) with columns in the order of rounding, so that one column's rows are neighbours.
std::vector<float> transposed(const model::Matrix& w, const Order& order) {
  std::vector<float> turned(w.values.size());
  for_row_panels(w.rows, [&](int64_t first, int64_t last) {
    for (int64_t i = 0; i < w.cols; ++i)
      for (int64_t row = first; row < last; ++row)
        turned[static_cast<size_t>(i * w.rows + row)] =
            w.values[static_cast<size_t>(row * w.cols + order[static_cast<size_t>(i)])];
  });
  return turned;
}

// What one panel of rows needs for one block of columns.
struct Panel {
  int64_t first_row = 0;
  int64_t last_row = 0;
  int64_t first_column = 0;  // in the order of rounding
  int64_t last_column = 0;
};

class Solver {
 public:
  Solver(const formats::WeightFormat& format, const GptqParams& params, const model::Matrix& w,
         const formats::MatrixScales& scales, const Order& order, const std::vector<float>& upper,
         const std::vector<float>& kept)
      : rounder_(format, params.rounding.ties, scales, w.rows, w.cols),
        n_(w.rows),
        k_(w.cols),
        order_(order),
        upper_(upper),
        kept_(kept),
        rest_(transposed(w, order)),
        errors_(static_cast<size_t>(kBlock * w.rows)) {}

  // Leaves the rounded matrix in `rest_`.
  std::vector<float> run() {
    for (int64_t begin = 0; begin < k_; begin += kBlock) {
      const int64_t end = std::min(begin + kBlock, k_);
      for_row_panels(n_,
                     [&](int64_t first, int64_t last) { round_block({first, last, begin, end}); });
      // Later columns: rest (k - end, n) -= U[block, later]^T errors (block, n).
      if (end < k_) update_later(begin, end);
    }
    return std::move(rest_);
  }

 private:
  void round_block(const Panel& panel) {
    const int64_t rows = panel.last_row - panel.first_row;
    std::vector<float> before(static_cast<size_t>(rows));
    for (int64_t i = panel.first_column; i < panel.last_column; ++i) {
      float* column = rest_.data() + i * n_ + panel.first_row;
      float* error = errors_.data() + (i - panel.first_column) * n_ + panel.first_row;
      std::copy_n(column, rows, before.data());
      round_column(i, panel, column);
      const float inverse = 1.0F / upper_[static_cast<size_t>(i * k_ + i)];
      for (int64_t r = 0; r < rows; ++r)
        error[r] = (before[static_cast<size_t>(r)] - column[r]) * inverse;
      for (int64_t j = i + 1; j < panel.last_column; ++j) {
        const float factor = upper_[static_cast<size_t>(i * k_ + j)];
        if (factor == 0) continue;
        float* later = rest_.data() + j * n_ + panel.first_row;
        for (int64_t r = 0; r < rows; ++r) later[r] -= error[r] * factor;
      }
    }
  }

  void round_column(int64_t i, const Panel& panel, float* column) const {
    const int64_t source = order_[static_cast<size_t>(i)];
    rounder_.round(source, panel.first_row, panel.last_row, column, column);
    if (kept_.empty()) return;
    for (int64_t row = panel.first_row; row < panel.last_row; ++row)
      if (kept_[static_cast<size_t>(row * k_ + source)] == 0) column[row - panel.first_row] = 0;
  }

  void update_later(int64_t begin, int64_t end) {
    // (end - begin, k - end) of U, contiguous for the product.
    std::vector<float> part(static_cast<size_t>((end - begin) * (k_ - end)));
    for (int64_t i = begin; i < end; ++i)
      std::copy_n(upper_.data() + i * k_ + end, k_ - end, part.data() + (i - begin) * (k_ - end));
    host::matmul({part.data(), end - begin, k_ - end, true}, {errors_.data(), end - begin, n_},
                 rest_.data() + end * n_, true, -1.0);
  }

  formats::ColumnRounder rounder_;
  int64_t n_;
  int64_t k_;
  const Order& order_;
  const std::vector<float>& upper_;
  const std::vector<float>& kept_;  // (n, k) 0 where dropped; empty for dense formats
  std::vector<float> rest_;         // (k, n)
  std::vector<float> errors_;       // (block, n)
};

// sum over rows of d H d^T, (n, k) and (k, k): blocks above the diagonal count twice. Panels of a
// fixed size, so that the sum does not depend on the number of threads.
double moved_output(int64_t n, int64_t k, const std::vector<float>& d,
                    const std::vector<float>& h) {
  constexpr int64_t kRows = 96;
  constexpr int64_t kColumns = 256;
  const int64_t panels = (n + kRows - 1) / kRows;
  std::vector<double> totals(static_cast<size_t>(panels));
  parallel_for(panels, [&](int64_t panel, int64_t) {
    const int64_t rows = std::min(kRows, n - panel * kRows);
    const float* left = d.data() + panel * kRows * k;
    std::vector<float> product(static_cast<size_t>(rows * kColumns));
    for (int64_t begin = 0; begin < k; begin += kColumns) {
      const int64_t width = std::min(kColumns, k - begin);
      const float* above = h.data() + begin;
      if (begin > 0) {
        host::matmul({left, rows, begin, false, k}, {above, begin, width, false, k}, product.data(),
                     false, 2.0);
      }
      host::matmul({left + begin, rows, width, false, k},
                   {above + begin * k, width, width, false, k}, product.data(), begin > 0);
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t j = 0; j < width; ++j)
          totals[static_cast<size_t>(panel)] +=
              static_cast<double>(product[static_cast<size_t>(row * width + j)]) *
              static_cast<double>(left[row * k + begin + j]);
    }
  });
  return std::accumulate(totals.begin(), totals.end(), 0.0);
}

Status check(const GptqParams& params, const model::Matrix& w, const std::vector<float>& h) {
  if (!(params.damping_frac > 0) || params.damping_frac > 1)
    return invalid_argument(
        fmt::format("gptq: damping_frac = {}, want above 0, at most 1", params.damping_frac));
  if (std::ssize(h) != w.cols * w.cols)
    return invalid_argument(fmt::format("gptq: the second moments have {} values, want {} x {}",
                                        h.size(), w.cols, w.cols));
  for (const float value : h)
    if (!std::isfinite(value))
      return std::unexpected(Error{ErrorCode::kInvalidArgument,
                                   "gptq: the second moments of the inputs are not finite"});
  return {};
}

}  // namespace

Result<GptqResult> gptq(const formats::WeightFormat& format, const GptqParams& params,
                        const model::Matrix& w, const std::vector<float>& h) {
  DOVETAIL_TRY_STATUS(check(params, w, h));
  const int64_t k = w.cols;
  const std::vector<float> importance = diagonal(k, h);
  const float* weighing = params.weigh_scales ? importance.data() : nullptr;
  GptqResult result;
  result.stats.num_dead_columns = std::ranges::count(importance, 0.0F);
  result.scales =
      formats::choose_scales(format, params.rounding, w.rows, k, w.values.data(), weighing);
  std::vector<float> kept;
  if (formats::is_sparse(format))
    kept = formats::sparsified(format, w.rows, k, w.values.data(), importance.data());

  const Order order = column_order(params, k, h);
  DOVETAIL_TRY(const Factor factor, damped_factor(params, k, h, order));
  result.stats.damping_frac = factor.damping_frac;
  Solver solver(format, params, w, result.scales, order, factor.upper, kept);
  const std::vector<float> rounded = solver.run();
  result.values.resize(w.values.size());
  for_row_panels(w.rows, [&](int64_t first, int64_t last) {
    for (int64_t i = 0; i < k; ++i)
      for (int64_t row = first; row < last; ++row)
        result.values[static_cast<size_t>(row * k + order[static_cast<size_t>(i)])] =
            rounded[static_cast<size_t>(i * w.rows + row)];
  });

  std::vector<float> nearest(w.values.size());
  const std::vector<float>& source = kept.empty() ? w.values : kept;
  formats::round_rows(format, params.rounding.ties, result.scales, w.rows, k, source.data(),
                      nearest.data());
  const double output = moved_output(w.rows, k, w.values, h);
  if (output > 0) {
    result.stats.rounded_error_frac = output_error(w, nearest, h) / output;
    result.stats.error_frac = output_error(w, result.values, h) / output;
  }
  return result;
}

double output_error(const model::Matrix& w, const std::vector<float>& values,
                    const std::vector<float>& h) {
  std::vector<float> difference(values.size());
  for (size_t i = 0; i < values.size(); ++i) difference[i] = w.values[i] - values[i];
  return moved_output(w.rows, w.cols, difference, h);
}

double output_error_frac(const model::Matrix& w, const std::vector<float>& values,
                         const std::vector<float>& h) {
  const double output = moved_output(w.rows, w.cols, w.values, h);
  return output > 0 ? output_error(w, values, h) / output : 0;
}

}  // namespace dovetail::compress
