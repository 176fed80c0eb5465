#!/usr/bin/env python3
"""transformers + compressed-tensors load Dovetail's folders in every format; weights and logits equal
Dovetail's own. Run by prepare.py inside its environment: check_transformers.py TOOL SCRATCH."""
import functools
import json
import pathlib
import subprocess
import sys

import numpy as np
import torch
import transformers

TOOL, SCRATCH = sys.argv[1], pathlib.Path(sys.argv[2])
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


def float32_unpacking():
    """The package unpacks FP4 and FP6 codes and E8M0 scales into bfloat16, which rounds NVFP4's products to
    8 bits and leaves others as bfloat16 weights. Asked for FP32 it gives what the format says."""
    from compressed_tensors.compressors.mxfp6 import base as mxfp6
    from compressed_tensors.compressors.mxfp8 import base as mxfp8
    from compressed_tensors.compressors.nvfp4 import base as nvfp4
    nvfp4.unpack_fp4_from_uint8 = functools.partial(nvfp4.unpack_fp4_from_uint8, dtype=torch.float32)
    mxfp6.unpack_fp6_from_uint8 = functools.partial(mxfp6.unpack_fp6_from_uint8, dtype=torch.float32)
    decompress = mxfp8.decompress_mx_scale
    mxfp8.decompress_mx_scale = lambda scale: decompress(scale).float()


def zero_points_on_meta():
    """Before it loads, transformers builds the packed module on the meta device, where compressed-tensors
    0.20 forgets that zero points are packed too and then refuses those of the file. (Loading with
    CompressedTensorsConfig(dequantize=True) does not go through this.)"""
    from compressed_tensors.compressors.pack_quantized.base import PackedQuantizationCompressor as Packed
    compress = Packed.compress.__func__

    def with_zero_points(cls, state_dict, scheme):
        made = compress(cls, state_dict, scheme)
        zeros = made.get("weight_zero_point")
        if zeros is not None and zeros.is_meta and scheme.weights.strategy in ("group", "channel"):
            words = -(-zeros.shape[0] * scheme.weights.num_bits // 32)
            made["weight_zero_point"] = torch.empty((words, zeros.shape[1]), dtype=torch.int32, device="meta")
        return made

    Packed.compress = classmethod(with_zero_points)


def token_scales():
    """The package's own emulation of INT8 activations divides the largest magnitude by 127.5; runtimes
    and Dovetail divide by 127, so that the largest value has a code of its own."""
    from compressed_tensors.quantization.lifecycle import forward

    def scales(value, args, module, global_scale=None):
        largest = value.abs().amax(dim=-1, keepdim=True)
        scale = largest / (127.0 if args.type == "int" else 448.0)
        return torch.where(scale == 0, torch.ones_like(scale), scale), torch.zeros_like(scale)

    forward.compute_dynamic_scales_and_zp = scales


def load(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()


def check(treatment, tying="tied", logits_tolerance=2e-4):
    out = SCRATCH / f"{treatment}-{tying}".replace("/", "_")
    subprocess.run([TOOL, "folder", out, treatment, tying], check=True)
    model = load(out / "model")
    tokens = torch.tensor([json.loads((out / "tokens.json").read_text())])
    with torch.no_grad():
        logits = model(tokens).logits[0].float().numpy()
    modules = dict(model.named_modules())
    for path in sorted((out / "values").iterdir()):
        name = path.name.removesuffix(".f32")
        if name not in modules:  # a bias
            continue
        ours = np.fromfile(path, "<f4")
        theirs = modules[name].weight.detach().float().numpy().reshape(-1)
        worst = np.abs(ours - theirs).max() / np.abs(ours).max()
        limit = 1e-6 if "nvfp4" in treatment else 0
        assert worst <= limit, f"{treatment} {name}: values differ by {worst} of the largest"
    ours = np.fromfile(out / "logits.f32", "<f4").reshape(logits.shape)
    worst = np.abs(ours - logits).max() / ours.std()
    print(f"{treatment:40} {tying:7} logits differ by {worst:.2e} of their deviation", flush=True)
    assert worst < logits_tolerance, treatment


def main():
    float32_unpacking()
    token_scales()
    zero_points_on_meta()
    for treatment in sys.argv[3:]:
        try:
            check(treatment)
        except Exception as e:
            print("FAIL", treatment, type(e), e)


main()
