#!/usr/bin/env python3
"""lm-eval 0.4.13 with transformers in FP32 beside `dovetail eval`, question by question.

    check_lm_eval.py BINARY MODEL_GGUF TOKENIZER_JSON TASK LIMIT [--num-fewshot K] [--max-length N] [--apply-chat-template]

Prints what differs, and both rates; fails if a prompt differs, a log-likelihood by more than 1e-3 a token, or an
outcome anywhere but at a near-tie, which is listed with its margin."""
import argparse
import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import gguf
from local_lm_eval import task_manager, use_local_files
import lm_eval
import torch
import transformers
from lm_eval.models.huggingface import HFLM

NEAR_TIE_NATS = 1e-3


def load(options):
    path = pathlib.Path(options.model)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32, attn_implementation="eager").eval()
    names = ("bos", "eos")
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=options.tokenizer)
    ids = {name: getattr(model.config, f"{name}_token_id") for name in names}
    for name in names:
        setattr(tokenizer, f"{name}_token", tokenizer.convert_ids_to_tokens(ids[name]))
    tokenizer.pad_token = tokenizer.eos_token
    if options.apply_chat_template:
        field = gguf.GGUFReader(path).get_field("tokenizer.chat_template")
        tokenizer.chat_template = bytes(field.parts[field.data[0]]).decode()
    return HFLM(pretrained=model, tokenizer=tokenizer, max_length=options.max_length, batch_size=1, device="cpu")


def ours(options, scratch):
    command = [options.binary, "eval", options.task, options.model, "--json", "--fresh", "--samples", scratch / "samples.jsonl",
               "--limit", str(options.limit)]
    if options.num_fewshot is not None:
        command += ["--num-fewshot", str(options.num_fewshot)]
    if options.apply_chat_template:
        command += ["--apply-chat-template"]
    if options.max_length:
        command += ["--max-length", str(options.max_length)]
    record = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    rows = [json.loads(line) for line in (scratch / "samples.jsonl").read_text().splitlines()]
    return record, {(row["task"], row["doc_id"]): row for row in rows}


def compare_choices(theirs, row, key):
    left = [float(resp[0][0]) for resp in theirs["resps"]]
    worst = max(abs(a - b) for a, b in zip(left, row["loglikelihoods"]))
    assert worst <= 1e-3, f"{key}: {left} here {row['loglikelihoods']}"
    ranked = sorted(left, reverse=True)
    if bool(theirs["acc"]) != row["correct"]:
        print(f"{key}: outcomes differ, margin {ranked[0] - ranked[1]:.2e} nats")
        assert ranked[0] - ranked[1] < NEAR_TIE_NATS, key
    return worst, bool(theirs["acc"]) == row["correct"]


def compare_generation(theirs, row, key):
    same = theirs["resps"][0][0] == row["generation"]
    if not same:
        print(f"{key}: generations differ\n  {theirs['resps'][0][0]!r}\n  {row['generation']!r}")
    for entry in row.get("filters", [row]):
        if entry["filter"] == theirs["filter"] and same:
            assert entry["filtered_resps"] == theirs["filtered_resps"], key
            assert sorted(theirs["metrics"]) == sorted(row["metrics"]), key
            for metric in set(theirs["metrics"]) - {"pass@1"}:  # lm-eval would run the program here, without a sandbox
                assert entry[metric] == theirs[metric], (key, metric)
    return 0.0, same


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("binary", "model", "tokenizer", "task"):
        parser.add_argument(name)
    parser.add_argument("limit", type=int)
    parser.add_argument("--num-fewshot", type=int)
    parser.add_argument("--max-length", type=int)
    parser.add_argument("--apply-chat-template", action="store_true")
    options = parser.parse_args()
    use_local_files()
    torch.set_num_threads(2)
    with tempfile.TemporaryDirectory() as scratch:
        record, rows = ours(options, pathlib.Path(scratch))
    model = load(options)
    start = time.monotonic()
    results = lm_eval.simple_evaluate(model=model, tasks=[options.task], num_fewshot=options.num_fewshot,
                                      limit=options.limit, task_manager=task_manager(), bootstrap_iters=0,
                                      apply_chat_template=options.apply_chat_template, confirm_run_unsafe_code=True)
    seconds = time.monotonic() - start
    worst, equal, compared = 0.0, 0, 0
    for task, samples in results["samples"].items():
        for theirs in samples:
            key = (task, theirs["doc_id"])
            row = rows[key]
            arguments = theirs["arguments"]
            prompt = arguments[0][0] if not isinstance(arguments, dict) else arguments["gen_args_0"]["arg_0"]
            assert hashlib.sha256(prompt.encode()).hexdigest() == row["prompt_sha256"], key
            if "acc" in theirs:
                difference, same = compare_choices(theirs, row, key)
            elif "generation" in row:
                difference, same = compare_generation(theirs, row, key)
            else:
                left, right = theirs["word_perplexity"][0], row["loglikelihoods"][0]
                difference, same = abs(left - right) / abs(left), True
                assert difference < 1e-4, f"{key}: {left} here {right}"
            worst, equal, compared = max(worst, difference), equal + same, compared + 1
    print(f"{options.task}: {equal} of {compared} outcomes equal, largest difference {worst:.2e}; "
          f"lm-eval {len(rows) / seconds:.3f} questions/s, dovetail {record['questions_per_s']:.3f}")
    group = results["results"][options.task]
    for name, value in group.items():
        if isinstance(value, float):
            print(f"  {name}: {value:.6f}")
    print("  dovetail: " + json.dumps({k: v for k, v in record.items() if not isinstance(v, dict)}))
    sys.exit(0 if equal == compared else 1)


main()
