#include "compress/code_ladder.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "formats/code_values.h"
#include "formats/stored_scale.h"
#include "host/layer_ops.h"

namespace dovetail::compress {
namespace {

constexpr float kMostClip = 0.4F;    // alpha stays within 1 -+ this
constexpr float kCellEdge = 0.499F;  // |V| at the start, so that it is written as its code

// Where x lies on the ladder, linear between its steps.
float position_of(const std::vector<float>& ladder, float x) {
  const auto above = std::ranges::upper_bound(ladder, x);
  if (above == ladder.begin()) return 0;
  const auto at = static_cast<float>(above - ladder.begin() - 1);
  if (above == ladder.end()) return at;
  const float low = *(above - 1);
  return at + (x - low) / (*above - low);
}

float sign_of(float x) {
  return static_cast<float>((x > 0) - (x < 0));
}

}  // namespace

Result<CodeLadder> CodeLadder::make(const RoundedLinear& start, const model::Matrix& original,
                                    double start_reach, double reach) {
  CodeLadder made;
  made.format_ = start.format;
  made.rows_ = original.rows;
  made.k_ = original.cols;
  if (start.format.element == formats::Element::kBf16) return made;
  const int64_t groups = formats::num_row_groups(start.format, made.rows_) *
                         formats::num_groups(start.format, made.k_);
  if (start.values.size() != original.values.size() || std::ssize(start.scales.scale) != groups)
    return invalid_argument(
        fmt::format("learned rounding: starts from {} values and {} scales, want {} x {} and {}",
                    start.values.size(), start.scales.scale.size(), made.rows_, made.k_, groups));
  made.reach_ = static_cast<float>(reach);
  made.scales_move_ = start.format.group_rows == 1 &&
                      start.format.scale != formats::ScaleType::kE8m0 &&
                      start.format.scale != formats::ScaleType::kUint8;
  made.ladder_ = formats::code_values(start.format, start.scales.levels);
  made.start_ = start.scales;
  made.scale_ = start.scales.scale;
  made.factor_.assign(made.scale_.size(), 1.0F);
  DOVETAIL_TRY_STATUS(
      made.place(start, original, std::min(static_cast<float>(start_reach), kCellEdge)));
  return made;
}

int64_t CodeLadder::group_length() const {
  return format_.group_size == 0 ? k_ : format_.group_size;
}

size_t CodeLadder::group_at(int64_t row, int64_t column) const {
  const int64_t height = format_.group_rows == 0 ? rows_ : format_.group_rows;
  return static_cast<size_t>(row / height * start_.groups + column / group_length());
}

Status CodeLadder::place(const RoundedLinear& start, const model::Matrix& original,
                         float start_reach) {
  const bool sparse = formats::is_sparse(format_);
  code_.resize(start.values.size());
  offset_.resize(start.values.size());
  if (sparse) fixed_.resize(start.values.size());
  for (int64_t row = 0; row < rows_; ++row)
    for (int64_t column = 0; column < k_; ++column) {
      const auto at = static_cast<size_t>(row * k_ + column);
      const size_t group = group_at(row, column);
      const float scale = scale_[group];
      if (scale == 0) continue;
      const float zero = format_.asymmetric ? static_cast<float>(start_.zero[group]) : 0.0F;
      const float position = position_of(ladder_, start.values[at] / scale + zero);
      const float code = std::round(position);
      if (!(std::fabs(position - code) < 1e-2F))
        return invalid_argument(
            fmt::format("learned rounding: the value ({}, {}) is {}, no code of "
                        "{} under a scale of {}",
                        row, column, start.values[at], formats::format_name(format_), scale));
      code_[at] = static_cast<uint8_t>(code);
      offset_[at] = std::clamp(position_of(ladder_, original.values[at] / scale + zero) - code,
                               -start_reach, start_reach);
      if (sparse && start.values[at] == 0) {
        fixed_[at] = 1;
        offset_[at] = 0;
      }
    }
  return {};
}

void CodeLadder::step(const std::vector<float>& gradient, float rate, float scale_rate) {
  if (ladder_.empty()) return;
  host::for_row_pieces(rows_, 4 * k_, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      step_row(row, gradient.data() + row * k_, rate, scale_rate);
  });
}

void CodeLadder::step_row(int64_t row, const float* gradient, float rate, float scale_rate) {
  const auto top = static_cast<float>(ladder_.size() - 1);
  for (int64_t begin = 0; begin < k_; begin += group_length()) {
    const size_t group = group_at(row, begin);
    const int64_t end = std::min(k_, begin + group_length());
    const float scale = scale_[group];
    const float zero = format_.asymmetric ? static_cast<float>(start_.zero[group]) : 0.0F;
    double pull = 0;  // of the scale: gradient times value
    for (int64_t column = begin; column < end; ++column) {
      const auto at = static_cast<size_t>(row * k_ + column);
      if (!fixed_.empty() && fixed_[at] != 0) continue;
      const auto code = static_cast<float>(code_[at]);
      const float position = std::clamp(code + offset_[at], 0.0F, top);
      const float value = (ladder_[static_cast<size_t>(std::lrint(position))] - zero) * scale;
      pull += static_cast<double>(gradient[column] * value);
      const float moved = offset_[at] - rate * sign_of(gradient[column]) * sign_of(scale);
      offset_[at] = std::clamp(std::clamp(moved, -reach_, reach_), -code, top - code);
    }
    if (!scales_move_ || scale == 0 || scale_rate == 0) continue;
    factor_[group] = std::clamp(factor_[group] - scale_rate * sign_of(static_cast<float>(pull)),
                                1 - kMostClip, 1 + kMostClip);
    scale_[group] =
        formats::nearest_scale(format_, start_.tensor_scale, start_.scale[group] * factor_[group])
            .scale;
  }
}

void CodeLadder::write(std::vector<float>& values) const {
  if (ladder_.empty()) return;
  const auto top = static_cast<float>(ladder_.size() - 1);
  host::for_row_pieces(rows_, 2 * k_, [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row)
      for (int64_t column = 0; column < k_; ++column) {
        const auto at = static_cast<size_t>(row * k_ + column);
        const size_t group = group_at(row, column);
        const float zero = format_.asymmetric ? static_cast<float>(start_.zero[group]) : 0.0F;
        const float position = std::clamp(static_cast<float>(code_[at]) + offset_[at], 0.0F, top);
        const bool stays_zero = scale_[group] == 0 || (!fixed_.empty() && fixed_[at] != 0);
        values[at] = stays_zero ? 0.0F
                                : (ladder_[static_cast<size_t>(std::lrint(position))] - zero) *
                                      scale_[group];
      }
  });
}

formats::MatrixScales CodeLadder::scales() const {
  formats::MatrixScales now = start_;
  for (size_t group = 0; group < scale_.size(); ++group) {
    if (scale_[group] == start_.scale[group]) continue;
    now.stored[group] = formats::nearest_scale(format_, start_.tensor_scale, scale_[group]).stored;
    now.scale[group] = scale_[group];
  }
  return now;
}

}  // namespace dovetail::compress
