#include "silicon/dram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <vector>

#include "base/random.h"

namespace dovetail::silicon {
namespace {

const Constants& constants() {
  static const Constants resolved = *resolve_constants(*Technology::load("data/technology"));
  return resolved;
}

DramAccess one_channel(const char* kind) {
  DramAccess dram = dram_access(constants(), constants().dram.at(kind), 1);
  dram.channels = 1;
  return dram;
}

double efficiency(const DramAccess& dram, const DramPattern& pattern) {
  return 1 / (ns_per_byte(dram, pattern) * dram.channels * dram.bytes_per_ns);
}

// One channel that serves a trace request by request: a window of requests, open rows first, then
// the oldest; requests that come after a row was opened do not keep it open while older ones wait
// for its bank. Every bank has its own row, all share one data bus. Streams take turns; a stream
// goes through its rows in order and from one extent to another at random. Bank of a row: by a
// hash, or all in one. Knows nothing of probabilities, nor of refresh and of what a controller
// exposes of a long stream's rows.
class LiteralChannel {
 public:
  LiteralChannel(const DramAccess& dram, const DramPattern& pattern, double burst)
      : dram_(dram), pattern_(pattern), burst_(burst), random_(17) {
    banks_.resize(static_cast<size_t>(dram.banks));
    streams_.resize(static_cast<size_t>(pattern.streams));
    for (Stream& stream : streams_) stream.address = new_place();
  }

  double walk_ns_per_byte(int64_t requests) {
    const auto window = static_cast<size_t>(dram_.window_bytes / burst_);
    for (int64_t served = 0; served < requests; ++served) {
      while (queue_.size() < window) queue_.push_back(next_request());
      serve_one();
    }
    return now_ / (static_cast<double>(requests) * burst_);
  }

 private:
  struct Request {
    int64_t row = 0;
    size_t bank = 0;
    int64_t number = 0;
  };
  struct Bank {
    int64_t row = -1;
    double ready = -1e9;  // first data of the open row
    int64_t opened = 0;   // number of the next request when it was opened
  };
  struct Stream {
    double address = 0;
    double left_of_extent = 0;
  };

  double new_place() {
    return static_cast<double>(random_.below(int64_t{1} << 24)) * dram_.row_bytes;
  }

  Request next_request() {
    if (left_of_turn_ < burst_ / 2) {
      turn_ = (turn_ + 1) % streams_.size();
      left_of_turn_ = std::max(pattern_.turn_bytes, burst_);
    }
    Stream& stream = streams_[turn_];
    if (stream.left_of_extent < burst_ / 2) {
      if (std::isfinite(pattern_.extent_bytes)) stream.address = new_place();
      stream.left_of_extent = pattern_.extent_bytes;
    }
    const auto row = static_cast<int64_t>(stream.address / dram_.row_bytes);
    stream.address += burst_;
    stream.left_of_extent -= burst_;
    left_of_turn_ -= burst_;
    return {row, bank_of(row), number_++};
  }

  size_t bank_of(int64_t row) const {
    if (pattern_.spread_banks == 1) return 0;
    if (pattern_.streams <= 1 && !std::isfinite(pattern_.extent_bytes)) {
      return static_cast<size_t>(row) % banks_.size();
    }
    const uint64_t mixed = static_cast<uint64_t>(row) * 0x9e3779b97f4a7c15ULL;
    return static_cast<size_t>(mixed >> 40) % banks_.size();
  }

  // Waits in the window for the open row of the bank, since before it was opened.
  bool wanted(size_t index) const {
    const Bank& bank = banks_[index];
    return std::ranges::any_of(queue_, [&](const Request& r) {
      return r.bank == index && r.row == bank.row && r.number < bank.opened;
    });
  }

  // Each bank whose open row is not wanted opens the row of its oldest request.
  void open_rows() {
    std::vector<bool> seen(banks_.size(), false);
    for (const Request& request : queue_) {
      if (seen[request.bank]) continue;
      seen[request.bank] = true;
      if (wanted(request.bank)) continue;
      Bank& bank = banks_[request.bank];
      bank.opened = number_;
      if (bank.row == request.row) continue;
      bank.ready = std::max({now_ + dram_.row_open_ns, bank.ready + dram_.row_cycle_ns,
                             last_opened_ + dram_.activate_ns});
      bank.row = request.row;
      last_opened_ = bank.ready;
    }
  }

  void serve_one() {
    open_rows();
    auto chosen = queue_.end();
    double first_ready = 1e300;
    for (auto it = queue_.begin(); it != queue_.end(); ++it) {
      const Bank& bank = banks_[it->bank];
      if (bank.row != it->row) continue;
      const double ready = std::max(bank.ready, now_);
      if (ready < first_ready) {
        first_ready = ready;
        chosen = it;
      }
    }
    ASSERT_NE(chosen, queue_.end());
    now_ = first_ready + burst_ / dram_.bytes_per_ns;
    queue_.erase(chosen);
  }

  const DramAccess dram_;
  const DramPattern pattern_;
  const double burst_;
  Random random_;
  std::vector<Bank> banks_;
  std::vector<Stream> streams_;
  std::deque<Request> queue_;
  size_t turn_ = 0;
  int64_t number_ = 0;
  double left_of_turn_ = 0;
  double now_ = 0;
  double last_opened_ = -1e9;
};

// The closed form counts means where the walk has luck; the two share timings and nothing else.
TEST(DramEfficiency, FollowsALiteralWalkOfRequests) {
  double worst = 0;
  double sum = 0;
  int count = 0;
  for (const char* kind : {"lpddr4x", "lpddr5", "ddr5", "gddr6", "hbm2e", "hbm3"}) {
    DramAccess dram = one_channel(kind);
    dram.refresh_frac = 0;
    dram.row_open_exposed_frac = 0;
    const double burst = constants().dram.at(kind).burst_bytes;
    std::vector<DramPattern> patterns = {{}};
    for (const double banks : {0.0, 1.0}) {
      for (const double streams : {2.0, 3.0, 8.0, 32.0}) {
        for (const double turn : {burst, 256.0, 2048.0}) {
          patterns.push_back({.streams = streams, .turn_bytes = turn, .spread_banks = banks});
        }
      }
    }
    for (const double streams : {1.0, 4.0, 16.0}) {
      for (const double extent : {burst, 256.0, 1024.0}) {
        patterns.push_back({.streams = streams, .turn_bytes = extent, .extent_bytes = extent});
      }
    }
    for (const DramPattern& pattern : patterns) {
      const double walked = LiteralChannel(dram, pattern, burst).walk_ns_per_byte(20000);
      const double ratio = ns_per_byte(dram, pattern) / walked;
      const double error = std::abs(std::log(ratio));
      worst = std::max(worst, error);
      sum += error;
      ++count;
    }
  }
  RecordProperty("mean", std::to_string(sum / count));
  RecordProperty("worst", std::to_string(worst));
  EXPECT_LT(sum / count, 0.09);
  EXPECT_LT(worst, 0.55);
}

// What a cycle-level simulator measures (Ramulator 2.1, one channel, all-bank refresh).
struct Measured {
  const char* kind;
  double exposed_frac;  // of the address map: rows in order, or hashed over banks
  DramPattern pattern;
  double efficiency;
};

std::vector<Measured> measured() {
  const DramPattern random = {.streams = 1e6, .turn_bytes = 32, .extent_bytes = 32};
  const auto unlucky = [](double streams) {
    return DramPattern{.streams = streams, .turn_bytes = 32, .spread_banks = 1};
  };
  return {{"lpddr5", 0.55, {}, 0.806},
          {"lpddr5", 0.001, {}, 0.929},
          {"lpddr5", 0.55, {}, 0.802},
          {"lpddr5", 0.001, unlucky(2), 0.511},
          {"lpddr5", 0.001, unlucky(8), 0.244},
          {"lpddr5", 0.001, random, 0.445},
          {"hbm3", 0.08, {}, 0.852},
          {"hbm3", 0.001, {}, 0.894},
          {"hbm3", 0.27, {}, 0.744},
          {"hbm3", 0.001, unlucky(2), 0.523},
          {"hbm3", 0.001, unlucky(8), 0.217},
          {"hbm3", 0.001, random, 0.301}};
}

TEST(DramEfficiency, IsNearTheMeasuredPatterns) {
  double sum = 0;
  for (const Measured& point : measured()) {
    DramAccess dram = one_channel(point.kind);
    dram.row_open_exposed_frac = point.exposed_frac;
    const double modelled = efficiency(dram, point.pattern);
    sum += std::abs(modelled / point.efficiency - 1);
    EXPECT_NEAR(modelled, point.efficiency, 0.25 * point.efficiency) << point.kind;
  }
  EXPECT_LT(sum / static_cast<double>(measured().size()), 0.08);
}

// The streaming efficiency of each kind is derived; it must lie where it is measured.
TEST(DramEfficiency, StreamsWithinTheMeasuredBandOfEachKind) {
  const auto technology = Technology::load("data/technology");
  ASSERT_TRUE(technology.has_value());
  for (const auto& [kind, dram] : constants().dram) {
    const std::string key = "dram." + kind + ".efficiency_stream_frac";
    const Constant& band = technology->constants().at(key);
    const double stream = efficiency(dram_access(constants(), dram, 4), {});
    EXPECT_GE(stream, band.low) << kind;
    EXPECT_LE(stream, band.high) << kind;
    EXPECT_DOUBLE_EQ(stream, 1 / (best_ns_per_byte(one_channel(kind.c_str())) *
                                  one_channel(kind.c_str()).bytes_per_ns))
        << kind;
  }
}

TEST(DramEfficiency, NeverBeatsOneStreamAndGrowsWithTheRunInOneBank) {
  Random random(5);
  for (int i = 0; i < 20000; ++i) {
    auto it = constants().dram.begin();
    std::advance(it, random.below(static_cast<int64_t>(constants().dram.size())));
    const DramAccess dram = dram_access(constants(), it->second, 1 + random.below(16));
    DramPattern pattern = {
        .streams = static_cast<double>(1 + random.below(random.below(2) == 0 ? 4 : 300)),
        .turn_bytes = std::exp2(5 + random.uniform() * 12),
        .spread_banks = static_cast<double>(random.below(2))};
    if (random.below(2) == 0) pattern.extent_bytes = std::exp2(5 + random.uniform() * 14);
    const double ns = ns_per_byte(dram, pattern);
    ASSERT_GE(ns, best_ns_per_byte(dram) * (1 - 1e-12));
    if (pattern.spread_banks != 1) continue;  // larger turns, fewer banks in the window
    pattern.turn_bytes *= 2;
    pattern.extent_bytes *= 2;
    ASSERT_LE(ns_per_byte(dram, pattern), ns * (1 + 1e-9))
        << it->first << " " << pattern.streams << " " << pattern.turn_bytes;
  }
}

TEST(DramEfficiency, MatchesAHandWorkedPattern) {
  // Two streams in one bank: when a row is opened, two thirds of the window of 62 ns are of its
  // stream: 41.3 ns of transfers, then 43.5 ns to the other row; refresh leaves 0.928.
  DramAccess dram = one_channel("lpddr5");
  const double expected = (43.5 + 124.0 / 3) / (12.8 * 124 / 3) / 0.928;
  EXPECT_NEAR(ns_per_byte(dram, {.streams = 2, .turn_bytes = 32, .spread_banks = 1}), expected,
              1e-9);
  // One stream: 160 ns a row of 2 KiB and a quarter of 43.5 ns.
  EXPECT_NEAR(ns_per_byte(dram, {}), (160 + 43.5 / 4) / 2048 / 0.928, 1e-9);
  // 35 ns of turning for every 62 ns of written bytes.
  EXPECT_NEAR(turnaround_ns_per_byte(dram), 35.0 / 62 / 12.8 / 0.928, 1e-12);
}

}  // namespace
}  // namespace dovetail::silicon
