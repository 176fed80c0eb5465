#!/usr/bin/env python3
"""Stock lm-eval 0.4.13 asks `dovetail serve` (local-completions); `dovetail eval` asks the same questions itself.

    check_serve_lm_eval.py --binary BINARY [--model MODEL ...] [--task TASK:LIMIT ...] [--concurrent N]

Prompts, log-likelihoods, generations and outcomes must be equal, question by question. lm-eval comes from the
interpreter that DOVETAIL_LM_EVAL_PYTHON names, else from this one; exit code 77 (skipped) where it is not there. A
model that is `MODEL=TREATMENT` is compressed first."""
import argparse
import contextlib
import hashlib
import importlib.util
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

MAX_NATS = 1e-9  # a likelihood is a sum of numbers that travel as JSON without loss


def skip(reason):
    print(f"NOT TESTED: {reason}")
    sys.exit(77)


def need_lm_eval():
    python = os.environ.get("DOVETAIL_LM_EVAL_PYTHON")
    if python and not os.environ.get("DOVETAIL_LM_EVAL_STARTED"):
        os.environ["DOVETAIL_LM_EVAL_STARTED"] = "1"
        os.execv(python, [python, *sys.argv])
    missing = [name for name in ("lm_eval", "datasets", "aiohttp", "requests", "tenacity")
               if importlib.util.find_spec(name) is None]
    if missing:
        skip(f"{sys.executable} has no {', '.join(missing)}; pip install 'lm-eval[api]==0.4.13' there, or name another "
             "interpreter by DOVETAIL_LM_EVAL_PYTHON")


@contextlib.contextmanager
def server(binary, model):
    """The model's server on a free port; gives its address and lengths, and must end cleanly."""
    process = subprocess.Popen([binary, "serve", model, "--port", "0", "--model-id", "served", "--json"],
                               stdout=subprocess.PIPE, text=True)
    try:
        text = ""
        for line in process.stdout:
            text += line
            if line.startswith("}"):
                break
        yield json.loads(text)
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=60)
    assert code == 0, f"the server ended with {code}"


def asked_by_lm_eval(record, task, limit, concurrent, batch):
    import lm_eval
    from lm_eval.models.openai_completions import LocalCompletionsAPI
    from local_lm_eval import task_manager
    model = LocalCompletionsAPI(
        base_url=f"{record['url']}/v1/completions", model="served", tokenizer_backend="remote",
        num_concurrent=concurrent, batch_size=batch, max_length=record["max_length_tokens"], timeout=1800,
        max_retries=1)
    start = time.monotonic()
    results = lm_eval.simple_evaluate(model=model, tasks=[task], limit=limit, task_manager=task_manager(),
                                      bootstrap_iters=0, confirm_run_unsafe_code=True)
    return results["samples"], time.monotonic() - start


def asked_by_us(binary, model, task, limit, folder):
    path = folder / f"{task}.jsonl"
    # --fresh: answers that were remembered would compare the server with themselves of another day.
    subprocess.run([binary, "eval", task, model, "--fresh", "--limit", str(limit), "--samples", path, "--json"],
                   check=True, stdout=subprocess.PIPE)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return {(row["task"], row["doc_id"]): row for row in rows}


def compare(theirs, row, key):
    arguments = theirs["arguments"]
    prompt = arguments[0][0] if not isinstance(arguments, dict) else arguments["gen_args_0"]["arg_0"]
    assert hashlib.sha256(prompt.encode()).hexdigest() == row["prompt_sha256"], f"{key}: prompts differ"
    if "generation" in row:
        assert theirs["resps"][0][0] == row["generation"], \
            f"{key}: generations differ\n  {theirs['resps'][0][0]!r}\n  {row['generation']!r}"
        return 0.0
    left = [float(resp[0][0]) for resp in theirs["resps"]]
    worst = max(abs(a - b) for a, b in zip(left, row["loglikelihoods"], strict=True))
    assert worst <= MAX_NATS, f"{key}: {left} served, {row['loglikelihoods']} here"
    assert bool(theirs["acc"]) == row["correct"], f"{key}: outcomes differ"
    return worst


def check_task(options, model, record, task, limit, folder):
    samples, seconds = asked_by_lm_eval(record, task, limit, options.concurrent, options.batch)
    rows = asked_by_us(options.binary, model, task, limit, folder)
    worst, asked = 0.0, set()
    for name, answers in samples.items():
        for theirs in answers:
            key = (name, theirs["doc_id"])
            worst = max(worst, compare(theirs, rows[key], key))
            asked.add(key)
    assert asked == set(rows), f"{task}: {len(asked)} questions served, {len(rows)} here"
    print(f"{model}: {task}: {len(rows)} questions equal, largest difference {worst:.1e} nats, "
          f"{len(rows) / seconds:.2f} questions/s served to lm-eval", flush=True)


def compressed(binary, model, folder):
    """MODEL=TREATMENT: a checkpoint in that treatment."""
    name, treatment = model.split("=", 1)
    target = folder / "checkpoint"
    subprocess.run([binary, "compress", name, "--treatment", treatment, "--out", target], check=True,
                   stdout=subprocess.PIPE)
    return str(target)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--model", action="append", help="default: smollm2-135m, as it is and in int4_g64+a:int8_token")
    parser.add_argument("--task", action="append", help="TASK:LIMIT; default: mmlu:1 and humaneval:2")
    parser.add_argument("--concurrent", type=int, default=1)
    parser.add_argument("--batch", type=int, default=4)
    options = parser.parse_args()
    need_lm_eval()
    data = pathlib.Path(os.environ.setdefault("DOVETAIL_DATA", "../shared/data"))
    if not (data / "eval").is_dir():
        skip(f"{data}/eval is not here")
    from local_lm_eval import use_local_files
    use_local_files()
    models = options.model or ["smollm2-135m", "smollm2-135m=int4_g64+a:int8_token"]
    tasks = [task.split(":") for task in options.task or ["mmlu:1", "humaneval:2"]]
    for model in models:
        name = model.split("=")[0]
        found = subprocess.run([options.binary, "inspect", name], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               check=False)
        if found.returncode != 0:
            skip(f"{name} was not pulled: run dovetail pull {name}")
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch)
            path = compressed(options.binary, model, folder) if "=" in model else model
            with server(options.binary, path) as record:
                for task, limit in tasks:
                    check_task(options, path, record, task, int(limit), folder)


main()
