#!/usr/bin/env python3
"""Questions per second of lm-eval 0.4.13 with transformers in FP32 at several batch sizes, then of `dovetail eval`.

    eval_rates.py BINARY MODEL_GGUF TOKENIZER_JSON TASK LIMIT [--num-fewshot K] [--batch-sizes 1,4,16] [--threads 2]

Both sides run one after the other on the same cores, model and questions. Only answering is timed, not loading; lm-eval's time
is that of its model calls alone, without building prompts or scoring."""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "oracles"))
from local_lm_eval import task_manager, use_local_files
import lm_eval
import torch
import transformers
from lm_eval.models.huggingface import HFLM


class TimedModel(HFLM):
    seconds = 0.0

    def timed(self, call, *args, **kwargs):
        start = time.monotonic()
        result = call(*args, **kwargs)
        self.seconds += time.monotonic() - start
        return result

    def loglikelihood(self, *args, **kwargs):
        return self.timed(super().loglikelihood, *args, **kwargs)

    def generate_until(self, *args, **kwargs):
        return self.timed(super().generate_until, *args, **kwargs)


def load(options):
    path = pathlib.Path(options.model)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32, attn_implementation=options.attention).eval()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=options.tokenizer)
    for name in ("bos", "eos"):
        token = tokenizer.convert_ids_to_tokens(getattr(model.config, f"{name}_token_id"))
        setattr(tokenizer, f"{name}_token", token)
    tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


def rate(options, model, tokenizer, batch_size):
    timed = TimedModel(pretrained=model, tokenizer=tokenizer, batch_size=batch_size, device="cpu")
    results = lm_eval.simple_evaluate(model=timed, tasks=[options.task], num_fewshot=options.num_fewshot,
                                      limit=options.limit, task_manager=task_manager(), bootstrap_iters=0)
    # A generation task keeps a row for each filter: a document counts once.
    questions = sum(len({row["doc_id"] for row in rows}) for rows in results["samples"].values())
    return questions / timed.seconds


def ours(options):
    command = [options.binary, "eval", options.task, options.model, "--json", "--fresh", "--limit", str(options.limit)]
    if options.num_fewshot is not None:
        command += ["--num-fewshot", str(options.num_fewshot)]
    environment = dict(os.environ, DOVETAIL_THREADS=str(options.threads))
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("binary", "model", "tokenizer", "task"):
        parser.add_argument(name)
    parser.add_argument("limit", type=int)
    parser.add_argument("--num-fewshot", type=int)
    parser.add_argument("--batch-sizes", default="1,4,16")
    parser.add_argument("--attention", default="sdpa")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    use_local_files()
    torch.set_num_threads(options.threads)
    model, tokenizer = load(options)
    rates = {}
    for size in map(int, options.batch_sizes.split(",")):
        rates[size] = rate(options, model, tokenizer, size)
        print(f"lm-eval, batch {size}: {rates[size]:.3f} questions/s", flush=True)
    record = ours(options)
    best = max(rates, key=rates.get)
    print(f"dovetail: {record['questions_per_s']:.3f} questions/s, {record['questions_per_s'] / rates[best]:.2f} times "
          f"lm-eval's at batch {best} ({record['num_questions']} questions)")


main()
