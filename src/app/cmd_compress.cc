// dovetail compress: a model and a recipe to a checkpoint that others open.
#include <unistd.h>

#include <limits>
#include <memory>

#include <fmt/format.h>

#include "app/command.h"
#include "compress/compress_checkpoint.h"
#include "eval/text.h"
#include "model/off_grid.h"
#include "model/tokenizer.h"
#include "model/zoo.h"
#include "recipe/site.h"

namespace dovetail::app {
namespace {

struct CompressOptions {
  std::string model;
  std::string treatment;
  std::string recipe;
  std::string text;
  int64_t sequences = 64;
  int64_t tokens = 512;  // of a sequence
  std::string out;
  bool gguf = false;
  double memory_gib = 0;
  bool off_grid = false;
  bool dry_run = false;
  bool json = false;
};

int64_t memory_of_machine() {
  return int64_t{sysconf(_SC_PHYS_PAGES)} * int64_t{sysconf(_SC_PAGESIZE)};
}

Result<recipe::Recipe> recipe_of(const CompressOptions& options, const model::ModelShape& shape) {
  if (options.treatment.empty() == options.recipe.empty())
    return invalid_argument("compress: want one of --treatment and --recipe");
  if (!options.recipe.empty()) return recipe::load_recipe(shape, options.recipe);
  return recipe::parse_uniform_recipe(shape, options.treatment);
}

Status read_text(const CompressOptions& options, compress::CompressRequest& request) {
  if (options.text.empty()) return {};
  DOVETAIL_TRY(const model::Tokenizer tokenizer, model::load_tokenizer(request.model));
  DOVETAIL_TRY(const eval::TextWindows text,
               eval::windows_of_file(tokenizer, options.text, options.tokens, options.sequences));
  request.text_sha256 = text.digest();
  request.tokens = eval::batches_of(text, std::numeric_limits<int64_t>::max()).front();
  return {};
}

void print_stats(const CompressOptions& options, const compress::CompressStats& stats) {
  if (options.json) {
    print_json(compress::to_json(stats));
    return;
  }
  print_line(fmt::format(
      "{}: {:.1f} MB, {:.3f} bits per treated weight, {:.1f} s{}", stats.out,
      static_cast<double>(stats.out_bytes) / 1e6, stats.bits_per_weight, stats.duration_s,
      stats.resumed_layers > 0
          ? fmt::format(" ({} layers were finished before)", stats.resumed_layers)
          : ""));
  for (const std::string& note : stats.notes) print_line("note: " + note);
}

Status run_compress(const CompressOptions& options) {
  compress::CompressRequest request;
  request.model_name = options.model;
  request.out = options.out;
  DOVETAIL_TRY(request.model, model::resolve_model(options.model));
  DOVETAIL_TRY(const model::ModelShape shape, model::load_shape(request.model));
  DOVETAIL_TRY(request.recipe, recipe_of(options, shape));
  DOVETAIL_TRY_STATUS(read_text(options, request));
  request.off_grid_seed = options.off_grid ? model::kOffGridSeed : 0;
  request.container = options.gguf ? compress::Container::kGguf : compress::Container::kFolder;
  request.memory_bytes =
      options.memory_gib > 0
          ? static_cast<int64_t>(options.memory_gib * static_cast<double>(int64_t{1} << 30))
          : memory_of_machine();
  if (options.dry_run) {
    DOVETAIL_TRY(const compress::CompressPlan plan, compress::plan_checkpoint(request));
    print_line(compress::to_text(plan));
    return {};
  }
  if (options.out.empty()) return invalid_argument("compress: want --out (or --dry-run)");
  DOVETAIL_TRY(const compress::CompressStats stats,
               compress::compress_to_checkpoint(request, terminal_progress()));
  end_progress();
  print_stats(options, stats);
  return {};
}

}  // namespace

void add_compress_command(CLI::App& app, Action& action) {
  auto options = std::make_shared<CompressOptions>();
  CLI::App* command =
      app.add_subcommand("compress", "write a compressed checkpoint that other tools open");
  command->add_option("model", options->model, "zoo name, GGUF file or model folder")->required();
  command->add_option("--treatment", options->treatment,
                      "uniform treatment, as int4_g128_gptq+a:int8_token+head:int8");
  command->add_option("--recipe", options->recipe, "recipe file (docs/reference/recipe.md)");
  command->add_option("--text", options->text, "UTF-8 calibration text for the algorithms");
  command->add_option("--sequences", options->sequences, "sequences of it at most")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  command->add_option("--tokens", options->tokens, "tokens of a sequence")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 20))
      ->capture_default_str();
  command->add_option("--out", options->out,
                      "folder to write (with --gguf a file); OUT.work holds unfinished work");
  command->add_flag("--gguf", options->gguf, "one GGUF file instead of a Hugging Face folder");
  command
      ->add_option("--memory-gib", options->memory_gib,
                   "memory that the program may take (default: the machine's)")
      ->check(CLI::Range(0.01, 1e6));
  command->add_flag("--off-grid", options->off_grid,
                    "permute channels off the released grid first, as `eval kl` does");
  command->add_flag("--dry-run", options->dry_run,
                    "print what it would take (memory, disk, time) and stop");
  command->add_flag("--json", options->json, "print the record");
  command->footer(
      "Stopped at any moment and started again, it goes on behind the last finished layer and\n"
      "writes the same bits. `dovetail verify OUT` checks every digest.");
  command->callback([options, &action] { action = [options] { return run_compress(*options); }; });
}

}  // namespace dovetail::app
