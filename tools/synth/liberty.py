"""What synthesis results need of a Liberty file: areas, pins, functions, capacitances, internal energy.

Read line by line (one statement a line, as the libraries here are written). Energies are in units of
capacitance unit x V^2: fJ for a library in fF.
"""

import dataclasses
import gzip
import re

GROUP = re.compile(r"^\s*(\w+)\s*\(([^)]*)\)\s*\{")
ATTRIBUTE = re.compile(r"^\s*(\w+)\s*:\s*\"?([^\";]*)\"?\s*;")
NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:[eE][-+]?\d+)?")


@dataclasses.dataclass
class Pin:
    direction: str = ""
    function: str = ""
    capacitance: float = 0.0
    # One entry a group of internal_power: mean of its rise and fall tables at their middle.
    energies: list = dataclasses.field(default_factory=list)
    rails: set = dataclasses.field(default_factory=set)

    def toggle_energy(self):
        """Mean internal energy of one edge: over conditions and related pins, summed over the rails."""
        if not self.energies:
            return 0.0
        return sum(self.energies) / len(self.energies) * max(len(self.rails), 1)


@dataclasses.dataclass
class Cell:
    name: str
    area: float = 0.0
    pins: dict = dataclasses.field(default_factory=dict)
    clock: str = ""       # pin that clocks the state; empty for combinational cells
    next_state: str = ""  # function of the pins
    state: str = ""       # name that output functions use


@dataclasses.dataclass
class Library:
    name: str
    voltage: float
    cells: dict


def open_text(path):
    return gzip.open(path, "rt", errors="replace") if str(path).endswith(".gz") else open(path, errors="replace")


def middle(table):
    """The middle entry of a table of values."""
    values = [float(number) for number in NUMBER.findall(table)]
    return values[len(values) // 2] if values else 0.0


class Reader:
    """Keeps the path of open groups and fills cells."""

    def __init__(self):
        self.path = []  # [(kind, argument)]
        self.library = Library("", 0.0, {})
        self.cell = None
        self.pin = None
        self.edges = []
        self.rail = ""

    def kinds(self):
        return [kind for kind, _ in self.path]

    def open_group(self, kind, argument):
        self.path.append((kind, argument))
        if kind == "library":
            self.library.name = argument
        elif kind == "cell":
            self.cell = self.library.cells.setdefault(argument, Cell(argument))
        elif kind == "pin" and self.cell:
            self.pin = self.cell.pins.setdefault(argument, Pin())
        elif kind == "ff" and self.cell:
            self.cell.state = argument.split(",")[0].strip()
        elif kind == "internal_power":
            self.edges, self.rail = [], ""

    def close_group(self):
        kind, _ = self.path.pop()
        if kind == "cell":
            self.cell = None
        elif kind == "pin":
            self.pin = None
        elif kind == "internal_power" and self.pin is not None and self.edges:
            self.pin.energies.append(sum(self.edges) / len(self.edges))
            self.pin.rails.add(self.rail)

    def attribute(self, key, value):
        kinds = self.kinds()
        if key == "nom_voltage":
            self.library.voltage = float(value)
        elif self.cell is None:
            return
        elif kinds[-1] == "cell" and key == "area":
            self.cell.area = float(value)
        elif kinds[-1] == "pin" and key in ("direction", "function"):
            setattr(self.pin, key, value)
        elif kinds[-1] == "pin" and key == "capacitance":
            self.pin.capacitance = float(value)
        elif kinds[-1] == "ff" and key == "clocked_on":
            self.cell.clock = value
        elif kinds[-1] == "ff" and key == "next_state":
            self.cell.next_state = value
        elif kinds[-1] == "internal_power" and key == "related_pg_pin":
            self.rail = value


def read_library(path):
    """The library of a Liberty file (.lib or .lib.gz)."""
    reader = Reader()
    table = None  # text of a values (...) statement that is still open
    with open_text(path) as lines:
        for line in lines:
            if table is not None or line.lstrip().startswith("values"):
                table = (table or "") + line
                if ")" in line:
                    if "internal_power" in reader.kinds():
                        reader.edges.append(middle(table))
                    table = None
                continue
            group = GROUP.match(line)
            if group:
                reader.open_group(group.group(1), group.group(2).strip().strip('"'))
                continue
            attribute = ATTRIBUTE.match(line)
            if attribute:
                reader.attribute(attribute.group(1), attribute.group(2).strip())
            for _ in range(line.count("}") - line.count("{") if "{" in line else line.count("}")):
                reader.close_group()
    return reader.library
