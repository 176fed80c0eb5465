// The compression of a whole model: embedding, layers one by one, head; from any source into any
// sink.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "compress/layer_compressor.h"
#include "compress/model_source.h"
#include "formats/codec.h"
#include "host/host_model.h"
#include "model/model.h"
#include "recipe/site.h"

namespace dovetail::compress {

struct CompressedHead {
  model::Matrix values;  // (vocab, hidden), as codes decode; tied: the embedding too
  formats::MatrixScales scales;
  SiteReport report;
};

// Where the parts go, in the order in which they are ready. A head that stays bf16 goes nowhere.
struct CompressSink {
  // hidden: the residual stream behind this layer.
  std::function<Status(int64_t index, CompressedLayer layer, const ActivationStore& hidden)> layer;
  std::function<Status(CompressedHead head)> head;
};

// Goes on behind layers that were written before.
struct CompressStart {
  int64_t first_layer = 0;  // 0..num_layers
  bool head_is_written = false;
  std::function<Status(ActivationStore& hidden)> load_hidden;  // called if first_layer > 0
};

// A head with an algorithm is written last, when its inputs are known; a tied one then serves the
// embedding as well, which the layers saw unrounded. Without an algorithm it is written first, and
// the layers see the rounded embedding. tokens: calibration, every position counts.
// Errors: kInvalidArgument, kIo: the source's, the sink's, those of LayerCompressor.
[[nodiscard]] Status compress_model(const ModelSource& source, const recipe::Recipe& recipe,
                                    const host::TokenBatch& tokens, const LayerParams& params,
                                    const CompressSink& sink, const CompressStart& start = {},
                                    const ProgressSink& progress = {});

struct Compressed {
  model::Weights weights;
  host::Numerics numerics;
  std::vector<SiteReport> reports;  // of sites that were treated, in the order of treatment
};

// All in memory, pruned and turned as the recipe asks: the model that it makes, to be run. A static
// scale of the head is left to with_static_scales. Errors: as compress_model and choose_kept.
[[nodiscard]] Result<Compressed> compress_in_memory(
    const std::shared_ptr<const model::Weights>& weights, const recipe::Recipe& recipe,
    const host::TokenBatch& tokens, const LayerParams& params = {},
    const ProgressSink& progress = {});

}  // namespace dovetail::compress
