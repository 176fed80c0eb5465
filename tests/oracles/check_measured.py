#!/usr/bin/env python3
"""What dovetail compress writes measures as the treatment that was emulated: dovetail eval kl CHECKPOINT --against MODEL
equals eval kl MODEL --treatment; verify says which tensor was damaged. No packages are needed."""
import argparse
import json
import pathlib
import subprocess
import tempfile

from check_llama_cpp import write_tokenizer

TREATMENTS = ["int4_g64+a:int8_token", "nvfp4", "int4_asym_g32+kv:int8", "int4_g64+head:int8", "int4_g64+r:r1r2",
              "int4_g64_gptq", "nvfp4_awq_gptq", "int8_smooth+a:int8_token", "int3_g64_gptq_cd", "int3_g64_signround",
              "bf16+mlp:64", "int4_g64_gptq+mlp:64+heads:2", "int8+mlp:80+kv_heads:1"]
CALIBRATION = ["README.md", "16", "32"]
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

        def compress(treatment):
            text, sequences, tokens = CALIBRATION
            subprocess.run([options.binary, "compress", reference, "--treatment", treatment, "--text", text,
                            "--sequences", sequences, "--tokens", tokens, "--out", work / treatment],
                           check=True, capture_output=True)
            return work / treatment

        reference = write("bf16")
        text, sequences, tokens = CALIBRATION
        for treatment in TREATMENTS:
            folder = compress(treatment)
            emulated = kl(reference, "--treatment", treatment, "--off-grid", "none", "--calibration", text,
                          "--calibration-sequences", sequences, "--calibration-tokens", tokens)
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
