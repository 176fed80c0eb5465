// How fast a DRAM delivers, by access pattern: never its peak rate.
//
// One channel (LPDDR x16, DDR5 subchannel, half a GDDR6 device, HBM pseudo-channel) has banks of
// rows. A controller looks `window_bytes` ahead (memory.dram.window_ns of transfers) and serves
// what hits an open row first. Between two rows of one bank pass row_open_ns (tRTP + tRP + tRCD)
// and at least row_cycle_ns (tRC); rows of different banks open activate_ns apart. A visit moves v
// bytes of one row; n visits at a time (the current one and those in the window) over b banks keep
// b (1 - (1 - 1/b)^n) of them at work:
//
//   visit = max(v / rate + exposed(v), activate_ns,
//               max(row_cycle_ns, row_open_ns + v / rate) / banks at work)
//   exposed(v) = row_open_exposed_frac * row_open_ns * v / row
//
// Of S streams that take turns, one finds its row still open at its turn unless another lies in the
// same bank, which happens with probability 1 - (1 - 1/b)^(S - 1). Then every visit opens its row
// again: it moves a turn, or what the window W holds of the stream when its row is opened, which
// rises from nothing after a visit to 2 W / (S + 1) before the next (requests that come later wait
// for their next turn). Refresh stops all banks for refresh_frac of the time. Written bytes pay for
// turning the bus, once a window.
//
// Timings: data/technology/dram.toml, from data sheets; the window and row_open_exposed_frac are
// calibrated. How far off the function is: docs/cost_model.md, from dram_test.cc.
#pragma once

#include <cstdint>
#include <limits>

#include "silicon/constants.h"

namespace dovetail::silicon {

// All channels of one chip, which are alike.
struct DramAccess {
  double channels = 0;      // with banks of their own
  double bytes_per_ns = 0;  // of one
  double row_bytes = 0;     // of one bank of one channel
  double banks = 0;
  double row_cycle_ns = 0;
  double row_open_ns = 0;
  double activate_ns = 0;
  double row_open_exposed_frac = 0;
  double turnaround_ns = 0;
  double refresh_frac = 0;
  double window_bytes = 0;      // of one channel
  double interleave_bytes = 0;  // contiguous bytes that one channel holds
};
[[nodiscard]] DramAccess dram_access(const Constants& constants, const DramConstants& dram,
                                     int64_t chip_channels);

struct DramPattern {
  double streams = 1;     // 1..: that take turns
  double turn_bytes = 0;  // contiguous bytes that one moves before the next has its turn
  // Contiguous bytes of a stream before it goes on elsewhere: a page of a KV cache.
  double extent_bytes = std::numeric_limits<double>::infinity();
  double spread_banks = 0;  // banks that the streams lie in; 0: all. 1: the unlucky layout
};

// Of the whole chip, refresh included. Never below best_ns_per_byte.
[[nodiscard]] double ns_per_byte(const DramAccess& dram, const DramPattern& pattern);
// One long stream whose next rows are opened in time, but for what is exposed of them.
[[nodiscard]] double best_ns_per_byte(const DramAccess& dram);
// What a written byte takes beyond its transfer where reads go on beside it.
[[nodiscard]] double turnaround_ns_per_byte(const DramAccess& dram);

}  // namespace dovetail::silicon
