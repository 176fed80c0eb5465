#!/usr/bin/env python3
"""Writes tests/golden/tiny_models/<name>/: small random models and their logits as transformers computes them in FP32.

One model for each part of the architecture that no model of the zoo has: norms of query and key heads (Qwen3), heads wider
than hidden / heads, Llama-3 and linear scaling of rotary embeddings. Weights are drawn wide, so that every part matters,
and stored as BF16.

Needs: pip install torch transformers
Usage: make_tiny_model_golden.py
"""
import json
import pathlib

import torch
import transformers

LENGTH = 48
POSITIONS = [0, 1, 7, 20, 33, 47]
COMMON = dict(vocab_size=64, hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4,
              num_key_value_heads=2, head_dim=16, max_position_embeddings=128, rms_norm_eps=1e-6)
LLAMA3 = dict(rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=64)
LINEAR = dict(rope_type="linear", rope_theta=10000.0, factor=4.0)
MODELS = {
    "qwen3": (transformers.Qwen3Config, dict(tie_word_embeddings=True)),
    "llama3_rope": (transformers.LlamaConfig, dict(tie_word_embeddings=False, rope_parameters=LLAMA3)),
    "linear_rope": (transformers.LlamaConfig, dict(tie_word_embeddings=True, rope_parameters=LINEAR)),
}


def fill(model, generator):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = torch.randn(parameter.shape, generator=generator)
            if "norm" in name:
                parameter.copy_(1 + 0.4 * values)
            else:
                parameter.copy_(values * 1.5 / parameter.shape[-1] ** 0.5)


def main():
    root = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "tiny_models"
    for seed, (name, (config_class, options)) in enumerate(MODELS.items()):
        generator = torch.Generator().manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_config(
            config_class(**COMMON, **options), attn_implementation="eager")
        fill(model, generator)
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        model.to(torch.bfloat16).save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
        ids = torch.randint(COMMON["vocab_size"], (LENGTH,), generator=generator).tolist()
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0]
        golden = {
            "why_right": "transformers, FP32, from the same files; tools/make_tiny_model_golden.py",
            "transformers": transformers.__version__,
            "ids": ids,
            "positions": POSITIONS,
            "logits": [[round(x, 6) for x in logits[p].tolist()] for p in POSITIONS],
        }
        (folder / "logits.json").write_text(json.dumps(golden) + "\n")
        print(folder)


if __name__ == "__main__":
    main()
