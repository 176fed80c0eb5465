// Attention of one key head over keys and values in pages (kv_pages.h). The output of a position
// depends on its query and on what it sees alone, to the last bit: not on how many positions are
// computed together nor on what was shared.
#pragma once

#include <cstdint>

#include "host/host_model.h"
#include "host/kv_pages.h"

namespace dovetail::host {

// What one (sequence, layer, key head) attends with. Queries and outputs of a position are `group`
// neighbouring heads, (group, d); those of the next position lie `stride` floats on.
struct PagedHead {
  const KvSequence* kv = nullptr;
  int64_t layer = 0;
  int64_t head = 0;
  int64_t group = 0;
  int64_t stride = 0;
  const LayerNumerics* numerics = nullptr;
  bool tile_unit = false;
};

// Floats of scratch memory that attend_block needs for so many positions that see at most so many.
[[nodiscard]] int64_t block_scratch(const KvPageLayout& layout, int64_t group, int64_t positions,
                                    int64_t visible);
// Positions first .. first + count - 1 by matrix products, each of all that it sees. q and out
// begin at `first`.
void attend_block(const PagedHead& head, int64_t first, int64_t count, const float* q, float* out,
                  float* scratch);

// One position by vectors, which read each key and value once: for generation. scratch: 2 * group *
// whole pages of positions.
void attend_position(const PagedHead& head, int64_t position, const float* q, float* out,
                     float* scratch);

}  // namespace dovetail::host
