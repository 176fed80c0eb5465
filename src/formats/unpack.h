// Packed rows to values at memory speed: the same bits as codec.h's decode_rows.
//
// A byte of the payload is a position in a table of the values that it holds (one to five); widths
// that do not divide a byte are read eight codes at a time. Then scales, a group at a time. Why
// tables: they serve every element alike, and one core reads them faster than memory takes the
// values.
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

 private:
  explicit RowUnpacker(const PackedRows& packed);
  void read_codes(int64_t row, int64_t count, float* out) const;
  void apply_scales(int64_t row, float* out) const;
  void spread_kept(int64_t row, float* out) const;
  void clear_dropped(int64_t row, float* out) const;
  [[nodiscard]] bool is_kept(int64_t row, int64_t i) const;

  const PackedRows* packed_;
  MatrixScales scales_;
  int64_t values_per_byte_ = 0;  // 0: codes straddle bytes
  std::vector<float> table_;     // (256, values_per_byte), or one value a code
};

// All rows, on all cores. Errors: those of check_packed.
[[nodiscard]] Result<std::vector<float>> unpack_rows(const PackedRows& packed);

}  // namespace dovetail::formats
