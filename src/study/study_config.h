// A study: one joint question, read from TOML.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "recipe/site.h"
#include "search/method.h"
#include "search/space.h"

namespace dovetail::study {

// One model with its workload on the chip.
struct ProductConfig {
  std::string name;
  std::string model;     // zoo name, GGUF file, folder, or a config.json (shape alone)
  std::string workload;  // name in data/workloads or a file
  double weight = 1.0;
  std::string loss_profile;  // shape alone: the model whose profile it borrows
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.text("name", s.name, {.required = true, .help = "short name used in reports"});
    v.text("model", s.model,
           {.required = true, .help = "zoo name, GGUF file, model folder or config.json"});
    v.text("workload", s.workload,
           {.required = true, .help = "name in data/workloads, or a TOML file"});
    v.number("weight", s.weight,
             {.min = 0.001, .max = 1000, .help = "share in the objective when several products"});
    v.text("loss_profile", s.loss_profile,
           {.help = "for a model without weights: the model whose loss profile it borrows"});
  }
};

// Where the text of profiling, selection and certification comes from.
struct TextConfig {
  int64_t profile_sequences = 2;
  int64_t select_sequences = 2;
  int64_t certify_sequences = 2;
  int64_t calibrate_sequences = 16;
  int64_t sequence_tokens = 512;
  int64_t seed = 1;
  std::string file;
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.number("profile_sequences", s.profile_sequences,
             {.min = 1, .max = 4096, .help = "sequences for profiling"});
    v.number("select_sequences", s.select_sequences,
             {.min = 1, .max = 4096, .help = "sequences on which recipes are confirmed"});
    v.number("certify_sequences", s.certify_sequences,
             {.min = 1, .max = 4096, .help = "sequences on which the answer is certified once"});
    v.number("calibrate_sequences", s.calibrate_sequences,
             {.min = 1,
              .max = 4096,
              .help = "sequences that algorithms of the menu (_gptq, _imatrix) see"});
    v.number("sequence_tokens", s.sequence_tokens,
             {.min = 16, .max = 8192, .help = "tokens of a sequence"});
    v.number("seed", s.seed, {.min = 0, .max = 1e9, .help = "seed of sampling"});
    v.text("file", s.file,
           {.help = "a UTF-8 text file to use instead of text sampled from the model"});
  }
};

// Treatments that the search may choose from: every weight format with every activation format,
// and the kv treatments. bf16 is always there.
struct MenuConfig {
  std::vector<std::string> weights = {"int3_g32", "int4_g32",   "int4_g128", "int5_g64", "int6_g64",
                                      "int8",     "fp8_e4m3fn", "mxfp4",     "nvfp4"};
  std::vector<std::string> activations = {"bf16", "int8_token", "fp8_token"};
  std::vector<std::string> kv = {"int8", "int4", "int8+q:int8_token", "int4+q:int8_token"};
  // Of the whole model: one loss table each, the search is solved for each.
  std::vector<std::string> rotations = {"none"};
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.texts(
        "weights", s.weights,
        {.help =
             "weight formats (docs/formats), with or without an algorithm (docs/algorithms.md)"});
    v.texts("activations", s.activations,
            {.choices = {"bf16", "int8_token", "fp8_token"}, .help = "activation formats"});
    v.texts("kv", s.kv, {.help = "kv treatments"});
    v.texts("rotations", s.rotations,
            {.choices = {"none", "r1", "r1r2"},
             .help = "rotations of the whole model; every side is solved under each, the best "
                     "counts"});
  }
};

// An accuracy that a recommendation must keep, relative to the model as released or absolute: one
// of the three limits. Wants the benchmark's files (docs/evaluation.md); a study without them says
// so.
struct AccuracyTarget {
  std::string benchmark;
  std::string product;
  double margin_frac = 0;
  int64_t margin_questions = 0;
  double floor_frac = 0;
  std::string verdict = "population";
  double alpha = 0.05;
  int64_t questions_per_task = 0;
  int64_t num_fewshot = -1;
  std::string mode = "lm_eval";
  int64_t explained_flips = 0;
  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.text("benchmark", s.benchmark,
           {.choices = {"mmlu", "gsm8k", "gsm8k_cot", "humaneval", "humaneval_instruct", "ifeval"},
            .required = true,
            .help = "benchmark, as a verb of dovetail eval"});
    v.text("product", s.product, {.help = "product that it is about; absent: the only one"});
    v.number("margin_frac", s.margin_frac,
             {.min = 0, .max = 0.999, .help = "how far below the released model it may score"});
    v.number("margin_questions", s.margin_questions,
             {.min = 0,
              .max = 1e6,
              .help = "the same as a number of questions of a benchmark verdict: 5 of 164"});
    v.number("floor_frac", s.floor_frac,
             {.min = 0, .max = 0.999, .help = "absolute: the score that it must reach"});
    v.text(
        "verdict", s.verdict,
        {.choices = {"population", "benchmark"},
         .help = "population: about questions like these, from a random sample; benchmark: about "
                 "all questions of the benchmark"});
    v.number("alpha", s.alpha,
             {.min = 1e-6, .max = 0.499, .help = "chance of a wrong pass, and of a wrong fail"});
    v.number("questions_per_task", s.questions_per_task,
             {.min = 0,
              .max = 1e6,
              .help = "questions that may be asked of each subject or task, drawn at random; 0: "
                      "all. A benchmark verdict asks all"});
    v.number(
        "num_fewshot", s.num_fewshot,
        {.min = -1, .max = 64, .help = "examples before each question; -1: the benchmark's own"});
    v.text("mode", s.mode,
           {.choices = {"lm_eval", "fixed"}, .help = "scoring, as of dovetail eval --mode"});
    v.number("explained_flips", s.explained_flips,
             {.min = 0,
              .max = 64,
              .help = "lost questions of the recommendation that are asked again with one group of "
                      "layers restored at a time"});
  }
};

struct StudyConfig {
  std::string name;
  std::string question;
  std::vector<std::string> objectives;
  std::vector<double> kl_caps_nats;
  std::vector<ProductConfig> products;
  std::vector<AccuracyTarget> accuracy;
  TextConfig text;
  MenuConfig menu;
  search::Budget budget;
  std::optional<search::Space> space;
  search::Method search;
  std::vector<std::string> reference_chips;
  std::string chip;    // frozen chip
  std::string recipe;  // frozen recipe
  int64_t confirmations = 3;
  int64_t validation_recipes = 24;
  int64_t off_grid_seed = 20260101;
  std::string numerics = "fp32";

  template <typename V, typename S>
  static void visit(V& v, S& s) {
    v.text("name", s.name, {.required = true, .help = "short name; also the output folder"});
    v.text("question", s.question, {.help = "one sentence for the report"});
    v.texts("objectives", s.objectives,
            {.choices = {"latency", "latency_area", "latency_price", "energy", "energy_area"},
             .required = true,
             .help = "what to minimise; latency_area is area over throughput"});
    v.numbers("kl_caps_nats", s.kl_caps_nats,
              {.min = 1e-5,
               .max = 20,
               .required = true,
               .help = "largest KL(reference || compressed), nats per token"});
    v.list("products", s.products, {.required = true, .help = "models with their workloads"});
    v.list("accuracy", s.accuracy,
           {.help = "benchmark scores that the recommendation must keep, judged after the search"});
    v.group("text", s.text, {.help = "text for profiling, selection, certification"});
    v.group("menu", s.menu, {.help = "treatments that may be chosen"});
    v.group("budget", s.budget, {.required = true, .help = "limits of the silicon"});
    v.group("space", s.space, {.help = "chips that may be chosen; absent when `chip` is given"});
    v.group("search", s.search, {.help = "how the space is searched"});
    v.texts(
        "reference_chips", s.reference_chips,
        {.help = "chips of this class, names in data/chips or files: recipe_first starts there"});
    v.text("chip", s.chip, {.help = "freeze the chip: find the best recipe for this file"});
    v.text("recipe", s.recipe, {.help = "freeze the recipe: find the best chip for this file"});
    v.number("confirmations", s.confirmations,
             {.min = 1, .max = 20, .help = "measured recipes per side and scenario"});
    v.number("validation_recipes", s.validation_recipes,
             {.min = 0, .max = 1000, .help = "whole recipes that test the loss prediction"});
    v.number("off_grid_seed", s.off_grid_seed,
             {.min = 0, .max = 1e15, .help = "seed of the channel permutation; 0: none"});
    v.text("numerics", s.numerics,
           {.choices = {"fp32", "chip"},
            .help = "sums of what is measured; chip: the certified answer is measured again with "
                    "the aligned sums of its own chip's matrix unit"});
  }
};

// Reads and checks what ranges alone cannot say. Errors name file, key, value, what was wanted.
[[nodiscard]] Result<StudyConfig> load_study(const std::string& path);

// What ranges alone cannot say. Errors: kInvalidArgument naming key and value.
[[nodiscard]] Status check_study(const StudyConfig& config);

// The menu with bf16 first in both lists, duplicates refused.
// Errors: kInvalidArgument naming the entry.
[[nodiscard]] Result<recipe::Menu> make_menu(const MenuConfig& config);

}  // namespace dovetail::study
