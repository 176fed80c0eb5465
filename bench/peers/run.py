#!/usr/bin/env python3
"""Compares Dovetail with other compressors: same weights, same calibration tokens, one evaluator.

  run.py install  [--only SIDE]      an environment of its own for each peer
  run.py prepare                     the permuted model and the token ids
  run.py measure  [--rows GLOB] [--sides GLOB] [--again]
                                     what RESULTS lacks; --again measures and times anew
  run.py table                       prints RESULTS as a Markdown table

Everything is written under --root (default build/peers), nothing into the source tree. Needs only
Python 3.11 and what `install` fetches from the package index.
"""

import argparse
import fcntl
import fnmatch
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

from rows import ENVIRONMENTS, REPORTED_PACKAGES, ROWS, SCRIPTS
from table import print_table

HERE = pathlib.Path(__file__).resolve().parent
ERROR_TAIL_CHARS = 600
EVALUATION_WINDOWS = ("--context", "2048", "--windows", "4")
EVALUATION_NICE = 5  # at most; it is not timed
KEPT_KEYS = ("kl_nats_per_token", "kl_stderr_nats_per_token", "window_kl_nats_per_token",
             "top1_agreement_frac", "num_tokens")


class Bench:
    def __init__(self, args):
        self.args = args
        self.root = pathlib.Path(args.root).resolve()
        self.results_file = self.root / "results.json"
        self.results = self.read_results()
        self.importance = None  # cost of the importance matrix, once it is known

    def read_results(self):
        return json.loads(self.results_file.read_text()) if self.results_file.exists() else {}

    def python(self, side):
        return self.root / "environments" / side / "bin" / "python"

    def keep(self, key, result):
        """Read, changed and written under a lock: several runs may share one file."""
        with open(self.root / "results.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.results = self.read_results() | {key: result}
            partial = self.results_file.with_suffix(".partial")
            partial.write_text(json.dumps(self.results, indent=1))
            partial.replace(self.results_file)

    def environment(self):
        threads = str(self.args.threads)
        return os.environ | {
            "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OMP_WAIT_POLICY": "PASSIVE",
            "HF_HUB_OFFLINE": "1", "HF_HOME": str(self.root / "hf-home"), "TQDM_DISABLE": "1",
            "TOKENIZERS_PARALLELISM": "false", "CUDA_VISIBLE_DEVICES": "",
            # GPTQModel 7.7 asks for two workers of a pool that it sizes at half the cores.
            "GPTQMODEL_CPU_WORKERS": "2",
        }

    def run_timed(self, command, log, most_nice=19):
        """Runs a command; returns (exit code, seconds, CPU seconds, peak resident bytes, stdout)."""
        nice = min(self.args.nice, most_nice)
        start = time.perf_counter()
        with open(log, "wb") as errors, open(str(log) + ".out", "w+b") as output:
            process = subprocess.Popen([str(c) for c in command], stdout=output, stderr=errors,
                                       env=self.environment(), cwd=self.root,
                                       preexec_fn=lambda: os.nice(nice))
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            text = output.read().decode(errors="replace")
        seconds = time.perf_counter() - start
        return (process.returncode, seconds, usage.ru_utime + usage.ru_stime,
                usage.ru_maxrss * 1024, text)


def digest_of(binary):
    return hashlib.sha256(pathlib.Path(binary).read_bytes()).hexdigest()[:12]


def losses_of(record):
    return {key: record[key] for key in KEPT_KEYS}


def last_line_of_error(log):
    text = pathlib.Path(log).read_text(errors="replace").strip()
    lines = [line for line in text.splitlines() if line.strip()]
    for index in range(len(lines) - 1, -1, -1):
        head = lines[index].split(":")[0]
        if head.endswith(("Error", "Exception", "dovetail")) or "rror:" in lines[index]:
            return "\n".join(lines[index:])[:ERROR_TAIL_CHARS]
    return text[-ERROR_TAIL_CHARS:]


def install(bench):
    """uv shares files between the environments; four copies of torch would not be small."""
    bench.root.mkdir(parents=True, exist_ok=True)
    bootstrap = bench.root / "bootstrap"
    if not (bootstrap / "bin/uv").exists():
        subprocess.run([sys.executable, "-m", "venv", bootstrap], check=True)
        subprocess.run([bootstrap / "bin/pip", "install", "-q", "uv"], check=True)
    environment = os.environ | {"UV_CACHE_DIR": str(bench.root / "uv-cache"),
                                "UV_SYSTEM_CERTS": "1", "UV_HTTP_TIMEOUT": "300",
                                "CMAKE_BUILD_PARALLEL_LEVEL": str(bench.args.threads)}
    failed = []
    for side, requirements in ENVIRONMENTS.items():
        if bench.args.only not in (None, side):
            continue
        folder = bench.root / "environments" / side
        uv = bootstrap / "bin/uv"
        if not folder.exists():
            subprocess.run([uv, "venv", "-q", "--python", sys.executable, folder], check=True)
        done = subprocess.run(["nice", "-n", str(bench.args.nice), uv, "pip", "install", "-q",
                               "--python", folder / "bin/python", *requirements], env=environment)
        print(f"{side}: {'installed' if done.returncode == 0 else 'failed'}")
        if done.returncode != 0:
            failed.append(side)
    if failed:
        raise SystemExit(f"not installed: {', '.join(failed)}")


def prepare(bench):
    args = bench.args
    bench.root.mkdir(parents=True, exist_ok=True)
    subprocess.run([bench.python("evaluator"), HERE / "export_model.py", "--gguf", args.gguf,
                    "--tokenizer", args.tokenizer, "--calibration-text", args.calibration,
                    "--evaluation-text", args.text, "--out", bench.root / "model"], check=True)
    print(f"wrote {bench.root / 'model'}")


def versions(bench, side):
    code = ("import importlib.metadata as m, json, sys; "
            "print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))")
    done = subprocess.run([bench.python(side), "-c", code, *REPORTED_PACKAGES[side]],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def measure_importance(bench):
    """What every llama.cpp entry with an importance matrix uses: one pass, its cost on each of them."""
    out, note = bench.root / "model/importance.npz", bench.root / "model/importance.json"
    if bench.importance is None and note.exists() and not bench.args.again:
        bench.importance = json.loads(note.read_text())
    if bench.importance is None:
        job, log = bench.root / "jobs/importance.json", bench.root / "logs/importance.txt"
        job.write_text(json.dumps({"model": str(bench.root / "model/hf"), "out": str(out),
                                   "tokens": str(bench.root / "model/tokens.json"),
                                   "threads": bench.args.threads}))
        code, _, cpu_seconds, peak, text = bench.run_timed(
            [bench.python("evaluator"), HERE / "importance_matrix.py", job], log)
        if code != 0:
            raise SystemExit(f"importance matrix: {last_line_of_error(log)}")
        seconds = json.loads(text.strip().splitlines()[-1])["seconds"]
        bench.importance = {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_rss_bytes": peak}
        note.write_text(json.dumps(bench.importance))
    return out, bench.importance


def quantise_peer(bench, entry, stem):
    """Runs the peer; returns its part of the result, with "error" if it failed."""
    checkpoint = bench.root / "checkpoints" / stem
    shutil.rmtree(checkpoint, ignore_errors=True)
    job = {"model": str(bench.root / "model/hf"), "gguf": str(bench.root / "model/gguf/f32.gguf"),
           "tokens": str(bench.root / "model/tokens.json"), "out": str(checkpoint),
           "threads": bench.args.threads, "setting": entry.setting}
    before = {"seconds": 0.0, "cpu_seconds": 0.0, "peak_rss_bytes": 0}
    if entry.setting.get("importance"):
        path, before = measure_importance(bench)
        job["importance"] = str(path)
    job_file = bench.root / "jobs" / f"{stem}.json"
    job_file.write_text(json.dumps(job, indent=1))
    log = bench.root / "logs" / f"{stem}.txt"
    load = os.getloadavg()[0]
    code, process_seconds, cpu_seconds, peak, _ = bench.run_timed(
        [bench.python(entry.side), HERE / SCRIPTS[entry.side], job_file], log)
    result = {"versions": versions(bench, entry.side), "threads": bench.args.threads,
              "load_before": load, "process_seconds": process_seconds,
              "cpu_seconds": cpu_seconds + before["cpu_seconds"],
              "peak_rss_bytes": max(peak, before["peak_rss_bytes"])}
    note = checkpoint / "quantized.json"
    if code != 0 or not note.exists():
        return result | {"error": last_line_of_error(log)}
    return result | {"seconds": json.loads(note.read_text())["seconds"] + before["seconds"]}


def evaluate_in_torch(bench, treated, activations, stem):
    job = {"model": str(bench.root / "model/hf"), "tokens": str(bench.root / "model/tokens.json"),
           "treated": str(treated), "activations": activations, "threads": bench.args.threads,
           "reference": str(bench.root / "model/reference.pt")}
    job_file = bench.root / "jobs" / f"{stem}.kl.json"
    job_file.write_text(json.dumps(job, indent=1))
    log = bench.root / "logs" / f"{stem}.kl.txt"
    code, *_, text = bench.run_timed(
        [bench.python("evaluator"), HERE / "measure_kl.py", job_file], log, EVALUATION_NICE)
    if code != 0:
        return {"error": "evaluation: " + last_line_of_error(log)}
    return json.loads(text.strip().splitlines()[-1])


def evaluate_in_dovetail(bench, treated, stem):
    log = bench.root / "logs" / f"{stem}.kl.txt"
    binary = pathlib.Path(bench.args.dovetail).resolve()
    code, *_, text = bench.run_timed(
        [binary, "eval", "kl", treated, "--against", bench.root / "model/hf", "--text",
         bench.args.text, *EVALUATION_WINDOWS, "--json"], log, EVALUATION_NICE)
    if code != 0:
        return {"error": "evaluation: " + last_line_of_error(log)}
    return losses_of(json.loads(text)) | {"evaluator": f"dovetail {digest_of(binary)}"}


def evaluate_peer(bench, entry, stem):
    """Emulated activations need torch; every other row has Dovetail's evaluator unless told."""
    treated = bench.root / "dequantised" / stem
    log = bench.root / "logs" / f"{stem}.read.txt"
    code, *_, text = bench.run_timed(
        [bench.python("evaluator"), HERE / "read_checkpoint.py", bench.root / "model/hf",
         bench.root / "checkpoints" / stem, treated], log, EVALUATION_NICE)
    if code != 0:
        return {"error": "reading: " + last_line_of_error(log)}
    result = json.loads(text.strip().splitlines()[-1])
    if entry.activations is not None or bench.args.evaluator == "torch":
        result |= evaluate_in_torch(bench, treated, entry.activations, stem)
    else:
        result |= evaluate_in_dovetail(bench, treated, stem)
    shutil.rmtree(treated, ignore_errors=True)
    return result


def measure_peer(bench, entry, stem, known):
    """known: the earlier result, whose checkpoint is evaluated again under --evaluate-only."""
    if bench.args.evaluate_only:
        if "seconds" not in known or not (bench.root / "checkpoints" / stem).exists():
            return known
        result = {key: value for key, value in known.items() if key != "error"}
    else:
        result = quantise_peer(bench, entry, stem)
    if "error" not in result:
        result |= evaluate_peer(bench, entry, stem)
    if not bench.args.keep_checkpoints:
        shutil.rmtree(bench.root / "checkpoints" / stem, ignore_errors=True)
    return result


def measure_treatment(bench, treatment, stem):
    """Twice: for the loss, and with next to no evaluation for seconds and memory of the rest."""
    args = bench.args
    binary = pathlib.Path(args.dovetail).resolve()
    command = [binary, "eval", "kl", args.model, "--text", args.text, "--treatment", treatment,
               "--calibration", args.calibration, "--json"]
    load = os.getloadavg()[0]
    log = bench.root / "logs" / f"{stem}.txt"
    code, seconds, cpu_seconds, peak, text = bench.run_timed(
        command + ["--context", 2, "--windows", 1], log)
    digest = digest_of(binary)
    result = {"versions": {"dovetail": digest}, "threads": args.threads, "load_before": load,
              "seconds": seconds, "process_seconds": seconds, "cpu_seconds": cpu_seconds,
              "peak_rss_bytes": peak}
    if code == 0:
        code, *_, text = bench.run_timed(command + [*EVALUATION_WINDOWS], log, EVALUATION_NICE)
    if code != 0:
        return result | {"error": last_line_of_error(log)}
    record = json.loads(text)
    return result | losses_of(record) | {"bits_per_weight": record["bits_per_weight"],
                                         "evaluator": f"dovetail {digest}"}


def is_due(bench, key, side):
    if not fnmatch.fnmatch(side, bench.args.sides):
        return False
    if bench.args.evaluate_only:
        return key in bench.results and side != "dovetail"
    return bench.args.again or key not in bench.results


def measure(bench):
    for folder in ("jobs", "logs", "checkpoints"):
        (bench.root / folder).mkdir(parents=True, exist_ok=True)
    for row in ROWS:
        if not fnmatch.fnmatch(row.name, bench.args.rows):
            continue
        for entry in row.peers:
            key = f"{row.name}/{entry.side}/{entry.label}"
            if is_due(bench, key, entry.side):
                stem = "".join(c if c.isalnum() else "_" for c in key)
                known = bench.results.get(key, {})
                bench.keep(key, measure_peer(bench, entry, stem, known))
                report(key, bench.results[key])
        for treatment in row.treatments:
            key = f"{row.name}/dovetail/{treatment}"
            if is_due(bench, key, "dovetail"):
                stem = "".join(c if c.isalnum() else "_" for c in key)
                bench.keep(key, measure_treatment(bench, treatment, stem))
                report(key, bench.results[key])


def report(key, result):
    loss = result.get("kl_nats_per_token")
    text = result.get("error") or ("not evaluated" if loss is None else f"KL {loss:.4f}")
    print(f"{key}: {text}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    source = HERE.parent.parent
    texts = source.parent / "shared/data/eval/text"
    parser.add_argument("verb", choices=("install", "prepare", "measure", "table"))
    parser.add_argument("--root", default=source / "build/peers", help="where everything goes")
    parser.add_argument("--only", help="install: this environment")
    parser.add_argument("--rows", default="*", help="measure: rows by name")
    parser.add_argument("--sides", default="*", help="measure: llm-compressor, ..., dovetail")
    parser.add_argument("--again", action="store_true", help="measure: what is known, too")
    parser.add_argument("--keep-checkpoints", action="store_true")
    parser.add_argument("--evaluate-only", action="store_true",
                        help="measure: known peers' kept checkpoints again, without a new run")
    parser.add_argument("--evaluator", choices=("dovetail", "torch"), default="dovetail",
                        help="what measures the peers' weights")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--nice", type=int, default=0)
    parser.add_argument("--dovetail", default=source / "build/dovetail")
    parser.add_argument("--model", default="smollm2-135m", help="as dovetail names it")
    parser.add_argument("--gguf", default=pathlib.Path.home() /
                        ".cache/dovetail/models/smollm2-135m/model.gguf")
    parser.add_argument("--tokenizer", default=source.parent / "shared/data/tokenizers/smollm2")
    parser.add_argument("--text", default=texts / "wikitext-2-raw.wiki.test.raw")
    parser.add_argument("--calibration", default=texts / "exllamav2-c4.utf8")
    bench = Bench(parser.parse_args())
    verbs = {"install": install, "prepare": prepare, "measure": measure,
             "table": lambda b: print_table(b.results)}
    verbs[bench.args.verb](bench)


if __name__ == "__main__":
    main()
