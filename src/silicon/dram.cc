#include "silicon/dram.h"

#include <algorithm>
#include <cmath>

namespace dovetail::silicon {
namespace {

double exposed_ns_per_byte(const DramAccess& d) {
  return d.row_open_exposed_frac * d.row_open_ns / d.row_bytes;
}

// Bytes of one channel's row that contiguous `bytes` of the chip reach.
double visit_bytes(const DramAccess& d, double bytes) {
  const double spread = std::max(bytes / d.channels, std::min(bytes, d.interleave_bytes));
  return std::min(spread, d.row_bytes);
}

// Of one channel, per byte of a visit, `ahead` visits in its window.
double visit_ns_per_byte(const DramAccess& d, double bytes, double ahead, double banks) {
  const double transfer = bytes / d.bytes_per_ns;
  const double at_work = banks * (1 - std::pow(1 - 1 / banks, ahead));
  const double cycle = std::max(d.row_cycle_ns, d.row_open_ns + transfer);
  return std::max({transfer + exposed_ns_per_byte(d) * bytes, d.activate_ns, cycle / at_work}) /
         bytes;
}

double of_chip(const DramAccess& d, double channel_ns_per_byte) {
  return channel_ns_per_byte / (1 - d.refresh_frac) / d.channels;
}

}  // namespace

DramAccess dram_access(const Constants& c, const DramConstants& dram, int64_t chip_channels) {
  const double channels = static_cast<double>(chip_channels) * dram.banked_channels;
  const double bytes_per_ns = dram.channel_gb_per_s / dram.banked_channels;
  return {.channels = channels,
          .bytes_per_ns = bytes_per_ns,
          .row_bytes = dram.row_bytes,
          .banks = dram.banks,
          .row_cycle_ns = dram.row_cycle_ns,
          .row_open_ns = dram.row_open_ns,
          .activate_ns = dram.activate_ns,
          .row_open_exposed_frac = dram.row_open_exposed_frac,
          .turnaround_ns = dram.turnaround_ns,
          .refresh_frac = dram.refresh_frac,
          .window_bytes = c.dram_window_ns * bytes_per_ns,
          .interleave_bytes = c.dram_interleave_bytes};
}

double ns_per_byte(const DramAccess& d, const DramPattern& p) {
  const double banks = p.spread_banks > 0 ? p.spread_banks : d.banks;
  const double whole = visit_bytes(d, p.extent_bytes);
  const double alone = visit_ns_per_byte(d, whole, 1 + d.window_bytes / whole, banks);
  if (p.streams <= 1) return of_chip(d, alone);
  const double turn =
      std::min(whole, std::max(visit_bytes(d, p.turn_bytes), 2 * d.window_bytes / (p.streams + 1)));
  if (turn >= whole) return of_chip(d, alone);  // every turn ends a row anyway
  const double conflict = 1 - std::pow(1 - 1 / banks, p.streams - 1);
  const double ahead = std::clamp(d.window_bytes / turn, 1.0, p.streams);
  const double torn = visit_ns_per_byte(d, turn, ahead, banks);
  return of_chip(d, (1 - conflict) * alone + conflict * std::max(alone, torn));
}

double best_ns_per_byte(const DramAccess& d) {
  return of_chip(d, 1 / d.bytes_per_ns + exposed_ns_per_byte(d));
}

double turnaround_ns_per_byte(const DramAccess& d) {
  return of_chip(d, d.turnaround_ns / d.window_bytes);
}

}  // namespace dovetail::silicon
