"""Each rule of tools/check_layers.py, on a small repository that breaks only that rule."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

import check_layers  # noqa: E402


class Repository(unittest.TestCase):
    """A legal repository of two folders; each test changes one thing and states what is reported."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = pathlib.Path(self.folder.name)
        self.write("tools/layers.txt", "# comment\nbase:\nchip:  base\nhost:  base\n")
        for name in ("base", "chip", "host"):
            self.write(f"src/{name}/README.md", "Purpose.\n")
        self.write("src/base/result.h", "#include <string>\n")
        self.write("src/chip/chip.h", '#include "base/result.h"\n')
        self.write("src/chip/chip.cc", '#include "chip/chip.h"\n')
        self.write("src/chip/chip_test.cc", '#include "chip/chip.h"\n#include <gtest/gtest.h>\n')

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def assert_reports(self, *parts):
        problems = check_layers.check(self.root)
        self.assertEqual(len(problems), 1, problems)
        for part in parts:
            self.assertIn(part, problems[0])

    def test_a_legal_repository_passes(self):
        self.assertEqual(check_layers.check(self.root), [])

    def test_include_that_is_not_declared(self):
        self.write("src/base/result.h", '#include <string>\n#include "chip/chip.h"\n')
        self.assert_reports("src/base/result.h:2", "'base' may not include 'chip'")

    def test_include_with_spaces_after_the_hash(self):
        self.write("src/base/result.h", '#  include   "chip/chip.h"\n')
        self.assert_reports("src/base/result.h:1", "may not include 'chip'")

    def test_include_relative_to_the_file(self):
        self.write("src/chip/chip.cc", '#include "chip.h"\n')
        self.assert_reports("src/chip/chip.cc:1", '"chip/chip.h"')

    def test_include_that_climbs(self):
        self.write("src/chip/chip.cc", '#include "../base/result.h"\n')
        self.assert_reports("src/chip/chip.cc:1", "want the path below src/")

    def test_include_of_our_header_in_angle_brackets(self):
        self.write("src/base/result.h", "#include <chip/chip.h>\n")
        self.assert_reports("src/base/result.h:1", "with quotes")

    def test_include_of_a_missing_header(self):
        self.write("src/chip/chip.cc", '#include "base/missing.h"\n')
        self.assert_reports("base/missing.h", "does not exist")

    def test_library_header_in_quotes(self):
        self.write("src/chip/chip.cc", '#include "fmt/format.h"\n')
        self.assert_reports("'fmt' is no declared folder")

    def test_libtorch_below_host(self):
        self.write("src/chip/chip.cc", "#include <torch/torch.h>\n")
        self.assert_reports("src/chip/chip.cc:1", "'chip' may not include libtorch")

    def test_libtorch_in_a_source_of_host_is_legal(self):
        self.write("src/host/forward.cc", "#include <torch/torch.h>\n")
        self.write("src/host/forward_test.cc", "#include <ATen/ATen.h>\n")
        self.assertEqual(check_layers.check(self.root), [])

    def test_libtorch_in_a_header_of_host(self):
        self.write("src/host/forward.h", "#include <ATen/ATen.h>\n")
        self.assert_reports("src/host/forward.h:1", "header includes libtorch")

    def test_private_torch_header_stays_inside_its_folder(self):
        self.write("src/host/tensor_torch.h", "#include <torch/torch.h>\n")
        self.assertEqual(check_layers.check(self.root), [])
        self.write("tools/layers.txt", "base:\nhost: base\nchip: base host\n")
        self.write("src/chip/chip.cc", '#include "host/tensor_torch.h"\n')
        self.assert_reports("is private to 'host'")

    def test_cycle_is_printed_as_a_path(self):
        self.write("tools/layers.txt", "base: host\nchip: base\nhost: base\n")
        self.assert_reports("cycle base -> host -> base")

    def test_unknown_folder_in_the_graph(self):
        self.write("tools/layers.txt", "base:\nchip: base silicon\nhost:\n")
        self.assert_reports("'chip' lists 'silicon'")

    def test_malformed_line(self):
        self.write("tools/layers.txt", "base:\nchip: base\nhost:\nhost base\n")
        self.assert_reports("tools/layers.txt:4")

    def test_folder_declared_twice(self):
        self.write("tools/layers.txt", "base:\nchip: base\nhost:\nbase:\n")
        self.assert_reports("declared twice")

    def test_folder_that_is_not_declared(self):
        self.write("src/extra/README.md", "Purpose.\n")
        self.assert_reports("src/extra", "not declared")

    def test_folder_without_readme(self):
        (self.root / "src/base/README.md").unlink()
        self.assert_reports("src/base", "README.md")

    def test_source_without_test(self):
        (self.root / "src/chip/chip_test.cc").unlink()
        self.assert_reports("src/chip/chip.cc", "chip_test.cc")

    def test_source_without_test_but_with_a_reason(self):
        (self.root / "src/chip/chip_test.cc").unlink()
        self.write("tools/untested.txt", "src/chip/chip.cc: only calls the parser, tested in cases\n")
        self.assertEqual(check_layers.check(self.root), [])

    def test_excuse_without_a_reason(self):
        (self.root / "src/chip/chip_test.cc").unlink()
        self.write("tools/untested.txt", "src/chip/chip.cc: later\n")
        self.assert_reports("untested.txt:1", "reason")

    def test_excuse_that_names_the_test_elsewhere(self):
        (self.root / "src/chip/chip_test.cc").rename(self.root / "src/chip/all_test.cc")
        self.write("tools/untested.txt", "src/chip/chip.cc: tested by src/chip/all_test.cc\n")
        self.assertEqual(check_layers.check(self.root), [])
        (self.root / "src/chip/all_test.cc").unlink()
        self.assert_reports("untested.txt:1", "src/chip/all_test.cc does not exist")

    def test_excuse_that_is_no_longer_needed(self):
        self.write("tools/untested.txt", "src/chip/chip.cc: a reason of words\n")
        self.assert_reports("has a test now")

    def test_excuse_for_a_file_that_is_gone(self):
        self.write("tools/untested.txt", "src/chip/gone.cc: a reason of words\n")
        self.assert_reports("src/chip/gone.cc does not exist")


if __name__ == "__main__":
    unittest.main()
