// How much a model would miss each MLP channel and each head: the empirical Fisher information of
// masks m (1 = there) on what enters mlp_down and attn_o,
//
//   score = mean over sequences of (d loss / d m)^2
//
// with loss the mean next-token cross-entropy of a sequence. Removing what a mask stands for
// changes the loss by about half its score (second order, masks taken one by one).
//
// One way forward and one back through the whole model, a layer at a time; the residual stream
// before every layer is kept: 4 bytes * tokens * hidden * (layers + 1), which may go to disk.
// Layers are computed once more on the way back, so the work is three forward passes and the head's
// twice. Tokens run in pieces (pieces.h), so the number of cores changes no digit.
// Source: Kwon et al., "A Fast Post-Training Pruning Framework for Transformers", arXiv:2204.09656.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "compress/model_source.h"
#include "compress/pieces.h"
#include "host/host_model.h"

namespace dovetail::compress {

// Of one layer, in (nats per token)^2.
struct MaskScores {
  std::vector<double> channels;   // (intermediate)
  std::vector<double> heads;      // (num_heads) query heads
  std::vector<double> key_heads;  // (num_kv_heads): one mask for all query heads that read it
};

struct FisherParams {
  int64_t rows_at_once = default_rows_at_once();  // tokens that run side by side: >= a sequence
  std::string spill_folder = {};                  // where the residual streams go; empty: memory
};

// By layer. tokens: sequences of at least two tokens. Errors: kInvalidArgument (tokens), kIo; the
// source's.
[[nodiscard]] Result<std::vector<MaskScores>> mask_fisher(const ModelSource& source,
                                                          const host::TokenBatch& tokens,
                                                          const FisherParams& params = {},
                                                          const ProgressSink& progress = {});

}  // namespace dovetail::compress
