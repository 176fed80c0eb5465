#include "formats/codebook.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/parallel.h"

namespace dovetail::formats {
namespace {

constexpr int64_t kBins = 4096;  // over -127..127: an eighth of what two levels differ in at least
constexpr int kIterations = 60;
constexpr int64_t kRowsPerPart = 64;  // fixed, so that sums do not depend on threads

struct Bin {
  double weight = 0;
  double sum = 0;  // weight times value
};
using Histogram = std::vector<Bin>;

void add(const Histogram& from, Histogram& to) {
  for (size_t i = 0; i < to.size(); ++i) {
    to[i].weight += from[i].weight;
    to[i].sum += from[i].sum;
  }
}

// Values of rows first..last in units of their group's plain scale. Squared error counts in units
// of w, so each value weighs as the square of that scale.
Histogram part_histogram(const WeightFormat& format, int64_t first, int64_t last, int64_t k,
                         const float* w, const float* importance) {
  Histogram bins(static_cast<size_t>(kBins));
  const int64_t length = format.group_size == 0 ? k : format.group_size;
  for (int64_t row = first; row < last; ++row)
    for (int64_t begin = 0; begin < k; begin += length) {
      const int64_t end = std::min(begin + length, k);
      float absmax = 0;
      for (int64_t i = begin; i < end; ++i) absmax = std::max(absmax, std::fabs(w[row * k + i]));
      if (absmax == 0) continue;
      const double scale = static_cast<double>(absmax) / static_cast<double>(kLevelMax);
      for (int64_t i = begin; i < end; ++i) {
        const double x = static_cast<double>(w[row * k + i]) / scale;
        const auto bin = static_cast<int64_t>((x / static_cast<double>(kLevelMax) + 1) / 2 *
                                              static_cast<double>(kBins));
        const double weight =
            scale * scale * (importance == nullptr ? 1.0 : static_cast<double>(importance[i]));
        Bin& into = bins[static_cast<size_t>(std::clamp<int64_t>(bin, 0, kBins - 1))];
        into.weight += weight;
        into.sum += weight * x;
      }
    }
  return bins;
}

Histogram histogram_of(const WeightFormat& format, int64_t rows, int64_t k, const float* w,
                       const float* importance) {
  const int64_t parts = (rows + kRowsPerPart - 1) / kRowsPerPart;
  std::vector<Histogram> found(static_cast<size_t>(parts));
  parallel_for(parts, [&](int64_t part, int64_t) {
    found[static_cast<size_t>(part)] = part_histogram(
        format, part * kRowsPerPart, std::min(rows, (part + 1) * kRowsPerPart), k, w, importance);
  });
  Histogram bins(static_cast<size_t>(kBins));
  for (const Histogram& part : found) add(part, bins);
  return bins;
}

// One step of Lloyd's iteration: every bin goes to its nearest level, every level to the mean of
// its bins. The level at `zero` stays 0.
void lloyd_step(const Histogram& bins, size_t zero, std::vector<double>& levels) {
  std::vector<Bin> cells(levels.size());
  size_t cell = 0;
  for (const Bin& bin : bins) {
    if (bin.weight == 0) continue;
    const double x = bin.sum / bin.weight;
    while (cell + 1 < levels.size() && x > (levels[cell] + levels[cell + 1]) / 2) ++cell;
    cells[cell].weight += bin.weight;
    cells[cell].sum += bin.sum;
  }
  for (size_t i = 0; i < levels.size(); ++i)
    if (i != zero && cells[i].weight > 0) levels[i] = cells[i].sum / cells[i].weight;
}

}  // namespace

const Levels& normal_levels(int64_t bits) {
  static const Levels kThreeBits = {-127, -68, -31, 0, 23, 49, 79, 127};
  static const Levels kFourBits = {-127, -88, -67, -50, -36, -23, -12, 0,
                                   10,   20,  31,  43,  56,  71,  92,  127};
  DOVETAIL_CHECK(bits == 3 || bits == 4);
  return bits == 3 ? kThreeBits : kFourBits;
}

Levels fit_levels(const WeightFormat& format, int64_t rows, int64_t k, const float* w,
                  const float* importance) {
  const Levels& start = normal_levels(format.bits);
  std::vector<double> levels(start.begin(), start.end());
  const auto zero = static_cast<size_t>(std::ranges::find(start, 0) - start.begin());
  const Histogram bins = histogram_of(format, rows, k, w, importance);
  for (int i = 0; i < kIterations; ++i) lloyd_step(bins, zero, levels);
  Levels fitted;
  for (const double level : levels) {
    const double nearest = std::clamp(std::nearbyint(level), -127.0, 127.0);
    fitted.push_back(static_cast<int8_t>(nearest));
  }
  // Distinct again where rounding joined two: outwards from zero, which stays.
  for (size_t i = zero + 1; i < fitted.size(); ++i)
    fitted[i] = static_cast<int8_t>(std::min(127, std::max<int>(fitted[i], fitted[i - 1] + 1)));
  for (size_t i = zero; i-- > 0;)
    fitted[i] = static_cast<int8_t>(std::max(-127, std::min<int>(fitted[i], fitted[i + 1] - 1)));
  return fitted;
}

const Levels& levels_of(const WeightFormat& format, const Levels& fitted) {
  return format.element == Element::kTable ? fitted : normal_levels(format.bits);
}

std::vector<float> level_thresholds(const Levels& levels, Ties ties) {
  std::vector<float> thresholds;
  for (size_t i = 0; i + 1 < levels.size(); ++i) {
    const float low = levels[i];
    const float high = levels[i + 1];
    const float middle = (low + high) / 2;  // halves of small integers: exact
    const bool upper_is_larger = std::fabs(high) > std::fabs(low);
    const bool up =
        ties == Ties::kEven ? (i + 1) % 2 == 0 : (ties == Ties::kAway) == upper_is_larger;
    thresholds.push_back(up ? middle
                            : std::nextafter(middle, std::numeric_limits<float>::infinity()));
  }
  return thresholds;
}

}  // namespace dovetail::formats
