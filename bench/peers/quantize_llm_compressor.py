"""Runs one llm-compressor recipe. Needs: llmcompressor.

Usage: quantize_llm_compressor.py JOB.json, with keys
  model, tokens, out   folder, tokens.json of export_model.py, folder to write
  setting              see recipe_of
Writes the compressed checkpoint and OUT/quantized.json.
"""

import json
import pathlib
import sys
import time

import datasets
import torch
import transformers
from llmcompressor import oneshot
from llmcompressor.modifiers.gptq import GPTQModifier
from llmcompressor.modifiers.quantization import QuantizationModifier
from llmcompressor.modifiers.transform.awq import AWQModifier
from llmcompressor.modifiers.transform.smoothquant import SmoothQuantModifier
from llmcompressor.pipelines.cache import IntermediatesCache

if not torch.cuda.is_available():
    # AWQ of 0.14 pins its cache for transfers to an accelerator, which fails where there is none.
    IntermediatesCache.pin_memory = lambda self, batch_index, input_names=None: None


def weights_of(setting):
    """Keyword arguments of a modifier: a preset scheme, or integers in groups."""
    if "scheme" in setting:
        return {"targets": ["Linear"], "ignore": ["lm_head"], "scheme": setting["scheme"]}
    group = {
        "targets": ["Linear"],
        "weights": {
            "num_bits": setting["bits"],
            "type": "int",
            "symmetric": setting["symmetric"],
            "strategy": "group",
            "group_size": setting["group"],
        },
    }
    if "observer" in setting:
        group["weights"]["observer"] = setting["observer"]
    return {"config_groups": {"group_0": group}, "ignore": ["lm_head"]}


def recipe_of(setting):
    """algorithm: rtn, gptq (static activation order is the library's default), awq, smoothquant,
    smoothquant_gptq."""
    weights = weights_of(setting)
    algorithm = setting["algorithm"]
    if algorithm == "rtn":
        return [QuantizationModifier(**weights)]
    if algorithm == "gptq":
        return [GPTQModifier(**weights)]
    if algorithm == "awq":
        return [AWQModifier(duo_scaling="both"), QuantizationModifier(**weights)]
    if algorithm == "smoothquant":
        return [SmoothQuantModifier(smoothing_strength=setting["smoothing_strength"]),
                QuantizationModifier(**weights)]
    if algorithm == "smoothquant_gptq":
        return [SmoothQuantModifier(smoothing_strength=setting["smoothing_strength"]),
                GPTQModifier(**weights)]
    raise SystemExit(f"setting: algorithm = {algorithm}, want rtn, gptq, awq, smoothquant, "
                     "smoothquant_gptq")


def main():
    job = json.loads(pathlib.Path(sys.argv[1]).read_text())
    torch.set_num_threads(job["threads"])
    sequences = json.loads(pathlib.Path(job["tokens"]).read_text())["calibration"]
    model = transformers.AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32)
    dataset = datasets.Dataset.from_dict(
        {"input_ids": sequences, "attention_mask": [[1] * len(s) for s in sequences]})
    recipe = recipe_of(job["setting"])
    start = time.perf_counter()
    if job["setting"]["algorithm"] == "rtn":
        oneshot(model=model, recipe=recipe)
    else:
        oneshot(model=model, dataset=dataset, recipe=recipe, shuffle_calibration_samples=False,
                num_calibration_samples=len(sequences), max_seq_length=len(sequences[0]))
    seconds = time.perf_counter() - start
    model.save_pretrained(job["out"], save_compressed=True)
    (pathlib.Path(job["out"]) / "quantized.json").write_text(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
