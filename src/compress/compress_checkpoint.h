// A model and a recipe to a checkpoint on disk, in bounded memory, going on where it was stopped.
//
// Passes, in order: read and digest the source (off its grid if asked), plan, choose what pruning
// leaves, write head and layers piece by piece beside the output (OUT.work, work_folder.h), put the
// pieces together as the checkpoint, remove them. Stopped at any moment and started again with the
// same request, the result is the same to the bit.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/progress.h"
#include "base/result.h"
#include "compress/compress_plan.h"
#include "compress/layer_compressor.h"
#include "host/host_model.h"
#include "recipe/site.h"

namespace dovetail::compress {

enum class Container : uint8_t { kFolder, kGguf };

struct CompressRequest {
  std::string model;           // a GGUF file or a Hugging Face folder
  std::string model_name;      // as the user wrote it, for the record
  uint64_t off_grid_seed = 0;  // model/off_grid.h; 0: as released
  recipe::Recipe recipe;
  host::TokenBatch tokens;  // calibration; empty if the recipe needs none
  std::string text_sha256;  // of the calibration text
  std::string out;          // must not exist
  Container container = Container::kFolder;
  int64_t memory_bytes = 0;  // at most
  // How much work may be lost when it is killed; the place to go on from is as large as the text.
  double save_every_s = 10;
};

// Measures this machine. Errors: those of plan_compression, and of opening the model.
[[nodiscard]] Result<CompressPlan> plan_checkpoint(const CompressRequest& request);

struct CompressStats {
  CompressPlan plan;
  std::string out;
  int64_t out_bytes = 0;
  int64_t resumed_layers = 0;      // that were found finished
  double bits_per_weight = 0;      // of the treated weights, scales counted
  std::vector<std::string> notes;  // what the container does not tell other programs
  Json sites = Json::array();      // SiteReport of each
  double duration_s = 0;
};
[[nodiscard]] Json to_json(const CompressStats& stats);

// Errors: kInvalidArgument (the request, what the container cannot express, memory), kIo (disk
// full). What was finished stays in OUT.work.
[[nodiscard]] Result<CompressStats> compress_to_checkpoint(const CompressRequest& request,
                                                           const ProgressSink& progress = {});

}  // namespace dovetail::compress
