#include "compress/compress_checkpoint.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "base/hash.h"
#include "base/parallel.h"
#include "checkpoint/folder_writer.h"
#include "checkpoint/gguf_writer.h"
#include "checkpoint/model_tensors.h"
#include "compress/compress_model.h"
#include "compress/model_source.h"
#include "compress/prune.h"
#include "compress/round_matrix.h"
#include "compress/saved_block.h"
#include "compress/work_folder.h"
#include "formats/pack.h"
#include "formats/unpack.h"
#include "host/matmul_rate.h"
#include "model/weights_digest.h"

namespace dovetail::compress {
namespace {

// Raised when the same request gives other bits: unfinished work of another method is refused.
constexpr int kCompressMethod = 1;

// In the order of layer_linears(): names behind "model.layers.N.", and the site of each (SiteKind).
constexpr std::array<const char*, kLayerLinears> kLinearNames = {
    "self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight",
    "self_attn.o_proj.weight", "mlp.gate_proj.weight",    "mlp.up_proj.weight",
    "mlp.down_proj.weight"};
constexpr std::array<size_t, kLayerLinears> kLinearSites = {0, 0, 0, 1, 2, 2, 3};

struct LayerVector {
  const char* name;
  std::vector<float> model::LayerWeights::* values;
};
constexpr std::array<LayerVector, 7> kLayerVectors = {{
    {"input_layernorm.weight", &model::LayerWeights::attn_norm},
    {"post_attention_layernorm.weight", &model::LayerWeights::mlp_norm},
    {"self_attn.q_proj.bias", &model::LayerWeights::q_bias},
    {"self_attn.k_proj.bias", &model::LayerWeights::k_bias},
    {"self_attn.v_proj.bias", &model::LayerWeights::v_bias},
    {"self_attn.q_norm.weight", &model::LayerWeights::q_norm},
    {"self_attn.k_norm.weight", &model::LayerWeights::k_norm},
}};

// Codes of values that are already what codes decode to; that they decode to them again is checked.
Result<formats::PackedRows> pack(const formats::WeightFormat& format, formats::Ties ties,
                                 const formats::MatrixScales& scales, const model::Matrix& values) {
  formats::PackedRows packed =
      formats::pack_rows(format, ties, scales, values.rows, values.cols, values.values.data());
  DOVETAIL_TRY(const std::vector<float> decoded, formats::unpack_rows(packed));
  if (decoded != values.values)
    return make_error(ErrorCode::kInternal, "packed codes do not decode to the emulated values");
  return packed;
}

Result<SavedBlock> pack_layer(const recipe::LayerRecipe& recipe, const LayerParams& params,
                              const CompressedLayer& layer, int64_t index) {
  const std::string at = fmt::format("model.layers.{}.", index);
  std::array<Result<formats::PackedRows>, kLayerLinears> packed;
  parallel_for(kLayerLinears, [&](int64_t i, int64_t) {
    const auto m = static_cast<size_t>(i);
    const recipe::LinearTreatment& treatment = recipe.linear[kLinearSites[m]];
    if (!is_treated(treatment)) return;
    packed[m] = pack(treatment.weight, params.gptq.rounding.ties, layer.scales[m],
                     layer.weights.*layer_linears()[m]);
  });
  SavedBlock block;
  for (size_t m = 0; m < packed.size(); ++m) {
    const std::string name = at + kLinearNames[m];
    if (!is_treated(recipe.linear[kLinearSites[m]])) {
      block.plain.push_back({name, (layer.weights.*layer_linears()[m]).values});
      continue;
    }
    if (!packed[m].has_value()) return with_context(packed[m].error(), name);
    block.packed.push_back({name, std::move(*packed[m])});
  }
  for (const LayerVector& vector : kLayerVectors) {
    const std::vector<float>& values = layer.weights.*vector.values;
    if (!values.empty()) block.plain.push_back({at + vector.name, values});
  }
  block.notes["sites"] = Json::array();
  for (const SiteReport& report : layer.reports) block.notes["sites"].push_back(to_json(report));
  return block;
}

Result<std::string> digest_of(const ModelSource& source, const ProgressSink& progress) {
  model::WeightsDigest digest(source.shape);
  {
    DOVETAIL_TRY(const model::Matrix embedding, source.embedding());
    digest.add(embedding.values);
  }
  {
    DOVETAIL_TRY(const model::Matrix head, source.head());
    digest.add(head.values);
  }
  DOVETAIL_TRY(const std::vector<float> norm, source.final_norm());
  digest.add(norm);
  for (int64_t index = 0; index < source.shape.num_layers; ++index) {
    report_progress(progress, "reading the model",
                    static_cast<double>(index) / static_cast<double>(source.shape.num_layers));
    DOVETAIL_TRY(const model::LayerWeights layer, source.layer(index));
    digest.add(layer);
  }
  return std::move(digest).hex();
}

// Everything that the bits of the result depend on.
Json identity_of(const CompressRequest& request, const LayerParams& params,
                 const std::string& digest) {
  Sha256 tokens;
  tokens.update(request.tokens.ids.data(), request.tokens.ids.size() * sizeof(int32_t));
  const formats::Rounding& rounding = params.gptq.rounding;
  return {{"method", kCompressMethod},
          {"model", digest},
          {"recipe", recipe::recipe_to_toml(request.recipe)},
          {"calibration",
           fmt::format("{} x {}, {}", request.tokens.batch, request.tokens.seq, tokens.hex())},
          {"piece_rows", std::min(params.rows_at_once, kPieceRows)},
          {"damping_frac", params.gptq.damping_frac},
          {"rounding", fmt::format("{} {} {}", formats::rule_name(rounding.scale),
                                   formats::rule_name(rounding.ties),
                                   formats::rule_name(rounding.zero_block))}};
}

Status write_pieces(const CompressRequest& request, const ModelSource& source,
                    const LayerParams& params, WorkFolder& work, const ProgressSink& progress) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point saved_at = Clock::now();
  CompressSink sink;
  sink.layer = [&](int64_t index, CompressedLayer layer, const ActivationStore& hidden) -> Status {
    DOVETAIL_TRY(
        const SavedBlock block,
        pack_layer(request.recipe.layers[static_cast<size_t>(index)], params, layer, index));
    DOVETAIL_TRY_STATUS(work.save_layer(index, block));
    const std::chrono::duration<double> unsaved = Clock::now() - saved_at;
    if (unsaved.count() < request.save_every_s) return {};
    saved_at = Clock::now();
    return work.save_hidden(index + 1, hidden);
  };
  sink.head = [&](CompressedHead head) -> Status {
    SavedBlock block;
    DOVETAIL_TRY(
        formats::PackedRows packed,
        pack(request.recipe.head.weight, params.gptq.rounding.ties, head.scales, head.values));
    block.packed.push_back({checkpoint::kHeadName, std::move(packed)});
    block.notes["sites"] = Json::array({to_json(head.report)});
    return work.save_head(block);
  };
  const CompressStart start{
      .first_layer = work.num_finished_layers(),
      .head_is_written = work.has_head(),
      .load_hidden = [&](ActivationStore& hidden) { return work.load_hidden(hidden); }};
  return compress_model(source, request.recipe, request.tokens, params, sink, start, progress);
}

// Pieces by the name of each tensor in them are read once, in the order of the model.
template <typename Writer>
class Assembly {
 public:
  Assembly(const ModelSource& source, const LayerParams& params, const WorkFolder& work,
           Writer& writer)
      : source_(source), params_(params), work_(work), writer_(writer) {}

  Result<Json> run(const recipe::Recipe& recipe) {
    DOVETAIL_TRY(const auto tensors, checkpoint::model_tensors(source_.shape, recipe));
    for (const checkpoint::ModelTensor& tensor : tensors) DOVETAIL_TRY_STATUS(add(tensor));
    return sites_;
  }

 private:
  Status add(const checkpoint::ModelTensor& tensor) {
    if (tensor.name.starts_with("model.layers.")) return add_of_layer(tensor);
    if (tensor.name == checkpoint::kHeadName && tensor.is_treated()) {
      DOVETAIL_TRY(const SavedBlock block, work_.head());
      keep_sites(block);
      return add_from(block, tensor);
    }
    if (tensor.is_vector) {
      DOVETAIL_TRY(const std::vector<float> norm, source_.final_norm());
      return writer_.add_plain(tensor.name, norm);
    }
    const bool is_head = tensor.name == checkpoint::kHeadName;
    DOVETAIL_TRY(const model::Matrix matrix, is_head ? source_.head() : source_.embedding());
    return writer_.add_plain(tensor.name, matrix.values);
  }

  Status add_of_layer(const checkpoint::ModelTensor& tensor) {
    const int64_t index = std::stoll(tensor.name.substr(std::string("model.layers.").size()));
    if (index != layer_) {
      DOVETAIL_TRY(block_, work_.layer(index));
      layer_ = index;
      keep_sites(block_);
    }
    return add_from(block_, tensor);
  }

  Status add_from(const SavedBlock& block, const checkpoint::ModelTensor& tensor) {
    for (const SavedBlock::Packed& packed : block.packed)
      if (packed.name == tensor.name)
        return writer_.add_linear(tensor.name, packed.rows, params_.gptq.rounding);
    for (const SavedBlock::Plain& plain : block.plain)
      if (plain.name == tensor.name) return writer_.add_plain(tensor.name, plain.values);
    return make_error(ErrorCode::kInternal, tensor.name + " was not written");
  }

  void keep_sites(const SavedBlock& block) {
    for (const Json& site : block.notes["sites"]) sites_.push_back(site);
  }

  const ModelSource& source_;
  const LayerParams& params_;
  const WorkFolder& work_;
  Writer& writer_;
  int64_t layer_ = -1;
  SavedBlock block_;
  Json sites_ = Json::array();
};

checkpoint::WriteRequest write_request(const CompressRequest& request,
                                       const model::ModelShape& shape, const std::string& digest) {
  return {.out = request.out,
          .shape = shape,
          .source = request.model,
          .recipe = request.recipe,
          .provenance = {.source = request.model_name,
                         .source_sha256 = digest,
                         .text_sha256 = request.text_sha256,
                         .off_grid_seed = request.off_grid_seed}};
}

template <typename Writer>
Status put_together(Writer writer, const CompressRequest& request, const ModelSource& source,
                    const LayerParams& params, const WorkFolder& work, CompressStats& stats) {
  DOVETAIL_TRY(stats.sites, Assembly<Writer>(source, params, work, writer).run(request.recipe));
  DOVETAIL_TRY(const checkpoint::WriteSummary written, writer.finish());
  stats.out_bytes = written.bytes;
  stats.notes = written.notes;
  return {};
}

PlanInputs plan_inputs(const CompressRequest& request) {
  // Rounding alone asks nothing of the text.
  const bool calibrates = recipe::needs_calibration(request.recipe);
  return {.sequences = calibrates ? request.tokens.batch : 0,
          .seq = calibrates ? request.tokens.seq : 0,
          .memory_bytes = request.memory_bytes,
          .fp32_flops_per_s = host::measure_matmul_rate().fp32_flops_per_s};
}

struct Opened {
  ModelSource original;     // off its grid if asked
  model::ModelShape shape;  // after the recipe's passes
  CompressPlan plan;
};

Result<Opened> open(const CompressRequest& request) {
  DOVETAIL_TRY(model::WeightsReader reader, model::WeightsReader::open(request.model));
  DOVETAIL_TRY_STATUS(reader.check_no_tensor_is_left());
  Opened opened;
  opened.original =
      off_grid(source_of(std::make_shared<const model::WeightsReader>(std::move(reader))),
               request.off_grid_seed);
  DOVETAIL_TRY(opened.shape, shape_after(opened.original.shape, request.recipe));
  if (request.tokens.batch == 0 && recipe::needs_calibration(request.recipe))
    return invalid_argument("the recipe's algorithms need calibration text, which is not given");
  DOVETAIL_TRY(opened.plan,
               plan_compression(opened.original.shape, request.recipe, plan_inputs(request)));
  return opened;
}

// What an earlier run kept, or chosen now.
Result<Kept> settle_kept(const CompressRequest& request, const ModelSource& original,
                         const LayerParams& params, WorkFolder& work,
                         const ProgressSink& progress) {
  if (const Json earlier = work.kept(); !earlier.is_null()) return kept_from_json(earlier);
  DOVETAIL_TRY(Kept kept, choose_kept(original, request.recipe, request.tokens,
                                      {params.rows_at_once, params.spill_folder}, progress));
  if (!kept.layers.empty()) DOVETAIL_TRY_STATUS(work.save_kept(to_json(kept)));
  return kept;
}

}  // namespace

Result<CompressPlan> plan_checkpoint(const CompressRequest& request) {
  DOVETAIL_TRY(const Opened opened, open(request));
  return opened.plan;
}

Result<CompressStats> compress_to_checkpoint(const CompressRequest& given,
                                             const ProgressSink& progress) {
  const auto start = std::chrono::steady_clock::now();
  CompressRequest request = given;
  if (!recipe::needs_calibration(request.recipe)) request.tokens = {};
  DOVETAIL_TRY(const Opened opened, open(request));
  CompressStats stats;
  stats.plan = opened.plan;
  stats.out = request.out;
  // What the container cannot express is said before any work: a writer that writes nothing.
  {
    const auto check = [&](auto writer) -> Status {
      if (!writer.has_value()) return std::unexpected(writer.error());
      return {};
    };
    const checkpoint::WriteRequest wanted = write_request(request, opened.shape, "");
    DOVETAIL_TRY_STATUS(request.container == Container::kFolder
                            ? check(checkpoint::FolderWriter::create(wanted))
                            : check(checkpoint::GgufWriter::create(wanted)));
  }
  LayerParams params;
  params.rows_at_once = opened.plan.rows_at_once;
  DOVETAIL_TRY(const std::string digest, digest_of(opened.original, progress));
  DOVETAIL_TRY(WorkFolder work,
               WorkFolder::open(request.out + ".work", identity_of(request, params, digest)));
  if (opened.plan.spills) params.spill_folder = work.path();
  stats.resumed_layers = work.num_finished_layers();
  DOVETAIL_TRY(const Kept kept, settle_kept(request, opened.original, params, work, progress));
  if (!recipe::sites_need_calibration(request.recipe)) request.tokens = {};  // pruning had them
  DOVETAIL_TRY(const ModelSource source,
               rotated(pruned(opened.original, request.recipe.pruning, kept), request.recipe));
  DOVETAIL_TRY_STATUS(write_pieces(request, source, params, work, progress));

  report_progress(progress, "writing the checkpoint", 0);
  const checkpoint::WriteRequest wanted = write_request(request, opened.shape, digest);
  if (request.container == Container::kFolder) {
    DOVETAIL_TRY(auto writer, checkpoint::FolderWriter::create(wanted));
    DOVETAIL_TRY_STATUS(put_together(std::move(writer), request, source, params, work, stats));
  } else {
    DOVETAIL_TRY(auto writer, checkpoint::GgufWriter::create(wanted));
    DOVETAIL_TRY_STATUS(put_together(std::move(writer), request, source, params, work, stats));
  }
  DOVETAIL_TRY_STATUS(std::move(work).remove());
  Json sites = Json::array();
  for (const SiteReport& report : pruning_reports(request.recipe.pruning, kept))
    sites.push_back(to_json(report));
  sites.insert(sites.end(), stats.sites.begin(), stats.sites.end());
  stats.sites = std::move(sites);
  stats.bits_per_weight = recipe::bits_per_weight(opened.shape, request.recipe);
  stats.duration_s =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return stats;
}

Json to_json(const CompressStats& stats) {
  return {{"out", stats.out},
          {"out_bytes", stats.out_bytes},
          {"resumed_layers", stats.resumed_layers},
          {"bits_per_weight", stats.bits_per_weight},
          {"planned_peak_bytes", stats.plan.peak_bytes},
          {"planned_duration_s", stats.plan.duration_s},
          {"planned_work_disk_bytes", stats.plan.work_disk_bytes},
          {"planned_out_disk_bytes", stats.plan.out_disk_bytes},
          {"spills", stats.plan.spills},
          {"notes", stats.notes},
          {"sites", stats.sites},
          {"duration_s", stats.duration_s}};
}

}  // namespace dovetail::compress
