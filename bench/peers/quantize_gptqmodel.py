"""Runs GPTQModel once. Needs: gptqmodel.

Usage: quantize_gptqmodel.py JOB.json; keys as in quantize_llm_compressor.py; setting: bits, group,
symmetric. Activation order is the library's default (group-aware, which costs no stored index).
"""

import json
import pathlib
import sys
import time

import torch
from gptqmodel import GPTQModel, QuantizeConfig


def main():
    job = json.loads(pathlib.Path(sys.argv[1]).read_text())
    torch.set_num_threads(job["threads"])
    setting = job["setting"]
    sequences = json.loads(pathlib.Path(job["tokens"]).read_text())["calibration"]
    config = QuantizeConfig(bits=setting["bits"], group_size=setting["group"],
                            sym=setting["symmetric"], format="gptq_v2", device="cpu")
    model = GPTQModel.load(job["model"], config, dtype=torch.float32)
    calibration = [{"input_ids": s, "attention_mask": [1] * len(s)} for s in sequences]
    start = time.perf_counter()
    model.quantize(calibration, batch_size=1, calibration_sort=None)
    seconds = time.perf_counter() - start
    model.save(job["out"])
    (pathlib.Path(job["out"]) / "quantized.json").write_text(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
