// Packed rows to values at memory speed: the same bits as codec.h's decode_rows.
//
// Codes of up to four bits pick their value from a register that holds those of their group,
// scaled; wider ones are read from a table in memory, then scaled. Rows of a matrix that the caches
// would not keep are written past them: an ordinary store reads each line before it overwrites it,
// which doubles the traffic.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "formats/codec.h"

namespace dovetail::formats {

class RowUnpacker {
 public:
  // Errors: those of check_packed. `packed` must outlive this.
  [[nodiscard]] static Result<RowUnpacker> make(const PackedRows& packed);
  // Writes the k values of one row. Thread-safe.
  void unpack(int64_t row, float* out) const;
  // Writes rows first..last-1 past the caches: for what is not read again soon. Thread-safe.
  void stream(int64_t first, int64_t last, float* out) const;

 private:
  explicit RowUnpacker(const PackedRows& packed);
  [[nodiscard]] int64_t first_bit(int64_t row) const;
  [[nodiscard]] bool is_narrow(int64_t row) const;
  void read_codes(int64_t row, int64_t count, float* out) const;
  [[nodiscard]] float outer_scale(int64_t row) const;
  template <typename ScaleAt, typename Use>
  void for_groups(int64_t row, const ScaleAt& scale_at, const Use& use) const;
  template <typename Use>
  void for_groups(int64_t row, const Use& use) const;
  void unpack_narrow(int64_t row, float* out) const;
  void unpack_integers(int64_t row, float* out) const;
  void apply_scales(int64_t row, float* out) const;
  void spread_kept(int64_t row, float* out) const;
  void clear_dropped(int64_t row, float* out) const;
  [[nodiscard]] bool is_kept(int64_t row, int64_t i) const;

  const PackedRows* packed_;
  int64_t groups_ = 0;              // along a row
  std::vector<float> scale_table_;  // scales of one byte
  std::vector<float> table_;        // one value a code, five a byte of trits
};

// All rows, on all cores. Errors: those of check_packed.
[[nodiscard]] Result<std::vector<float>> unpack_rows(const PackedRows& packed);

}  // namespace dovetail::formats
