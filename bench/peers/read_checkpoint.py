"""Dequantises a peer's checkpoint into a plain float32 Hugging Face folder and counts its bits.

Usage: read_checkpoint.py BASE CHECKPOINT OUT, where BASE is the uncompressed folder. Prints one JSON
object.

The layouts are read here from their definitions (compressed-tensors pack-quantized,
int-quantized, nvfp4- and mxfp4-pack-quantized; GPTQ of GPTQModel and AutoRound; GGUF) and not with the
peers' own code, so that a row does not depend on what a peer does when it loads.
Everything outside the linears of the blocks is taken from the checkpoint where the peer may have
changed it (norms that AWQ or SmoothQuant scaled), except that embedding and head stay as they were.

Group scales that a checkpoint stores in float32 are rounded to float16 first and counted as 16 bits, as
Dovetail's own formats have them.

Needs: numpy, torch (for bfloat16 and FP8 tensors), safetensors, gguf.
"""

import dataclasses
import json
import pathlib
import shutil
import sys

import gguf
import numpy as np
import safetensors.torch
import torch

from export_model import gguf_heads, halves_of_pairs, hugging_face_name

BLOCK_LINEARS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
FP4_E2M1 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0,
                         -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0])


@dataclasses.dataclass
class Linear:
    """One dequantised matrix and what it costs."""

    weight: torch.Tensor  # (out, in) float32
    format_bits: float    # elements, scales and, if the format has them, zero points
    stored_bits: float    # of all tensors that the checkpoint keeps for it


def is_block_linear(name):
    return name.startswith("model.layers.") and name.split(".")[-1] in BLOCK_LINEARS


def unpack_bit_stream(words, bits, count):
    """(rows, words) int32 -> (rows, count) codes: a row is one stream, low bits first."""
    rows = words.shape[0]
    raw = np.ascontiguousarray(words.numpy()).view(np.uint8).reshape(rows, -1)
    stream = np.unpackbits(raw, axis=1, bitorder="little")[:, :count * bits]
    weights = (1 << np.arange(bits)).astype(np.int32)
    return torch.from_numpy(stream.reshape(rows, count, bits).astype(np.int32) @ weights)


def bits_of(tensors):
    return 8.0 * sum(t.numel() * t.element_size() for t in tensors)


def rounded_scale(scale):
    return scale.to(torch.float16).to(torch.float32)


def spread_groups(per_group, columns):
    """(out, groups) -> (out, in)."""
    return per_group.repeat_interleave(columns // per_group.shape[1], dim=1)


def read_pack_quantized(parts, scheme):
    bits, symmetric = scheme["num_bits"], scheme["symmetric"]
    rows, cols = (int(n) for n in parts["weight_shape"])
    codes = unpack_bit_stream(parts["weight_packed"], bits, cols) - (1 << (bits - 1))
    scale = rounded_scale(parts["weight_scale"])
    format_bits = rows * cols * bits + 16 * scale.numel()
    zero = torch.zeros_like(scale)
    if not symmetric:
        # Zero points are packed along the rows.
        packed = parts["weight_zero_point"].T.contiguous()
        zero = (unpack_bit_stream(packed, bits, rows) - (1 << (bits - 1))).T.to(torch.float32)
        format_bits += bits * zero.numel()
    weight = (codes - spread_groups(zero, cols)) * spread_groups(scale, cols)
    stored = bits_of(t for name, t in parts.items() if name != "weight_shape")
    return Linear(weight.to(torch.float32), format_bits, stored)


def read_int_quantized(parts, scheme):
    codes, scale = parts["weight"].to(torch.float32), rounded_scale(parts["weight_scale"])
    if not scheme["symmetric"]:
        raise SystemExit("int-quantized: symmetric = false, want true")
    weight = codes * spread_groups(scale, codes.shape[1])
    return Linear(weight, codes.numel() * scheme["num_bits"] + 16 * scale.numel(),
                  bits_of(parts.values()))


def read_fp4(parts, scheme):
    packed = parts["weight_packed"]
    codes = torch.stack([packed & 15, packed >> 4], dim=-1).reshape(packed.shape[0], -1)
    values = FP4_E2M1[codes.long()]
    scale = parts["weight_scale"]
    if scale.dtype == torch.uint8:  # E8M0
        factor = torch.exp2(scale.to(torch.float32) - 127)
    else:  # E4M3 under a global scale, which divides
        factor = scale.to(torch.float32) / parts["weight_global_scale"].to(torch.float32)
    bits = 4 * values.numel() + 8 * scale.numel()
    if "weight_global_scale" in parts:
        bits += 32
    return Linear(values * spread_groups(factor, values.shape[1]), bits, bits_of(parts.values()))


def read_compressed_tensors(folder, config):
    """Returns (linears by module name, all other tensors by name)."""
    quantization = config["quantization_config"]
    (group,) = quantization["config_groups"].values()
    reader = {
        "pack-quantized": read_pack_quantized,
        "int-quantized": read_int_quantized,
        "nvfp4-pack-quantized": read_fp4,
        "mxfp4-pack-quantized": read_fp4,
    }[group["format"]]
    modules, others = split_modules(folder, ("weight_scale",))
    return {name: reader(parts, group["weights"]) for name, parts in modules.items()}, others


def split_modules(folder, marks):
    """Tensors of a safetensors folder: those of modules that own a tensor named as a mark, the rest."""
    tensors = {}
    for path in sorted(pathlib.Path(folder).glob("*.safetensors")):
        tensors.update(safetensors.torch.load_file(path))
    quantised = {name.rpartition(".")[0] for name in tensors if name.rpartition(".")[2] in marks}
    modules = {name: {} for name in quantised}
    others = {}
    for name, tensor in tensors.items():
        module, _, part = name.rpartition(".")
        if module in quantised:
            modules[module][part] = tensor
        else:
            others[name] = tensor
    return modules, others


def read_gptq(folder, config):
    """qweight (in * bits / 32, out), qzeros (groups, out * bits / 32), scales (groups, out)."""
    quantization = config["quantization_config"]
    bits, symmetric = quantization["bits"], quantization["sym"]
    # The first version of the layout stores zero points less one.
    first_version = quantization.get("checkpoint_format", "gptq") != "gptq_v2"
    modules, others = split_modules(folder, ("qweight",))
    linears = {}
    for name, parts in modules.items():
        scale = parts["scales"].to(torch.float32)  # (groups, out)
        groups, rows = scale.shape
        cols = parts["qweight"].shape[0] * 32 // bits
        codes = unpack_bit_stream(parts["qweight"].T.contiguous(), bits, cols)  # (out, in)
        zero = unpack_bit_stream(parts["qzeros"], bits, rows)  # (groups, out)
        if first_version:
            zero = (zero + 1) & ((1 << bits) - 1)
        group_of = parts["g_idx"].long() if "g_idx" in parts else (
            torch.arange(cols) // (cols // groups))
        weight = (codes - zero.T[:, group_of]) * rounded_scale(scale).T[:, group_of]
        format_bits = bits * codes.numel() + 16 * scale.numel()
        if not symmetric:
            format_bits += bits * zero.numel()
        linears[name] = Linear(weight.to(torch.float32), format_bits, bits_of(parts.values()))
    return linears, others


def read_gguf(path, config):
    """The linears of the blocks only: llama.cpp's types for embedding and head are left out."""
    linears = {}
    for tensor in gguf.GGUFReader(path).tensors:
        name = hugging_face_name(tensor.name).removesuffix(".weight")
        if not is_block_linear(name):
            continue
        values = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        values = values.reshape(tuple(int(n) for n in reversed(tensor.shape)))
        heads = gguf_heads(tensor.name, config)
        if heads is not None:
            values = halves_of_pairs(values, heads)
        bits = 8.0 * tensor.data.nbytes
        linears[name] = Linear(torch.from_numpy(np.ascontiguousarray(values)), bits, bits)
    return linears, {}


def read_checkpoint(folder, base_config):
    folder = pathlib.Path(folder)
    if list(folder.glob("*.gguf")):
        return read_gguf(next(folder.glob("*.gguf")), base_config)
    config = json.loads((folder / "config.json").read_text())
    method = config["quantization_config"]["quant_method"]
    if method == "compressed-tensors":
        return read_compressed_tensors(folder, config)
    if method in ("gptq", "auto-round"):
        return read_gptq(folder, config)
    raise SystemExit(f"{folder}: quant_method = {method}, want compressed-tensors, gptq, auto-round")


def dequantise(base, checkpoint, out):
    """Writes the folder `out`; returns its bits per weight of the block linears.

    base: the uncompressed Hugging Face folder. Fails if a linear of a block was left uncompressed or
    anything else was compressed.
    """
    base, out = pathlib.Path(base), pathlib.Path(out)
    config = json.loads((base / "config.json").read_text())
    tensors = safetensors.torch.load_file(base / "model.safetensors")
    wanted = {n.removesuffix(".weight") for n in tensors if is_block_linear(n.removesuffix(".weight"))}
    linears, others = read_checkpoint(checkpoint, config)
    if set(linears) != wanted:
        odd = sorted(set(linears) ^ wanted)
        raise SystemExit(f"{checkpoint}: {len(odd)} modules as {odd[0]} are compressed on one side "
                         f"only, want exactly the {len(wanted)} linears of the blocks")
    for name, tensor in others.items():
        if name in tensors and "norm" in name:
            tensors[name] = tensor.to(torch.float32)
    for name, linear in linears.items():
        key = name + ".weight"
        if linear.weight.shape != tensors[key].shape:
            raise SystemExit(f"{checkpoint}: {key} is {tuple(linear.weight.shape)}, "
                             f"want {tuple(tensors[key].shape)}")
        tensors[key] = linear.weight.contiguous()
    out.mkdir(parents=True, exist_ok=True)
    safetensors.torch.save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(base / name, out / name)
    count = sum(linear.weight.numel() for linear in linears.values())
    return {
        "bits_per_weight": sum(linear.format_bits for linear in linears.values()) / count,
        "stored_bits_per_weight": sum(linear.stored_bits for linear in linears.values()) / count,
    }


if __name__ == "__main__":
    print(json.dumps(dequantise(*sys.argv[1:])))
