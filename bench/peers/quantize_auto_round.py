"""Runs AutoRound once. Needs: auto-round.

Usage: quantize_auto_round.py JOB.json; keys as in quantize_llm_compressor.py; setting: bits, group,
symmetric, batch, iterations.
"""

import json
import pathlib
import sys
import time

import torch
import transformers
from auto_round import AutoRound


def main():
    job = json.loads(pathlib.Path(sys.argv[1]).read_text())
    torch.set_num_threads(job["threads"])
    setting = job["setting"]
    sequences = json.loads(pathlib.Path(job["tokens"]).read_text())["calibration"]
    batch = setting["batch"]
    # As the library's own loader gives them: batches of ids with a mask.
    batches = [{"input_ids": torch.tensor(sequences[i:i + batch]),
                "attention_mask": torch.ones(len(sequences[i:i + batch]), len(sequences[0]),
                                             dtype=torch.long)}
               for i in range(0, len(sequences), batch)]
    model = transformers.AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(job["model"])
    start = time.perf_counter()
    rounding = AutoRound(
        model, tokenizer,
        scheme={"bits": setting["bits"], "group_size": setting["group"],
                "sym": setting["symmetric"], "data_type": "int", "act_bits": 16},
        dataset=batches, nsamples=len(sequences), seqlen=len(sequences[0]), batch_size=batch,
        iters=setting["iterations"], device_map="cpu")
    rounding.quantize()
    seconds = time.perf_counter() - start
    rounding.save_quantized(job["out"], format=setting.get("format", "auto_gptq"), inplace=True)
    (pathlib.Path(job["out"]) / "quantized.json").write_text(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
