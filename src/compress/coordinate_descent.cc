#include "compress/coordinate_descent.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "base/parallel.h"
#include "formats/column_rounder.h"
#include "formats/stored_scale.h"
#include "host/matmul.h"
#include "host/symmetric.h"

namespace dovetail::compress {
namespace {

constexpr int64_t kWholeRowBlock = 128;  // columns visited at once where no group ends
constexpr int64_t kPanel = 64;           // rows that one thread takes
constexpr int64_t kMaxSweeps = 1000;
constexpr double kFirstDamping = 1e-3;  // of the mean of a block's diagonal; of proposals alone
// Scales that are tried, as parts of the present one; E8M0 steps by binades.
constexpr std::array<float, 11> kFactors = {1,     .8F,   .87F,  .92F,  .96F, .98F,
                                            1.02F, 1.04F, 1.08F, 1.14F, 1.22F};
constexpr std::array<float, 3> kBinades = {1, .5F, 2};

using Panel = std::array<float, kPanel>;

// One block of columns: what its proposals need, made once.
struct Block {
  int64_t begin = 0;
  int64_t length = 0;
  std::vector<int64_t> order;     // of rounding: descending diagonal; positions in the block
  std::vector<float> upper;       // (length, length) in that order: (H_gg + shift)^-1 = U^T U
  std::vector<float> moments;     // (length, length) H_gg in that order
  std::vector<float> inverse_of;  // (length) 1 / H_jj in that order, 0 for dead columns
};

Result<Block> make_block(int64_t k, const std::vector<float>& h, int64_t begin, int64_t length) {
  const auto at = [&](int64_t i, int64_t j) {
    return h[static_cast<size_t>((begin + i) * k + begin + j)];
  };
  Block block{.begin = begin,
              .length = length,
              .order = std::vector<int64_t>(static_cast<size_t>(length)),
              .upper = {},
              .moments = {},
              .inverse_of = {}};
  std::iota(block.order.begin(), block.order.end(), 0);
  std::ranges::stable_sort(block.order, std::ranges::greater{},
                           [&](int64_t j) { return at(j, j); });
  double mean = 0;
  for (const int64_t i : block.order) {
    for (const int64_t j : block.order) block.moments.push_back(at(i, j));
    block.inverse_of.push_back(at(i, i) > 0 ? 1.0F / at(i, i) : 0.0F);
    mean += static_cast<double>(at(i, i)) / static_cast<double>(length);
  }
  std::vector<float> to_factor = block.moments;
  for (int64_t i = 0; i < length; ++i)
    if (block.inverse_of[static_cast<size_t>(i)] == 0)
      to_factor[static_cast<size_t>(i * length + i)] = 1;
  for (double damping = kFirstDamping;; damping *= 10) {
    auto upper = host::factor_of_inverse(length, to_factor, damping * mean);
    if (upper.has_value()) {
      block.upper = std::move(*upper);
      return block;
    }
    if (damping >= 1) return std::unexpected(upper.error());
  }
}

// What is written for one panel of rows in one block: (length, kPanel), rows of a column side by
// side, columns in the block's order.
struct Proposal {
  explicit Proposal(int64_t length)
      : values(static_cast<size_t>(length)), scale{}, zero{}, error{} {}
  std::vector<Panel> values;
  Panel scale, zero;
  Panel error;  // |U^-T (t - values)|^2
};

// y += factor * x
void add(float factor, const Panel& x, Panel& y) {
  for (size_t r = 0; r < kPanel; ++r) y[r] += factor * x[r];
}

// y (length, panel) = H_gg x.
std::vector<Panel> times_moments(const Block& block, const std::vector<Panel>& x) {
  std::vector<Panel> y(x.size(), Panel{});
  for (size_t i = 0; i < x.size(); ++i)
    for (size_t j = 0; j < x.size(); ++j) add(block.moments[j * x.size() + i], x[i], y[j]);
  return y;
}

// t = q - (H_gg)^-1 g, by the factor.
std::vector<Panel> best_real_values(const Block& block, const std::vector<Panel>& q,
                                    const std::vector<Panel>& g) {
  const size_t length = q.size();
  std::vector<Panel> t = q;
  for (size_t i = 0; i < length; ++i) {
    Panel y{};
    for (size_t j = i; j < length; ++j) add(block.upper[i * length + j], g[j], y);
    for (size_t j = i; j < length; ++j) add(-block.upper[i * length + j], y, t[j]);
  }
  return t;
}

struct State {
  std::vector<float> q;  // (k, n)
  std::vector<float> g;  // (k, n) H (Q - W)^T
  formats::MatrixScales scales;
};

class Descent {
 public:
  Descent(const formats::WeightFormat& format, const RefineParams& params, const model::Matrix& w,
          const std::vector<float>& h, const std::vector<float>& start,
          const formats::MatrixScales& scales)
      : format_(format),
        params_(params),
        h_(h),
        n_(w.rows),
        k_(w.cols),
        rounder_(format, params.ties, scales, w.rows, w.cols),
        target_(transposed(w.values, w.rows, w.cols)),
        state_{transposed(start, w.rows, w.cols), {}, scales},
        own_scales_(params.refit_scales && format.group_rows == 1 &&
                    format.scale != formats::ScaleType::kUint8) {
    if (formats::is_sparse(format))
      for (const float value : state_.q) kept_.push_back(value == 0 ? 0.0F : 1.0F);
  }

  Status make_blocks() {
    const int64_t length = format_.group_size == 0 ? kWholeRowBlock : format_.group_size;
    for (int64_t begin = 0; begin < k_; begin += length) {
      DOVETAIL_TRY(Block block, make_block(k_, h_, begin, std::min(length, k_ - begin)));
      blocks_.push_back(std::move(block));
    }
    return {};
  }

  Refined run() {
    Refined found;
    std::vector<double> errors = row_errors();
    const double output = output_of_target();
    const auto frac = [&] {
      const double sum = std::accumulate(errors.begin(), errors.end(), 0.0);
      return output > 0 ? sum / output : 0.0;
    };
    found.stats.error_frac.push_back(frac());
    for (int64_t sweep = 0; sweep < params_.sweeps; ++sweep) {
      const State before = state_;
      for (const Block& block : blocks_) visit(block);
      if (format_.group_size == 0 && own_scales_) refit_rows();
      keep_better_rows(before, errors);
      const double last = found.stats.error_frac.back();
      found.stats.error_frac.push_back(frac());
      if (found.stats.error_frac.back() > last * (1 - params_.min_gain_frac)) break;
    }
    found.values = transposed(state_.q, k_, n_);
    found.scales = std::move(state_.scales);
    return found;
  }

 private:
  // (rows, cols) to (cols, rows).
  static std::vector<float> transposed(const std::vector<float>& x, int64_t rows, int64_t cols) {
    std::vector<float> turned(x.size());
    constexpr int64_t kTile = 64;
    for (int64_t row0 = 0; row0 < rows; row0 += kTile)
      for (int64_t col = 0; col < cols; ++col)
        for (int64_t row = row0; row < std::min(rows, row0 + kTile); ++row)
          turned[static_cast<size_t>(col * rows + row)] = x[static_cast<size_t>(row * cols + col)];
    return turned;
  }

  std::vector<float> times_h(const std::vector<float>& x) const {
    std::vector<float> y(x.size());
    host::matmul({h_.data(), k_, k_}, {x.data(), k_, n_}, y.data());
    return y;
  }
  std::vector<double> column_dots(const std::vector<float>& x, const std::vector<float>& y) const {
    std::vector<double> sums(static_cast<size_t>(n_));
    for (int64_t j = 0; j < k_; ++j)
      for (int64_t row = 0; row < n_; ++row) {
        const auto at = static_cast<size_t>(j * n_ + row);
        sums[static_cast<size_t>(row)] += static_cast<double>(x[at]) * static_cast<double>(y[at]);
      }
    return sums;
  }
  double output_of_target() const {
    const std::vector<double> rows = column_dots(target_, times_h(target_));
    return std::accumulate(rows.begin(), rows.end(), 0.0);
  }
  // Sets g anew, so that what rounding errors of many steps left in it is gone.
  std::vector<double> row_errors() {
    std::vector<float> difference(state_.q.size());
    for (size_t i = 0; i < difference.size(); ++i) difference[i] = state_.q[i] - target_[i];
    state_.g = times_h(difference);
    return column_dots(difference, state_.g);
  }

  // FP32 sums may promise what the error in double does not keep: such rows go back.
  void keep_better_rows(const State& before, std::vector<double>& errors) {
    const std::vector<double> now = row_errors();
    for (int64_t row = 0; row < n_; ++row) {
      double& error = errors[static_cast<size_t>(row)];
      if (now[static_cast<size_t>(row)] <= error) {
        error = now[static_cast<size_t>(row)];
        continue;
      }
      for (int64_t j = 0; j < k_; ++j) {
        const auto at = static_cast<size_t>(j * n_ + row);
        state_.q[at] = before.q[at];
        state_.g[at] = before.g[at];
      }
      if (!own_scales_) continue;
      for (int64_t group = 0; group < state_.scales.groups; ++group)
        copy_scale(before.scales, static_cast<size_t>(row * state_.scales.groups + group));
    }
  }
  void copy_scale(const formats::MatrixScales& from, size_t at) {
    state_.scales.stored[at] = from.stored[at];
    state_.scales.scale[at] = from.scale[at];
    if (format_.asymmetric) state_.scales.zero[at] = from.zero[at];
  }

  void visit(const Block& block) {
    std::vector<float> moved(static_cast<size_t>(block.length * n_));
    const int64_t panels = (n_ + kPanel - 1) / kPanel;
    parallel_for(panels, [&](int64_t p, int64_t) {
      visit_panel(block, p * kPanel, std::min(n_, (p + 1) * kPanel), moved.data());
    });
    // g (k, n) += H[block, :]^T moved (block, n)
    host::matmul({h_.data() + block.begin * k_, block.length, k_, true},
                 {moved.data(), block.length, n_}, state_.g.data(), true);
  }

  // The scale's place of a row in a block.
  size_t scale_at(const Block& block, int64_t row) const {
    const int64_t height = format_.group_rows == 0 ? n_ : format_.group_rows;
    const int64_t group = format_.group_size == 0 ? 0 : block.begin / format_.group_size;
    return static_cast<size_t>(row / height * state_.scales.groups + group);
  }
  std::vector<Panel> gather(const Block& block, const std::vector<float>& x, int64_t first,
                            int64_t last) const {
    std::vector<Panel> packed(static_cast<size_t>(block.length), Panel{});
    for (size_t i = 0; i < packed.size(); ++i)
      std::copy_n(x.data() + (block.begin + block.order[i]) * n_ + first, last - first,
                  packed[i].begin());
    return packed;
  }

  void visit_panel(const Block& block, int64_t first, int64_t last, float* moved) {
    const std::vector<Panel> q = gather(block, state_.q, first, last);
    const std::vector<Panel> g = gather(block, state_.g, first, last);
    const std::vector<Panel> kept =
        kept_.empty() ? std::vector<Panel>{} : gather(block, kept_, first, last);
    const std::vector<Panel> t = best_real_values(block, q, g);
    Panel scale{};
    Panel zero{};
    for (int64_t row = first; row < last; ++row) {
      const size_t at = scale_at(block, row);
      scale[static_cast<size_t>(row - first)] = state_.scales.scale[at];
      if (format_.asymmetric)
        zero[static_cast<size_t>(row - first)] = static_cast<float>(state_.scales.zero[at]);
    }
    Proposal best = propose(block, t, kept, scale, zero);
    std::vector<Panel> step = best.values;
    for (size_t i = 0; i < step.size(); ++i) add(-1, q[i], step[i]);
    // The gradient where the proposal stands.
    std::vector<Panel> slope = times_moments(block, step);
    for (size_t i = 0; i < slope.size(); ++i) add(1, g[i], slope[i]);
    descend(block, kept, best, slope);
    if (own_scales_ && format_.group_size != 0) refit(block, best, slope);
    accept(block, first, last, {q, g, slope}, best, moved);
  }

  // Feedback rounding of t under each scale; the best of each row.
  Proposal propose(const Block& block, const std::vector<Panel>& t, const std::vector<Panel>& kept,
                   const Panel& scale, const Panel& zero) const {
    Proposal best(block.length);
    best.error.fill(std::numeric_limits<float>::infinity());
    Proposal trial(block.length);
    const bool search = own_scales_ && format_.group_size != 0;
    const bool binades = format_.scale == formats::ScaleType::kE8m0;
    const std::span<const float> factors =
        binades ? std::span<const float>(kBinades) : std::span<const float>(kFactors);
    const int zero_reach = search && format_.asymmetric ? 1 : 0;
    const int signs = search && formats::has_signed_scale(format_) ? 2 : 1;
    for (size_t f = 0; f < (search ? factors.size() : 1); ++f)
      for (int sign = 0; sign < signs; ++sign)
        for (int shift = -zero_reach; shift <= zero_reach; ++shift) {
          trial.scale = search ? scaled(scale, sign == 0 ? factors[f] : -factors[f]) : scale;
          trial.zero = shifted(zero, shift);
          feed_back(block, t, kept, trial);
          take_better(trial, best);
        }
    return best;
  }

  Panel scaled(const Panel& scale, float factor) const {
    Panel to{};
    for (size_t r = 0; r < kPanel; ++r)
      if (scale[r] != 0) to[r] = nearest(scale[r] * factor).scale;
    return to;
  }
  formats::StoredScale nearest(float wanted) const {
    return formats::nearest_scale(format_, state_.scales.tensor_scale, wanted);
  }
  Panel shifted(const Panel& zero, int shift) const {
    Panel to = zero;
    const auto top = static_cast<float>((1 << format_.bits) - 1);
    if (shift != 0)
      for (float& z : to) z = std::clamp(z + static_cast<float>(shift), 0.0F, top);
    return to;
  }

  void round_panel(const Proposal& under, const Panel& x, const Panel* kept, Panel& to) const {
    rounder_.round_under(under.scale.data(), format_.asymmetric ? under.zero.data() : nullptr,
                         kPanel, x.data(), to.data());
    if (kept == nullptr) return;
    for (size_t r = 0; r < kPanel; ++r)
      if ((*kept)[r] == 0) to[r] = 0;
  }

  void feed_back(const Block& block, const std::vector<Panel>& t, const std::vector<Panel>& kept,
                 Proposal& trial) const {
    const size_t length = t.size();
    std::vector<Panel> rest = t;
    trial.error = {};
    for (size_t i = 0; i < length; ++i) {
      round_panel(trial, rest[i], kept.empty() ? nullptr : &kept[i], trial.values[i]);
      const float inverse = 1.0F / block.upper[i * length + i];
      Panel error;
      for (size_t r = 0; r < kPanel; ++r) {
        error[r] = (rest[i][r] - trial.values[i][r]) * inverse;
        trial.error[r] += error[r] * error[r];
      }
      for (size_t j = i + 1; j < length; ++j) add(-block.upper[i * length + j], error, rest[j]);
    }
  }

  static void take_better(const Proposal& trial, Proposal& best) {
    Panel better;
    for (size_t r = 0; r < kPanel; ++r) better[r] = trial.error[r] < best.error[r] ? 1.0F : 0.0F;
    const auto take = [&](const Panel& from, Panel& to) {
      for (size_t r = 0; r < kPanel; ++r) to[r] = better[r] != 0 ? from[r] : to[r];
    };
    for (size_t i = 0; i < trial.values.size(); ++i) take(trial.values[i], best.values[i]);
    take(trial.scale, best.scale);
    take(trial.zero, best.zero);
    take(trial.error, best.error);
  }

  // One pass over single codes, each to the best of its column.
  void descend(const Block& block, const std::vector<Panel>& kept, Proposal& best,
               std::vector<Panel>& slope) const {
    const size_t length = slope.size();
    for (size_t i = 0; i < length; ++i) {
      Panel& value = best.values[i];
      Panel wanted;
      for (size_t r = 0; r < kPanel; ++r) wanted[r] = value[r] - slope[i][r] * block.inverse_of[i];
      Panel step;
      round_panel(best, wanted, kept.empty() ? nullptr : &kept[i], step);
      std::swap(step, value);
      for (size_t r = 0; r < kPanel; ++r) step[r] = value[r] - step[r];
      for (size_t j = 0; j < length; ++j) add(block.moments[i * length + j], step, slope[j]);
    }
  }

  // The scale of least error under the proposal's codes, as far as the format stores it.
  void refit(const Block& block, Proposal& best, std::vector<Panel>& slope) const {
    const std::vector<Panel> pull = times_moments(block, best.values);
    Panel linear{};
    Panel square{};
    for (size_t i = 0; i < pull.size(); ++i)
      for (size_t r = 0; r < kPanel; ++r) {
        linear[r] += best.values[i][r] * slope[i][r];
        square[r] += best.values[i][r] * pull[i][r];
      }
    Panel change{};
    for (size_t r = 0; r < kPanel; ++r) {
      const float wanted = square[r] > 0 ? 1 - linear[r] / square[r] : 1;
      if (best.scale[r] == 0 || !(wanted > .5F && wanted < 2)) continue;
      const float scale = nearest(best.scale[r] * wanted).scale;
      const float step = scale / best.scale[r] - 1;
      if (!(step * (2 * linear[r] + step * square[r]) < 0)) continue;
      change[r] = step;
      best.scale[r] = scale;
    }
    for (size_t i = 0; i < pull.size(); ++i) {
      Panel wanted;
      for (size_t r = 0; r < kPanel; ++r) {
        wanted[r] = best.values[i][r] * (1 + change[r]);
        slope[i][r] += change[r] * pull[i][r];
      }
      round_panel(best, wanted, nullptr, best.values[i]);
    }
  }

  struct Standing {
    const std::vector<Panel>& q;
    const std::vector<Panel>& g;
    const std::vector<Panel>& slope;  // at the proposal
  };

  // E(best) - E(q) = sum of (best - q) (g + slope); rows that gain move.
  void accept(const Block& block, int64_t first, int64_t last, const Standing& at,
              const Proposal& best, float* moved) {
    Panel change{};
    for (size_t i = 0; i < at.q.size(); ++i)
      for (size_t r = 0; r < kPanel; ++r)
        change[r] += (best.values[i][r] - at.q[i][r]) * (at.g[i][r] + at.slope[i][r]);
    for (int64_t row = first; row < last; ++row) {
      const auto r = static_cast<size_t>(row - first);
      if (!(change[r] < 0)) continue;
      for (size_t i = 0; i < at.q.size(); ++i) {
        const int64_t column = block.order[i];
        moved[column * n_ + row] = best.values[i][r] - at.q[i][r];
        state_.q[static_cast<size_t>((block.begin + column) * n_ + row)] = best.values[i][r];
      }
      if (own_scales_ && format_.group_size != 0 && best.scale[r] != 0)
        write_scale(scale_at(block, row), best.scale[r], best.zero[r]);
    }
  }
  void write_scale(size_t at, float scale, float zero) {
    const formats::StoredScale found = nearest(scale);
    state_.scales.stored[at] = found.stored;
    state_.scales.scale[at] = found.scale;
    if (format_.asymmetric) state_.scales.zero[at] = static_cast<uint8_t>(zero);
  }

  // Scales of whole rows, after a sweep: closed form under all codes of the row.
  void refit_rows() {
    const std::vector<double> linear = column_dots(state_.q, state_.g);
    const std::vector<double> square = column_dots(state_.q, times_h(state_.q));
    for (int64_t row = 0; row < n_; ++row) {
      const auto at = static_cast<size_t>(row);
      const float old = state_.scales.scale[at];
      const double wanted = square[at] > 0 ? 1 - linear[at] / square[at] : 1;
      if (old == 0 || !(wanted > .5 && wanted < 2)) continue;
      const formats::StoredScale found = nearest(old * static_cast<float>(wanted));
      const double step = static_cast<double>(found.scale / old) - 1;
      if (!(step * (2 * linear[at] + step * square[at]) < 0)) continue;
      state_.scales.stored[at] = found.stored;
      state_.scales.scale[at] = found.scale;
      const float zero = format_.asymmetric ? static_cast<float>(state_.scales.zero[at]) : 0.0F;
      for (int64_t j = 0; j < k_; ++j) {
        float& value = state_.q[static_cast<size_t>(j * n_ + row)];
        const float moved = value / old * found.scale;
        rounder_.round_under(&found.scale, format_.asymmetric ? &zero : nullptr, 1, &moved, &value);
      }
    }
  }

  const formats::WeightFormat& format_;
  const RefineParams& params_;
  const std::vector<float>& h_;
  int64_t n_;
  int64_t k_;
  formats::ColumnRounder rounder_;
  std::vector<float> target_;  // (k, n)
  std::vector<float> kept_;    // (k, n) 0 where a sparse format dropped; empty for dense ones
  State state_;
  bool own_scales_;  // each group's scale is its row's alone and may move
  std::vector<Block> blocks_;
};

Status check(const formats::WeightFormat& format, const RefineParams& params,
             const model::Matrix& w, const std::vector<float>& h, const std::vector<float>& start) {
  if (format.element == formats::Element::kBf16)
    return invalid_argument("coordinate descent: format bf16, want one with codes");
  if (params.sweeps < 0 || params.sweeps > kMaxSweeps)
    return invalid_argument(
        fmt::format("coordinate descent: sweeps = {}, want 0..{}", params.sweeps, kMaxSweeps));
  if (start.size() != w.values.size())
    return invalid_argument(fmt::format("coordinate descent: starts from {} values, want {} x {}",
                                        start.size(), w.rows, w.cols));
  if (std::ssize(h) != w.cols * w.cols)
    return invalid_argument(
        fmt::format("coordinate descent: the second moments have {} values, want {} x {}", h.size(),
                    w.cols, w.cols));
  if (!std::ranges::all_of(h, [](float value) { return std::isfinite(value); }))
    return invalid_argument("coordinate descent: the second moments of the inputs are not finite");
  return {};
}

}  // namespace

Result<Refined> refine(const formats::WeightFormat& format, const RefineParams& params,
                       const model::Matrix& w, const std::vector<float>& h,
                       const std::vector<float>& start, const formats::MatrixScales& scales) {
  DOVETAIL_TRY_STATUS(check(format, params, w, h, start));
  Descent descent(format, params, w, h, start, scales);
  DOVETAIL_TRY_STATUS(descent.make_blocks());
  return descent.run();
}

}  // namespace dovetail::compress
