#!/usr/bin/env python3
"""Writes tests/golden/tokenizer_texts.json: random texts and their ids by the Rust tokenizers library.

Texts are drawn from characters that pre-tokenizers treat differently: letters of several scripts, digits
and other numbers, white space, line ends, contractions, combining marks, emoji, added tokens.

Needs: pip install tokenizers
Usage: make_tokenizer_golden.py FOLDER   (FOLDER/{smollm2,qwen3,llama3}/tokenizer.json)
"""
import argparse
import json
import pathlib
import random

import tokenizers

MODELS = ["smollm2", "qwen3", "llama3"]
NUM_TEXTS = 150
PIECES = [
    " ", " ", "  ", "    ", "\n", "\n\n", "\r\n", "\t", "\u00a0", "\u3000", "\u2028", "\u180e", "\u0085",
    "'s", "'T", "'re", "'VE", "'ll", "'\u017f", "\u2019s", "'", "the", "The", "hello", "WORLD", "don't",
    "na\u00efve", "e\u0301", "\u00e9", "\u1e9b\u0323", "\u212b", "\uac00", "\u1112\u1161\u11ab", "\u0915\u093f",
    "\u4f60\u597d", "\u65e5\u672c", "\u0416\u0443\u043a", "\u05e9\u05dc\u05d5\u05dd", "\u0645\u0631\u062d",
    "0", "7", "12", "123", "12345", "\u00bd", "\u00b2", "\u2167", "\u0664", "\u2460",
    ".", ",", "!?", "...", "-", "--", "_", "(", ")", "{}", "[0]", "==", "//", "#", "$", "%", "&", "@", "\\",
    "\U0001f600", "\U0001f44d\U0001f3fd", "\U0001f468\u200d\U0001f469", "\u200b", "\ufeff", "\u0000", "\u0007",
    "<|im_start|>", "<|endoftext|>", "<|im_end", "<|begin_of_text|>", "<tool_call>",
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    arguments = parser.parse_args()
    rng = random.Random(20260101)
    texts = ["".join(rng.choice(PIECES) for _ in range(rng.randint(1, 12))) for _ in range(NUM_TEXTS)]
    golden = {"made_with": f"tokenizers {tokenizers.__version__}", "texts": texts}
    for model in MODELS:
        tokenizer = tokenizers.Tokenizer.from_file(str(arguments.folder / model / "tokenizer.json"))
        golden[model] = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    target = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "tokenizer_texts.json"
    lines = [f'"{key}": ' + json.dumps(value, separators=(",", ":")) for key, value in golden.items()]
    target.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
