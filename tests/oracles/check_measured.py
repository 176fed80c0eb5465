#!/usr/bin/env python3
"""A written checkpoint measures as the treatment that was emulated: dovetail eval kl CHECKPOINT --against MODEL
equals eval kl MODEL --treatment; verify says which tensor was damaged. No packages are needed."""
import argparse
import json
import pathlib
import subprocess
import tempfile

from check_llama_cpp import write_tokenizer

TREATMENTS = ["int4_g64+a:int8_token", "nvfp4", "int4_asym_g32+kv:int8", "int4_g64+head:int8"]
TEXT = ["--text", "README.md", "--windows", "2", "--context", "64", "--json"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--tool", required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        write_tokenizer(work / "source")
        source = work / "source" / "tokenizer.json"

        def write(treatment):
            subprocess.run([options.tool, "folder", work / treatment, treatment, "tied", source], check=True)
            return work / treatment / "model"

        def kl(*words):
            made = subprocess.run([options.binary, "eval", "kl", *words, *TEXT], check=True, capture_output=True)
            return json.loads(made.stdout)

        reference = write("bf16")
        for treatment in TREATMENTS:
            folder = write(treatment)
            emulated = kl(reference, "--treatment", treatment, "--off-grid", "none")
            written = kl(folder, "--against", reference)
            for key in ("kl_nats_per_token", "top1_agreement_frac", "bits_per_weight"):
                assert emulated[key] == written[key], (treatment, key, emulated[key], written[key])
            print(f"{treatment:28} KL {written['kl_nats_per_token']:.5f} both ways", flush=True)
            assert written["kl_nats_per_token"] > 0
            damaged = folder / "model.safetensors"
            whole = bytearray(damaged.read_bytes())
            assert subprocess.run([options.binary, "verify", folder], check=False).returncode == 0
            whole[-1000] ^= 16
            damaged.write_bytes(whole)
            found = subprocess.run([options.binary, "verify", folder], check=False, capture_output=True, text=True)
            assert found.returncode == 1 and "differ" in found.stdout, found.stdout + found.stderr


if __name__ == "__main__":
    main()
