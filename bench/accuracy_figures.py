#!/usr/bin/env python3
"""The figures of docs/evaluation.md: Qwen2.5-Coder-0.5B as released, as the study studies/accuracy_0.5b.toml recommends it, and
in three uniform formats, question by question. About three hours of two cores; stopped and started again it goes on.

    accuracy_figures.py BINARY OUT CALIBRATION.txt

OUT then holds study/, a checkpoint and the rows of every run, and figures.md, which is also printed."""
import argparse
import json
import pathlib
import subprocess

MODEL = "qwen2.5-coder-0.5b"
FORMATS = {"W8A8": "int8+a:int8_token", "W4A16 g128 GPTQ": "int4_g128_gptq", "MXFP4": "mxfp4"}
# The questions of MMLU are those that the study draws by its seed.
BENCHMARKS = {"mmlu": ["--num-fewshot", "5", "--limit", "20", "--sample-seed", "1"], "humaneval": [],
              "gsm8k": ["--limit", "150"], "ifeval": ["--limit", "80"]}
TARGETS = {"mmlu": (0.03, "population"), "humaneval": (5 / 164, "benchmark"), "gsm8k": (0.03, "population"),
           "ifeval": (0.03, "population")}


class Runs:
    def __init__(self, binary, out, text):
        self.binary, self.out, self.text = binary, pathlib.Path(out), text
        self.out.mkdir(parents=True, exist_ok=True)

    def dovetail(self, *arguments):
        print("dovetail", *arguments, flush=True)
        return subprocess.run([self.binary, *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True).stdout

    def study(self):
        self.dovetail("optimize", "studies/accuracy_0.5b.toml", "--out", self.out / "study")
        return json.loads((self.out / "study" / "record.json").read_text())

    def checkpoint(self, name, *recipe):
        folder = self.out / "checkpoints" / name
        if not folder.exists():
            self.dovetail("compress", MODEL, *recipe, "--off-grid", "--text", self.text, "--sequences", 64, "--out", folder)
        return folder

    def rows(self, name, benchmark):
        return self.out / f"{benchmark}.{name}.jsonl"

    def ask(self, name, benchmark, model):
        record = self.out / f"{benchmark}.{name}.json"
        if not record.exists():
            text = self.dovetail("eval", benchmark, model, *BENCHMARKS[benchmark], "--samples", self.rows(name, benchmark),
                                 "--json")
            record.write_text(text)
        return json.loads(record.read_text())

    def compare(self, name, benchmark):
        margin, kind = TARGETS[benchmark]
        return json.loads(self.dovetail("eval", "compare", self.rows("released", benchmark), self.rows(name, benchmark),
                                        "--margin", margin, "--kind", kind, "--json"))


def score(entry):
    return f"{100 * entry['score_frac']:.1f} ± {100 * entry['stderr_frac']:.1f}"


def rate(record):
    """What was remembered from an earlier run took no time."""
    return f"{record['questions_per_s']:.2f}" if record.get("answers_remembered") == 0 else "–"


def power(found):
    shown = [f"{p['num_questions']}: {p['pass_frac']:.2f} / {p['fail_frac']:.2f}" for p in found.get("power") or []]
    return "; ".join(shown) or "–"


def comparison_row(benchmark, name, found, speed):
    bounds, verdict, counts = found["difference"], found["verdict"], found["counts"]
    wanted = verdict.get("questions_to_decide")
    decision = verdict["decision"] + (f" ({wanted} would decide)" if wanted and verdict["decision"] == "undecided" else "")
    return [benchmark, name, score(found["candidate"]),
            f"{100 * verdict['difference_frac']:+.1f} [{100 * bounds['lower_frac']:+.1f}, {100 * bounds['upper_frac']:+.1f}]",
            f"{counts['lost']} / {counts['gained']}", decision, power(found), speed]


def of_study(record, benchmark):
    """What the study found for its recommended answer."""
    accuracy = record["accuracy"]
    scenario = accuracy["recommended"][0]["scenario"]
    if scenario is None:
        raise SystemExit("the study recommends no answer: " + accuracy["recommended"][0]["why_not"])
    answer = next(a for a in accuracy["answers"] if a["scenario"] == scenario)
    index = next(i for i, target in enumerate(accuracy["targets"]) if target["benchmark"] == benchmark)
    return next(t for t in answer["targets"] if t["target"] == index), record["scenarios"][scenario]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("binary", "out", "text"):
        parser.add_argument(name)
    options = parser.parse_args()
    runs = Runs(options.binary, options.out, options.text)
    record = runs.study()
    lines = [["benchmark", "model", "score, %", "difference, points", "lost / gained", "verdict",
              "n: chance to pass / fail at these rates", "questions/s"]]
    for benchmark in BENCHMARKS:
        released = runs.ask("released", benchmark, MODEL)
        lines.append([benchmark, f"released, {released['num_questions']} questions", score(released), "", "", "", "",
                      rate(released)])
        if benchmark in ("mmlu", "humaneval"):
            found, scenario = of_study(record, benchmark)
            lines.append(comparison_row(benchmark, f"recommended, KL <= {scenario['kl_cap_nats']:g}", found, "–"))
            for name, treatment in FORMATS.items():
                model = runs.checkpoint(name, "--treatment", treatment)
                asked = runs.ask(name, benchmark, model)
                lines.append(comparison_row(benchmark, name, runs.compare(name, benchmark), rate(asked)))
        else:
            scenario = of_study(record, "mmlu")[1]
            recipe = (runs.out / "study" / "recipes" /
                      f"{scenario['objective']}@{scenario['kl_cap_nats']:g}.{record['products'][0]['name']}.toml")
            asked = runs.ask("recommended", benchmark, runs.checkpoint("recommended", "--recipe", recipe))
            lines.append(comparison_row(benchmark, "recommended", runs.compare("recommended", benchmark), rate(asked)))
    small = json.loads(runs.dovetail("eval", "mmlu", "smollm2-135m", *BENCHMARKS["mmlu"], "--json"))
    lines.append(["mmlu", "SmolLM2-135M-Instruct as released", score(small), "", "", "", "", rate(small)])
    text = "\n".join("| " + " | ".join(line) + " |" for line in [lines[0], ["---"] * len(lines[0]), *lines[1:]])
    (runs.out / "figures.md").write_text(text + "\n")
    print(text)


main()
