"""What tools/synth makes of a cell library, a netlist and its results, on cases worked by hand."""

import json
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "synth"))

import format_sets  # noqa: E402
import liberty  # noqa: E402
import netlist  # noqa: E402
import stimulus  # noqa: E402
import tables  # noqa: E402

LIBRARY = """
library (small) {
  nom_voltage : 0.5;
  cell (NAND) {
    area : 2.0;
    pin (Y) {
      direction : output;
      function : "!(A * B)";
      internal_power () {
        related_pg_pin : VDD;
        rise_power (t) {
          values ( \\
            "9, 4, 9" \\
          );
        }
        fall_power (t) { values ("9, 2, 9"); }
      }
    }
    pin (A) { direction : input; capacitance : 8.0; }
    pin (B) { direction : input; capacitance : 8.0; }
  }
  cell (FLOP) {
    area : 5.0;
    ff (IQ,IQN) {
      clocked_on : "C";
      next_state : "!D";
    }
    pin (QN) { direction : output; function : "IQ"; }
    pin (D) { direction : input; capacitance : 4.0; }
    pin (C) { direction : input; capacitance : 16.0; }
  }
}
"""


def one_line_groups(text):
    """The reader wants one statement a line."""
    return text.replace("{ ", "{\n").replace("; ", ";\n").replace(" }", "\n}")


class Netlist(unittest.TestCase):
    """q <= a & b: a NAND into a flip-flop that inverts."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        root = pathlib.Path(folder.name)
        (root / "small.lib").write_text(one_line_groups(LIBRARY))
        self.library = liberty.read_library(root / "small.lib")
        port = {"direction": "input", "bits": []}
        module = {
            "ports": {"clk": port | {"bits": [2]}, "a": port | {"bits": [3]}, "b": port | {"bits": [4]},
                      "q": {"direction": "output", "bits": [6]}},
            "cells": {"n": {"type": "NAND", "connections": {"A": [3], "B": [4], "Y": [5]}},
                      "f": {"type": "FLOP", "connections": {"D": [5], "C": [2], "QN": [6]}}}}
        (root / "netlist.json").write_text(json.dumps({"modules": {"top": module}}))
        self.mapped = netlist.Netlist(root / "netlist.json", "top", self.library)

    def test_reads_the_library(self):
        nand = self.library.cells["NAND"]
        self.assertEqual(nand.area, 2.0)
        self.assertEqual(nand.pins["Y"].toggle_energy(), 3.0)  # mean of the middles 4 and 2
        self.assertEqual(self.library.cells["FLOP"].clock, "C")

    def test_area_flops_depth(self):
        self.assertEqual((self.mapped.area_um2(), self.mapped.flop_area_um2(), self.mapped.depth_cells()), (7.0, 5.0, 1))

    def test_energy_by_hand(self):
        # Two streams; after two cycles of warm-up a falls and rises in stream 0 alone, b stays 1.
        stimulus_of = [{"a": [a], "b": [0b11]} for a in (0b11, 0b11, 0b10, 0b11)]
        # Changes in stream 0, two cycles: a twice (1/2 * 8 * .25 = 1), the NAND's output twice (3 + 1/2 * 4 *
        # .25 = 3.5), the flip-flop's output once (nothing). Every cycle its clock: 16 * .25 = 4.
        want = (2 * 1 + 2 * 3.5) / (2 * 2) + 4
        self.assertAlmostEqual(self.mapped.energy_fj_per_cycle(stimulus_of, 2), want)

    def test_a_loop_is_an_error(self):
        nand = self.library.cells["NAND"]
        with self.assertRaises(ValueError):
            netlist.sorted_by_level([(nand, {"A": 1, "B": 2, "Y": 3}), (nand, {"A": 3, "B": 2, "Y": 1})], {2})


class FormatSets(unittest.TestCase):
    def test_names_come_back(self):
        for name in format_sets.SWEEP:
            self.assertEqual(format_sets.parse_unit(name).name(), name)
        self.assertEqual(len(set(format_sets.SWEEP)), len(format_sets.SWEEP))
        self.assertGreaterEqual(len(format_sets.SWEEP), 40)

    def test_encoding(self):
        unit = format_sets.parse_unit("int9_int8+bf16_bf16@half")
        self.assertEqual(unit.verilog_parameters()["Pairs"], "96'h" + "0ee189".zfill(24))

    def test_errors_name_what_is_wrong(self):
        for name in ("int10_int8", "int8_int8@third", "joined:int8_int8", "int8_int8/width3"):
            with self.assertRaisesRegex(ValueError, "want"):
                format_sets.parse_unit(name)


class Stimulus(unittest.TestCase):
    def test_operands_have_their_value(self):
        self.assertEqual(stimulus.operand_of("int4", -3.2), (1, 3, 0))
        self.assertEqual(stimulus.operand_of("fp4_e2m1", 3.1), (0, 3, 1))  # 3 * 2^(1 - 1)
        self.assertEqual(stimulus.operand_of("fp8_e4m3fn", -448), (1, 14, 14))
        self.assertEqual(stimulus.operand_of("bf16", 1.0), (0, 128, 126))
        self.assertEqual(stimulus.operand_of("fp8_e4m3fn", 2.0 ** -9), (0, 1, 0))

    def test_planes(self):
        self.assertEqual(stimulus.bit_planes([0b01, 0b11, 0b10], 2), [0b011, 0b110])


def result(name, lane):
    """What synthesis would have found, with a lane of so many um2."""
    unit = format_sets.parse_unit(name)
    return {"unit": unit, "subs": 1, "array": {"area_um2": 16 * lane, "flop_um2": 0}}


class Rule(unittest.TestCase):
    def setUp(self):
        lanes = {"int8_int8": 40, "fp8_e4m3fn_fp8_e4m3fn": 50, "bf16_bf16": 100, "int8_int8+bf16_bf16": 120,
                 "fp8_e4m3fn_fp8_e4m3fn+bf16_bf16": 125, "int8_int8+bf16_bf16@half": 90}
        self.sets = {tables.set_key(format_sets.parse_unit(name)): result(name, lane) for name, lane in lanes.items()}

    def test_fraction_by_hand(self):
        self.assertAlmostEqual(tables.fitted_shared(tables.rule_samples(self.sets, "shared_bf16")), 0.5)

    def test_sets_left_out(self):
        errors = dict(tables.leave_one_out(self.sets, "shared_bf16"))
        self.assertAlmostEqual(errors["bf16_bf16+int8_int8"], 0)
        # Half rate: half of the lanes have both (120), half int8 alone (40).
        self.assertAlmostEqual(errors["bf16_bf16@half+int8_int8"], 80 / 90 - 1)

    def test_held_pairs_have_no_key(self):
        self.assertIsNone(tables.set_key(format_sets.parse_unit("int4_int8+int9_int8")))
        self.assertIsNone(tables.set_key(format_sets.parse_unit("int9_int8/depth8")))
        self.assertEqual(tables.set_key(format_sets.parse_unit("int9_int8+bf16_bf16@half")), "bf16_bf16@half+int9_int8")


if __name__ == "__main__":
    unittest.main()
