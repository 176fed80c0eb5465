#!/usr/bin/env python3
"""transformers + compressed-tensors load Dovetail's folders in every format; weights and logits equal
Dovetail's own. Run by prepare.py inside its environment: check_transformers.py TOOL SCRATCH."""
import functools
import json
import os
import pathlib
import subprocess
import sys

os.environ["TQDM_DISABLE"] = "1"
import numpy as np
import tokenizers
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


# Every layout, every width, every granule.
WEIGHTS = ["int2_g32", "int3_asym_g64", "int4_g64", "int4_asym_b128", "int4_asym_tensor", "int5", "int6_asym",
           "int7_g16", "int8_asym_g64", "fp8_e4m3fn", "fp8_e4m3fn_b128", "fp8_e4m3fn_g64", "mxfp8_e4m3fn",
           "mxfp6_e2m3", "mxfp4", "nvfp4", "int4_g128+head:nvfp4", "int4_asym_g32+head:int8",
           "bf16+mlp:160+heads:2", "int4_g32+mlp:320+kv_heads:1"]
# Activations are rounded: a last bit of difference may flip a code, and later tokens see it.
ACTIVATIONS = ["int8+a:int8_token", "int8_asym+a:int8_token", "fp8_e4m3fn_tensor+a:fp8_token",
               "int4_g64+a:int8_token"]


def answers(treatment):
    """Folder, transformers' logits of it and Dovetail's, (tokens, vocabulary)."""
    out = SCRATCH / treatment
    subprocess.run([TOOL, "folder", out, treatment, "tied"], check=True)
    model = load(out / "model")
    tokens = torch.tensor([json.loads((out / "tokens.json").read_text())])
    with torch.no_grad():
        logits = model(tokens).logits[0].float().numpy()
    return out, model, logits, np.fromfile(out / "logits.f32", "<f4").reshape(logits.shape)


def check_values(treatment, out, model):
    modules = dict(model.named_modules())
    for path in sorted((out / "values").iterdir()):
        name = path.name.removesuffix(".f32")
        ours = np.fromfile(path, "<f4")
        theirs = modules[name].weight.detach().float().numpy().reshape(-1)
        worst = np.abs(ours - theirs).max() / np.abs(ours).max()
        # NVFP4: code * (scale / global) there, code * (scale * (1 / global)) here.
        assert worst <= (1e-6 if "nvfp4" in treatment else 0), f"{treatment} {name}: values differ by {worst}"


def check_tokenizers():
    """The tokenizers package gives Dovetail's ids under a tokenizer.json that was made of another file."""
    data = pathlib.Path(os.environ.get("DOVETAIL_DATA", "../shared/data"))
    cache = pathlib.Path(os.environ.get("DOVETAIL_CACHE", pathlib.Path.home() / ".cache" / "dovetail"))
    sources = [data / "tokenizers" / name for name in ("smollm2", "qwen2.5", "llama3", "gpt2")]
    sources.append(cache / "models" / "smollm2-135m" / "model.gguf")
    text = pathlib.Path("docs/tutorial.md").read_text(encoding="utf-8") + "\n\n Zwölf  ½ 12345 \u4f60\u597d\U0001f600 I'LL\t"
    (SCRATCH / "text.txt").write_text(text, encoding="utf-8")
    for i, source in enumerate(sources):
        if not source.exists():
            print(f"NOT TESTED: {source} is absent")
            continue
        out = SCRATCH / f"tokenizer{i}"
        subprocess.run([TOOL, "tokenizer", source, out, SCRATCH / "text.txt"], check=True)
        theirs = tokenizers.Tokenizer.from_file(str(out / "tokenizer.json")).encode(text, add_special_tokens=False).ids
        assert theirs == json.loads((out / "ids.json").read_text()), source
        print(f"{source.name}: {len(theirs)} ids are equal", flush=True)


def main():
    check_tokenizers()
    float32_unpacking()
    token_scales()
    zero_points_on_meta()
    for treatment in WEIGHTS + ACTIVATIONS:
        out, model, theirs, ours = answers(treatment)
        check_values(treatment, out, model)
        differences = np.abs(ours - theirs).max(axis=1) / ours.std()
        print(f"{treatment:36} logits differ by {differences.max():.1e} deviations at worst, "
              f"{np.median(differences):.1e} in the middle", flush=True)
        if treatment in WEIGHTS:
            assert differences.max() < 1e-4, treatment
        else:
            assert differences[0] < 1e-4 and differences.max() < 0.25, treatment


main()
