#!/usr/bin/env python3
"""Writes tests/golden/bos_tokenizer/: a small tokenizer that puts BOS before every text, and what lm-eval makes of texts with it.

The tokenizer is byte-level with a few merges and Llama-3's post-processor (ByteLevel, then a template). The ids are those of
lm-eval's own HFLM.tok_encode and _encode_pair, with and without a text that begins with BOS already, as chat templates write it.

Needs: pip install lm_eval==0.4.13 transformers
Usage: make_bos_golden.py
"""
import json
import pathlib

import tokenizers
import transformers
from lm_eval.models.huggingface import HFLM
from tokenizers import decoders, models, pre_tokenizers, processors

BOS, EOS = "<|begin_of_text|>", "<|end_of_text|>"
MERGES = [("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o"), ("Ġ", "w"), ("Ġw", "o")]
TEXTS = ["hello world", " hello", "", "a\nb", BOS + "hello", "hello" + BOS, " " + BOS + "x", EOS + "hello"]
PAIRS = [("hello", " world"), ("hello ", "world"), (BOS + "hello", " world"), ("  ", "hello"), ("", "hello"), ("", BOS + "hello"),
         ("hello\n\n", "A")]


def make_tokenizer():
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = alphabet + [a + b for a, b in MERGES]
    tokenizer = tokenizers.Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=MERGES, ignore_merges=True))
    tokenizer.add_special_tokens([tokenizers.AddedToken(t, special=True, normalized=False) for t in (BOS, EOS)])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single=f"{BOS} $A", pair=f"{BOS} $A {BOS}:1 $B:1",
                                      special_tokens=[(BOS, tokenizer.token_to_id(BOS))])])
    return tokenizer


def harness(folder):
    model = object.__new__(HFLM)  # its tokenizer alone is needed
    model.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model.backend = "causal"
    model.add_bos_token = None
    model.custom_prefix_token_id = None
    model.enable_thinking = False
    return model


def encode_pair(model, context, continuation):
    """What HFLM.loglikelihood hands on."""
    handed = []
    model._loglikelihood_tokens = lambda requests, **_: handed.extend(requests)
    request = type("Request", (), {"args": (context, continuation)})
    model.loglikelihood([request])
    return {"context": context, "continuation": continuation, "context_ids": handed[0][1], "continuation_ids": handed[0][2]}


def main():
    folder = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "bos_tokenizer"
    folder.mkdir(parents=True, exist_ok=True)
    make_tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BOS, "eos_token": EOS}, indent=1) + "\n")
    model = harness(folder)
    golden = {
        "why_right": "lm-eval 0.4.13, HFLM.tok_encode and loglikelihood; tools/make_bos_golden.py",
        "transformers": transformers.__version__,
        "texts": [{"text": t, "ids": model.tok_encode(t), "plain_ids": model.tok_encode(t, add_special_tokens=False)}
                  for t in TEXTS],
        "pairs": [encode_pair(model, *pair) for pair in PAIRS],
    }
    (folder / "requests.json").write_text(json.dumps(golden, indent=1) + "\n")
    print(folder)


if __name__ == "__main__":
    main()
