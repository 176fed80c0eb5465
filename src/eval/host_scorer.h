// A Scorer on host::HostModel: prefixes that requests share are computed once, requests of any
// lengths run together, generations join and leave at every step.
//
// Answers are the same to the last bit for any batch, order, number of threads and memory, with and
// without sharing (host/paged_model.h).
#pragma once

#include <cstdint>
#include <memory>

#include "eval/scorer.h"
#include "host/amx.h"
#include "host/host_model.h"

namespace dovetail::eval {

// What changes speed and memory, not results, but for the last member.
struct HostScorerParams {
  bool share_prefixes = true;
  int64_t rows_at_once = 2048;  // tokens of a pass, 1 or more
  int64_t max_running = 32;     // generations at a time, 1 or more
  // Keys and values of all sequences; more only where a single request needs more.
  int64_t max_kv_bytes = int64_t{1} << 30;
  bool tile_unit = host::amx::available();  // results differ in their last digits
};

// Requests whose fed ids are the same (the four choices of a question) share everything.
// `max_length`: 0 for the model's positions, else at most those. Memory beside the model's and the
// keys and values: its weights once more (host/row_products.h) and about 100 MB of activations.
// Errors: kInvalidArgument.
[[nodiscard]] Result<std::unique_ptr<Scorer>> make_host_scorer(const host::HostModel& model,
                                                               int64_t max_length = 0,
                                                               const HostScorerParams& params = {});

}  // namespace dovetail::eval
