#!/usr/bin/env python3
"""Writes tests/golden/logits_<model>.json: logits of a GGUF model as transformers computes them in FP32.

The model is read by transformers' own GGUF loader (weights dequantised to FP32), so that nothing of
Dovetail takes part. Stored per prompt: token ids, and at a few positions the 20 largest logits and the
logits of 64 vocabulary entries spread evenly.

Needs: pip install torch transformers gguf
Usage: make_logit_golden.py NAME MODEL.gguf [--text FILE]   (NAME: smollm2-135m, ...)
  --text FILE also prints the mean NLL of the text's first 2,048 tokens without BOS.
"""
import argparse
import json
import pathlib

import torch
import transformers

PROMPTS = [
    "The capital of France is",
    "def fibonacci(n):\n    if n < 2:\n        return n\n    return fibonacci(n - 1) +",
    "In 1969, 3 astronauts flew 384,400 km to the Moon. They landed on July 20th, and when they came back "
    "they said that the most beautiful thing they had seen was the Earth itself, small and blue,",
]
NUM_TOP = 20
NUM_FIXED = 64


def positions_of(length):
    """First, middle and last position."""
    return sorted({0, length // 2, length - 1})


def golden_position(logits, position):
    row = logits[position]
    top = torch.topk(row, NUM_TOP)
    vocab = row.shape[0]
    fixed = [i * (vocab - 1) // (NUM_FIXED - 1) for i in range(NUM_FIXED)]
    return {
        "position": position,
        "top_ids": top.indices.tolist(),
        "top_logits": [round(x, 6) for x in top.values.tolist()],
        "fixed_ids": fixed,
        "fixed_logits": [round(row[i].item(), 6) for i in fixed],
    }


def mean_nll(model, ids):
    logits = model(torch.tensor([ids])).logits[0, :-1].double()
    picked = torch.log_softmax(logits, -1)[torch.arange(len(ids) - 1), ids[1:]]
    return -picked.mean().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("gguf", type=pathlib.Path)
    parser.add_argument("--text", type=pathlib.Path)
    args = parser.parse_args()
    folder = str(args.gguf.resolve().parent)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=args.gguf.name)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=args.gguf.name, dtype=torch.float32, attn_implementation="eager")
    model.eval()
    prompts = []
    with torch.no_grad():
        for text in PROMPTS:
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            logits = model(torch.tensor([ids])).logits[0]
            prompts.append({
                "text": text,
                "ids": ids,
                "positions": [golden_position(logits, p) for p in positions_of(len(ids))],
            })
        if args.text:
            text = args.text.read_text(encoding="utf-8")
            print("nll", mean_nll(model, tokenizer(text, add_special_tokens=False)["input_ids"][:2048]))
    golden = {
        "model": args.name,
        "why_right": "transformers, FP32, weights dequantised by its GGUF loader; tools/make_logit_golden.py",
        "transformers": transformers.__version__,
        "torch": torch.__version__.split("+")[0],
        "prompts": prompts,
    }
    out = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / f"logits_{args.name}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(golden, indent=1) + "\n")
    print(out)


if __name__ == "__main__":
    main()
