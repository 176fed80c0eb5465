#!/usr/bin/env python3
"""Synthesises the dot units of rtl/units for many sets of formats and writes what silicon prices with.

Runs Yosys on the cell libraries of $DOVETAIL_DATA/pdk, one run at a time, and keeps each result under
--work by a digest of everything that it depends on, so an interrupted sweep goes on where it stopped.
Per set: the array (operand registers, lanes, exact sums, granule accumulator), its parts, the conversion to
FP32, energy a multiply-accumulate and a granule (ASAP7; netlist.py says how). Besides: FP32 add and
multiply, operand and weight decoders. Writes data/technology/units.csv (all), data/technology/units.toml (what
the program reads) and the tables of docs/units.md.

  tools/synth/synthesize.py                 the whole sweep: about 75 sets, 1 to 2 hours of one core
  tools/synth/synthesize.py --write-only    the files again from what is there
  tools/synth/synthesize.py --from-csv      units.toml and the tables again from units.csv
  tools/synth/synthesize.py NAME...         these sets alone, printed, nothing written
Exit codes: 0 done, 1 a run failed, 2 wrong use.
"""

import argparse
import datetime
import hashlib
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import time

import format_sets
import liberty
import netlist
import stimulus
import tables

ROOT = pathlib.Path(__file__).resolve().parents[2]
UNITS = ROOT / "rtl" / "units"
LIBRARIES = {
    "asap7": {"area": "asap7/asap7_RVT_TT_slim.lib", "energy": "asap7/asap7_RVT_TT_merged.lib.gz"},
    "ihp": {"area": "ihp-sg13g2/sg13g2_stdcell_typ_1p20V_25C.lib"},
}
STREAMS = 64
CYCLES = 14
SCRIPT = """read_verilog -sv {sources}
hierarchy -top {top} {parameters}
synth {flatten} -noabc -top {top}
dfflibmap -liberty {library}
abc -liberty {library}
opt_clean
tee -o {folder}/stat.txt stat -liberty {library} {top_option}
write_json {folder}/netlist.json
"""


class Synthesis:
    """Runs Yosys and remembers results."""

    def __init__(self, options):
        self.options = options
        self.pdk = options.data / "pdk"
        files = sorted(UNITS.glob("*.sv"), key=lambda path: (path.name != "dot_formats.sv", path.name))
        self.sources = " ".join(str(path) for path in files)
        self.rtl_digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
        self.version = subprocess.run(["yosys", "-V"], capture_output=True, text=True).stdout.split("(")[0].strip()
        self.libraries = {}

    def library(self, name, kind):
        key = (name, kind)
        if key not in self.libraries:
            self.libraries[key] = liberty.read_library(self.pdk / LIBRARIES[name][kind])
        return self.libraries[key]

    def result(self, library, top, parameters, energies=()):
        """Area, flip-flops, depth, modules and energies of one top, from the cache or by a run.
        energies: [(name, function of the netlist that returns fJ a cycle)]."""
        subject = json.dumps([self.version, self.rtl_digest, library, LIBRARIES[library]["area"], SCRIPT, top,
                              parameters, [name for name, _ in energies], STREAMS, CYCLES])
        cached = self.options.work / f"{hashlib.sha256(subject.encode()).hexdigest()[:24]}.json"
        if cached.exists():
            return json.loads(cached.read_text())
        if self.options.write_only:
            return None
        start = time.monotonic()
        found = self.run(library, top, parameters, energies)
        found["seconds"] = round(time.monotonic() - start, 1)
        cached.write_text(json.dumps(found))
        return found

    def run(self, library, top, parameters, energies):
        folder = self.options.work / "run"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        values = " ".join(f"-chparam {key} {value}" for key, value in parameters.items())
        found = {"date": datetime.date.today().isoformat()}
        self.yosys(folder, library, top, values, "-flatten")
        mapped = netlist.Netlist(folder / "netlist.json", top, self.library(library, "area"))
        found["area_um2"] = mapped.area_um2()
        found["flop_um2"] = mapped.flop_area_um2()
        found["flops"] = len(mapped.flops)
        found["depth_cells"] = mapped.depth_cells()
        if energies:
            full = netlist.Netlist(folder / "netlist.json", top, self.library(library, "energy"))
            found["energies_fj"] = {name: measure(full) for name, measure in energies}
        if top == "dot_array" and energies:
            self.yosys(folder, library, top, values, "")
            found["modules"] = module_areas(folder / "stat.txt")
        return found

    def yosys(self, folder, library, top, parameters, flatten):
        script = folder / "run.ys"
        script.write_text(SCRIPT.format(sources=self.sources, top=top, parameters=parameters, flatten=flatten,
                                        folder=folder, library=self.pdk / LIBRARIES[library]["area"],
                                        top_option=""))
        run = subprocess.run(["nice", "-n", "2", "yosys", "-q", str(script)], capture_output=True, text=True)
        if run.returncode != 0:
            raise RuntimeError(f"{top} {parameters}: yosys failed\n{run.stdout[-2000:]}{run.stderr[-2000:]}")


def module_areas(path):
    """[(module, instances' area in um2 without what they contain)] of a hierarchical run, summed by the
    name of the source module."""
    areas, counts, module = {}, {}, None
    for line in path.read_text().splitlines():
        words = line.split()
        if line.startswith("=== "):
            module = words[1]
            counts.setdefault(module, {})
        elif line.strip().startswith("Chip area for module"):
            areas[words[4].strip("':").lstrip("\\")] = float(words[5])
        elif len(words) == 2 and words[0].startswith("$paramod") and module and words[1].isdigit():
            counts[module][words[0]] = int(words[1])
    return {"areas": areas, "counts": counts}


def array_energy(unit, pair):
    """Energy a cycle of an array that runs `pair` without a pause, granules of two passes."""
    def measure(mapped):
        index = unit.pairs.index(pair)
        sides = {}
        for side, element, elements in (("weight", pair.weight, [p.weight for p in unit.pairs]),
                                        ("activation", pair.activation, [p.activation for p in unit.pairs])):
            negatives = mapped.ports[f"{side}_negative_i"]
            width = len(mapped.ports[f"{side}_i"]) // len(negatives)
            shift_width = len(mapped.ports[f"{side}_shift_i"]) // len(negatives)
            justify = max(stimulus.significand_bits(e) for e in elements) - stimulus.significand_bits(element)
            if unit.sharing == "composed":
                justify = 0
            sides[side] = (stimulus.OperandStreams(f"{side} {unit.name()}", element, used_slots(unit, pair), STREAMS),
                           len(negatives), width, shift_width, justify)
        return mapped.energy_fj_per_cycle([array_cycle(unit, pair, index, sides, cycle) for cycle in range(CYCLES)],
                                          STREAMS)
    return measure


def used_slots(unit, pair):
    return {"half": unit.depth // 2, "full": unit.depth, "twice": 2 * unit.depth}[pair.rate]


def array_cycle(unit, pair, index, sides, cycle):
    every = (1 << STREAMS) - 1
    ports = {"valid_i": [every], "mode_i": [every * (index >> bit & 1) for bit in range(3)],
             "first_i": [every * (1 - cycle % 2)]}
    for side, (source, slots, width, shift_width, justify) in sides.items():
        operands = source.cycle()
        stride = slots // len(operands)
        negative, significand, shift = [], [], []
        for slot in range(slots):
            place, rest = divmod(slot, stride)
            composed_wide = unit.sharing == "composed" and pair.rate == "full"
            if rest and not (composed_wide and side == "weight"):
                column = [(0, 0, 0)] * STREAMS
            else:
                column = operands[place]
            if composed_wide and side == "weight":
                low = max(stimulus.significand_bits(p.weight) for p in unit.pairs) // 2
                column = [(n, s >> low if rest else s & ((1 << low) - 1), h) for n, s, h in column]
            negative += stimulus.bit_planes([n for n, _, _ in column], 1)
            significand += stimulus.bit_planes([s << justify for _, s, _ in column], width)
            shift += stimulus.bit_planes([h for _, _, h in column], shift_width)
        ports[f"{side}_negative_i"] = negative
        ports[f"{side}_i"] = significand
        ports[f"{side}_shift_i"] = shift
    return ports


def convert_energy(unit):
    """Energy of one conversion of a sum: normally distributed, about half of the accumulator's growth."""
    def measure(mapped):
        rng = random.Random(f"convert {unit.name()}")
        width = len(mapped.ports["sum_i"])
        spread = 2.0 ** (width - 8)
        cycles = []
        for _ in range(CYCLES):
            sums = [round(rng.gauss(0, spread)) & ((1 << width) - 1) for _ in range(STREAMS)]
            references = [260 + rng.randrange(6) for _ in range(STREAMS)]
            cycles.append({"mode_i": [0, 0, 0], "sum_i": stimulus.bit_planes(sums, width),
                           "reference_i": stimulus.bit_planes(references, 16)})
        return mapped.energy_fj_per_cycle(cycles, STREAMS)
    return measure


def multiply_energy(mapped):
    """A value times a scale; scales of one column or token stay near each other."""
    rng = random.Random("multiply")
    return mapped.energy_fj_per_cycle(
        [{"a_i": stimulus.bit_planes([float_bits(rng.gauss(0, 1)) for _ in range(STREAMS)], 32),
          "b_i": stimulus.bit_planes([float_bits(rng.uniform(0.01, 0.02)) for _ in range(STREAMS)], 32)}
         for _ in range(CYCLES)], STREAMS)


def add_energy(mapped):
    rng = random.Random("add")
    def normal():
        return stimulus.bit_planes([float_bits(rng.gauss(0, 1)) for _ in range(STREAMS)], 32)
    return mapped.energy_fj_per_cycle([{"a_i": normal(), "b_i": normal()} for _ in range(CYCLES)], STREAMS)


def decoder_energy(mapped):
    rng = random.Random("decoder")
    every = (1 << STREAMS) - 1
    width = len(mapped.ports["packed_i"])
    cycles = []
    for _ in range(CYCLES):
        cycles.append({"packed_i": [rng.getrandbits(STREAMS) for _ in range(width)],
                       "width_i": [0, 0, every, 0], "kind_i": [every, 0], "zero_i": [0, 0, 0, every] + [0] * 4,
                       "table_write_i": [0], "table_address_i": [0] * 4, "table_value_i": [0] * 8})
    return mapped.energy_fj_per_cycle(cycles, STREAMS)


def float_bits(value):
    return struct.unpack("<I", struct.pack("<f", value))[0]


def unit_result(synthesis, unit, library):
    """Everything about one set on one library; None if --write-only and something is missing."""
    parameters = unit.verilog_parameters()
    subs = max(1, unit.depth // unit.granule)
    array_parameters = {key: parameters[key] for key in ("NumPairs", "Pairs", "MaxGranule", "AlignBits", "Sharing")}
    array_parameters["Depth"] = str(unit.depth // subs)
    with_energy = "energy" in LIBRARIES[library] and subs == 1
    energies = [(pair.name(), array_energy(unit, pair)) for pair in unit.pairs] if with_energy else []
    array = synthesis.result(library, "dot_array", array_parameters, energies)
    if array is None:
        return None
    sum_bits = sum_width(synthesis, unit, array_parameters)
    scale_parameters = {key: parameters[key] for key in ("NumPairs", "Pairs", "AlignBits", "Sharing")}
    # The multipliers by the scales are the same in every unit, behind registers: fp32_multiply alone.
    scale_parameters |= {"SumBits": str(sum_bits), "Scaled": "0"}
    if "energy" not in LIBRARIES[library]:
        return {"unit": unit, "library": library, "array": array, "convert": None, "subs": subs, "sum_bits": sum_bits}
    convert = synthesis.result(library, "scale_unit", scale_parameters,
                               [("granule", convert_energy(unit))] if with_energy else [])
    if convert is None:
        return None
    return {"unit": unit, "library": library, "array": array, "convert": convert, "subs": subs,
            "sum_bits": sum_bits}


def sum_width(synthesis, unit, array_parameters):
    """SumBits of an array as the SystemVerilog derives it."""
    cached = synthesis.options.work / "sum_bits.json"
    known = json.loads(cached.read_text()) if cached.exists() else {}
    key = synthesis.rtl_digest[:12] + json.dumps(array_parameters)
    if key not in known:
        values = " ".join(f"-chparam {k} {v}" for k, v in array_parameters.items())
        path = synthesis.options.work / "ports.json"
        subprocess.run(["yosys", "-q", "-p", f"read_verilog -sv {synthesis.sources}; hierarchy -top dot_array {values};"
                        f" proc; write_json {path}"], check=True, capture_output=True)
        module = json.loads(path.read_text())["modules"]
        top = next(m for m in module.values() if m["attributes"].get("top"))
        known[key] = len(top["ports"]["sum_o"]["bits"])
        cached.write_text(json.dumps(known))
    return known[key]


def common_results(synthesis):
    """What does not depend on a set: FP32 add and multiply, decoders."""
    found = {"add": synthesis.result("asap7", "fp32_add", {}, [("granule", add_energy)]),
             "multiply": synthesis.result("asap7", "fp32_multiply", {}, [("granule", multiply_energy)]),
             "add_ihp": synthesis.result("ihp", "fp32_add", {}),
             "multiply_ihp": synthesis.result("ihp", "fp32_multiply", {})}
    for label, widths in (("4", "9'h010"), ("4_8", "9'h110"), ("all", "9'h17C")):
        found[f"decoder_{label}"] = synthesis.result("asap7", "weight_decoder", {"Values": "16", "Widths": widths},
                                                     [("cycle", decoder_energy)])
    for label, mask, bits, shift in (("int8", 0x100, 8, 1), ("int9", 0x200, 8, 1), ("fp8", 0x2000, 4, 4),
                                     ("int9_fp8_bf16", 0x6200, 8, 8), ("bf16", 0x4000, 8, 8)):
        found[f"operand_{label}"] = synthesis.result(
            "asap7", "operand_decoder",
            {"Elements": f"16'h{mask:04x}", "SignificandBits": str(bits), "ShiftBits": str(shift)})
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path,
                        default=pathlib.Path(os.environ.get("DOVETAIL_DATA", ROOT / ".." / "shared" / "data")),
                        help="folder with pdk/ [$DOVETAIL_DATA]")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / "synth", help="results kept here [build/synth]")
    parser.add_argument("--libraries", default="asap7,ihp", help="cell libraries [asap7,ihp]")
    parser.add_argument("--write-only", action="store_true", help="write the files from results that are there")
    parser.add_argument("--from-csv", action="store_true", help="write units.toml and docs again from units.csv")
    parser.add_argument("names", nargs="*", help="sets by name (tools/synth/format_sets.py)")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if shutil.which("yosys") is None or not (options.data / "pdk").exists():
        print(f"synthesize: wants yosys and the cell libraries in {options.data}/pdk", file=sys.stderr)
        return 2
    synthesis = Synthesis(options)
    if options.from_csv:
        results, common = tables.read_results(ROOT / "data" / "technology" / "units.csv")
        tables.write_toml(ROOT / "data" / "technology", results, common, synthesis.version)
        tables.write_docs(ROOT / "docs" / "units.md", results, common)
        return 0
    results = []
    try:
        for library in options.libraries.split(","):
            for name in options.names or format_sets.SWEEP:
                found = unit_result(synthesis, format_sets.parse_unit(name), library)
                if found is None:
                    continue
                results.append(found)
                print(tables.summary(found), flush=True)
        if not options.names:
            common = common_results(synthesis)
            if None in common.values():
                print("synthesize: --write-only: parts that no set names are missing", file=sys.stderr)
                return 1
            tables.write_files(ROOT / "data" / "technology", results, common, synthesis.version)
            tables.write_docs(ROOT / "docs" / "units.md", results, common)
    except ValueError as error:
        print(f"synthesize: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(f"synthesize: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
