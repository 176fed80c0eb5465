#!/usr/bin/env python3
"""Compares the weight decoder and dot units of rtl/units under Verilator with src/arith, bit for bit.

Without --sweep: the decoder and two small units, seconds each (part of the tests). With --sweep: every set that
tools/synth synthesises. Each pair whose codes have together at most --exhaustive-bits bits is tried
exhaustively in every lane; the rest, and sums of all pairs, by random granules with ordinary, subnormal,
zero, infinite and NaN scales. Needs a build of the libraries (dovetail_arith).
Exit codes: 0 all equal, 1 a difference or a failed build, 2 wrong use, 77 skipped: no Verilator.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "synth"))
import format_sets  # noqa: E402

# One unit with everything a lane can do, one of composed multipliers.
SMALL = ["int9_int8+fp4_e2m1_fp8_e4m3fn+fp8_e4m3fn_fp8_e4m3fn+bf16_bf16@half/depth8",
         "composed:int5_int8@twice+int9_int8/depth8"]
LANES_IN_HALVES = {"half": 1, "full": 2, "twice": 4}


def sources():
    files = sorted((ROOT / "rtl" / "units").glob("*.sv"))
    package = ROOT / "rtl" / "units" / "dot_formats.sv"
    return [package] + [path for path in files if path != package]


def definitions(unit):
    pairs = ",".join(f"{pair.weight}:{pair.activation}:{LANES_IN_HALVES[pair.rate]}" for pair in unit.pairs)
    return {"DOT_PAIRS": f'\\"{pairs}\\"', "DOT_DEPTH": unit.depth, "DOT_GRANULE": unit.granule,
            "DOT_MAX_GRANULE": unit.max_granule, "DOT_ALIGN_BITS": unit.align_bits,
            "DOT_SHARING": format_sets.SHARING_CODES[unit.sharing]}


def build(top, bench, flags, parameters, libraries, folder):
    archives = [str(libraries / f"libdovetail_{name}.a") for name in ("arith", "formats", "base")]
    command = ["verilator", "--cc", "--exe", "--build", "-j", "1", "-O3", "-Wall", "-Wno-DECLFILENAME",
               "-Wno-UNUSED", "--top-module", top, "--Mdir", str(folder),
               "-CFLAGS", f"-std=c++23 -O1 -I{ROOT / 'src'} {flags}",
               "-LDFLAGS", " ".join(archives + ["-lfmt", "-lcrypto", "-ltomlplusplus"])]
    command += [f"-G{key}={value}" for key, value in parameters.items()]
    command += [str(path) for path in sources() + [ROOT / "tests/cosim" / name for name in bench]]
    return subprocess.run(command, capture_output=True, text=True)


def check(name, top, bench, flags, parameters, arguments, options):
    """True if the model builds and its bench finds no difference."""
    folder = options.work / "".join(c if c.isalnum() else "_" for c in name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    start = time.monotonic()
    built = build(top, bench, flags, parameters, options.libraries.resolve(), folder)
    if built.returncode != 0:
        print(f"{name}: does not build\n{built.stdout}{built.stderr}", flush=True)
        return False
    run = subprocess.run([str(folder / f"V{top}")] + arguments, capture_output=True, text=True)
    print(f"{name}: {run.stdout.strip()} {run.stderr.strip()} ({time.monotonic() - start:.0f} s)", flush=True)
    if not options.keep:
        shutil.rmtree(folder)
    return run.returncode == 0


def check_unit(name, options):
    unit = format_sets.parse_unit(name)
    flags = " ".join(f"-D{key}={value}" for key, value in definitions(unit).items())
    return check(name, "dot_unit_bench", ["dot_unit_bench.sv", "dot_unit_cosim.cc"], flags,
                 unit.verilog_parameters(), [str(options.granules), str(options.exhaustive_bits)], options)


def check_decoder(options):
    return check("weight_decoder", "weight_decoder", ["weight_decoder_cosim.cc"], "", {}, ["500"], options)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--libraries", type=pathlib.Path, default=ROOT / "build", help="folder of the libraries [build]")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / "cosim", help="folder for Verilator [build/cosim]")
    parser.add_argument("--sweep", action="store_true", help="every set that is synthesised")
    parser.add_argument("--granules", type=int, default=20000, help="random granules a pair [20000]")
    parser.add_argument("--exhaustive-bits", type=int, default=12, help="bits of a pair tried exhaustively [12]")
    parser.add_argument("--keep", action="store_true", help="keep the built models")
    parser.add_argument("names", nargs="*", help="units by name (tools/synth/format_sets.py)")
    options = parser.parse_args()
    if shutil.which("verilator") is None:
        print("skipped: verilator is not installed (tools/install_deps.sh --tests)")
        return 77
    names = options.names or (format_sets.SWEEP if options.sweep else SMALL)
    try:
        results = [] if options.names else [check_decoder(options)]
        results += [check_unit(name, options) for name in names]
    except ValueError as error:
        print(f"run_cosim: {error}", file=sys.stderr)
        return 2
    print(f"{sum(results)} of {len(results)} models equal src/arith")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
