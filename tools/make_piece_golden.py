#!/usr/bin/env python3
"""Writes tests/golden/sentencepiece_texts.json: the texts of tokenizer_texts.json and their ids by the Python package of SentencePiece.

Texts that name a special token are left out: the package takes them as plain text, Dovetail as the token.

Needs: pip install sentencepiece
Usage: make_piece_golden.py FOLDER   (FOLDER/llama2/tokenizer.model, FOLDER/mistral/...)
"""
import argparse
import json
import pathlib

import sentencepiece

MODELS = {
    "llama2/tokenizer.model": "llama2",
    "mistral/tokenizer.model.v1": "mistral_v1",
    "mistral/mistral_instruct_tokenizer_241114.model.v7": "mistral_v7",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    arguments = parser.parse_args()
    golden_folder = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"
    texts = json.loads((golden_folder / "tokenizer_texts.json").read_text(encoding="utf-8"))["texts"]
    texts += ["Hello world", " Hello", "  two  spaces ", "line\nline\n", "\u2581"]
    golden = {"made_with": f"sentencepiece {sentencepiece.__version__}", "texts": texts}
    for path, name in MODELS.items():
        model = sentencepiece.SentencePieceProcessor(model_file=str(arguments.folder / path))
        golden[name] = {"path": "tokenizers/" + path, "bos_id": model.bos_id(), "eos_id": model.eos_id(),
                        "ids": [model.encode(text) for text in texts],
                        "decoded": [model.decode(model.encode(text)) for text in texts]}
    lines = [f'"{key}": ' + json.dumps(value, separators=(",", ":")) for key, value in golden.items()]
    (golden_folder / "sentencepiece_texts.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
