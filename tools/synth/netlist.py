"""A mapped netlist (Yosys JSON): area, flip-flops, logic depth, and energy from simulated toggles.

The simulation has no delays, so no glitches: it counts the changes of every net between the settled states
of consecutive cycles. Each bit of a Python integer is a stream of its own, so one pass over the cells
simulates hundreds of streams. Energy a change: internal energy of the driving cell (Liberty, middle of its
tables) and 1/2 C V^2 of the input pins that the net drives; every flip-flop adds its clock pin's two edges
a cycle. Wires and the clock tree are left out.
"""

import json
import pathlib
import re

CONSTANTS = {"0": 0, "1": 1, "x": 0, "z": 0}
IDENTIFIER = re.compile(r"[A-Za-z_]\w*")


class Netlist:
    def __init__(self, path, top, library):
        module = json.loads(pathlib.Path(path).read_text())["modules"][top]
        self.library = library
        self.ports = {name: port["bits"] for name, port in module["ports"].items()}
        self.inputs = {name for name, port in module["ports"].items() if port["direction"] == "input"}
        self.cells = [(library.cells[cell["type"]], {pin: bits[0] for pin, bits in cell["connections"].items()})
                      for cell in module["cells"].values()]
        self.flops = [(cell, nets) for cell, nets in self.cells if cell.clock]
        self.logic = sorted_by_level([(cell, nets) for cell, nets in self.cells if not cell.clock],
                                     {nets[pin] for cell, nets in self.flops for pin in outputs_of(cell)
                                      if pin in nets}
                                     | {bit for name in self.inputs for bit in self.ports[name]})

    def area_um2(self):
        return sum(cell.area for cell, _ in self.cells)

    def flop_area_um2(self):
        return sum(cell.area for cell, _ in self.flops)

    def depth_cells(self):
        """Cells on the longest path between registers or ports."""
        level = {}
        for cell, nets in self.logic:
            here = 1 + max((level.get(nets[pin], 0) for pin in inputs_of(cell) if pin in nets), default=0)
            for pin in outputs_of(cell):
                if pin in nets:
                    level[nets[pin]] = here
        return max(level.values(), default=0)

    def energy_fj_per_cycle(self, stimulus, streams):
        """stimulus: a list of {port: [value of each bit as an integer of `streams` bits]}, one a cycle.
        The first two cycles fill the registers and are not counted."""
        simulate = compile_cells(self.logic, self.flops)
        number = {}
        for cell, nets in self.cells:
            for bit in nets.values():
                number.setdefault(bit, len(number))
        for name in self.inputs:
            for bit in self.ports[name]:
                number.setdefault(bit, len(number))
        mask = (1 << streams) - 1
        values = [0] * len(number)
        for bit, index in number.items():
            if bit in CONSTANTS:
                values[index] = mask * CONSTANTS[bit]
        evaluate, clock = simulate(number)
        weights = self.change_energy_fj(number)
        toggles = [0] * len(values)
        warm_up = 2
        for cycle, ports in enumerate(stimulus):
            before = list(values)
            clock(values, mask)
            for name, bits in ports.items():
                for bit, value in zip(self.ports[name], bits):
                    if bit not in CONSTANTS:
                        values[number[bit]] = value
            evaluate(values, mask)
            if cycle >= warm_up:
                for index, (old, new) in enumerate(zip(before, values)):
                    toggles[index] += (old ^ new).bit_count()
        counted = streams * (len(stimulus) - warm_up)
        switched = sum(count * weight for count, weight in zip(toggles, weights)) / counted
        clocked = sum(2 * cell.pins[cell.clock].toggle_energy()
                      + cell.pins[cell.clock].capacitance * self.library.voltage ** 2 for cell, _ in self.flops)
        return switched + clocked

    def change_energy_fj(self, number):
        weights = [0.0] * len(number)
        for cell, nets in self.cells:
            for pin, bit in nets.items():
                facts = cell.pins[pin]
                if bit in CONSTANTS or pin == cell.clock:
                    continue
                if facts.direction == "output":
                    weights[number[bit]] += facts.toggle_energy()
                else:
                    weights[number[bit]] += 0.5 * facts.capacitance * self.library.voltage ** 2
        return weights


def outputs_of(cell):
    return [name for name, pin in cell.pins.items() if pin.direction == "output"]


def inputs_of(cell):
    return [name for name, pin in cell.pins.items() if pin.direction == "input"]


def sorted_by_level(logic, ready):
    """Cells in an order in which every input is known. Raises ValueError on a loop."""
    drivers = {}
    for index, (cell, nets) in enumerate(logic):
        for pin in outputs_of(cell):
            if pin in nets:
                drivers[nets[pin]] = index
    state = [0] * len(logic)
    order = []
    for root in range(len(logic)):
        stack = [root]
        while stack:
            index = stack[-1]
            if state[index] == 2:
                stack.pop()
                continue
            cell, nets = logic[index]
            open_inputs = [drivers[nets[pin]] for pin in inputs_of(cell)
                           if pin in nets and nets[pin] not in ready and nets[pin] in drivers
                           and state[drivers[nets[pin]]] != 2]
            if not open_inputs:
                state[index] = 2
                order.append(logic[index])
                stack.pop()
            elif state[index] == 1 and any(state[other] == 1 for other in open_inputs):
                raise ValueError("combinational loop")
            else:
                state[index] = 1
                stack.extend(open_inputs)
    return order


def expression(function, nets, number):
    """A Liberty function as a Python expression over v[...]."""
    text = function.replace("*", "&").replace("+", "|").replace("!", "~")
    return IDENTIFIER.sub(lambda match: f"v[{number[nets[match.group(0)]]}]", text)


def compile_cells(logic, flops):
    """A function of the nets' numbers that returns (evaluate, clock), both of (values, mask)."""
    def simulate(number):
        lines = ["def evaluate(v, m):"]
        for cell, nets in logic:
            for pin in outputs_of(cell):
                if pin in nets:
                    lines.append(f" v[{number[nets[pin]]}] = ({expression(cell.pins[pin].function, nets, number)}) & m")
        if len(lines) == 1:
            lines.append(" pass")
        states, updates = [], []
        for index, (cell, nets) in enumerate(flops):
            states.append(f" s{index} = ({expression(cell.next_state, nets, number)}) & m")
            for pin in outputs_of(cell):
                if pin in nets:
                    inverted = "" if cell.pins[pin].function == cell.state else "~"
                    updates.append(f" v[{number[nets[pin]]}] = ({inverted}s{index}) & m")
        lines += ["def clock(v, m):"] + states + updates + [" pass"]
        scope = {}
        exec(compile("\n".join(lines), "netlist", "exec"), scope)  # our own text, from the library's functions
        return scope["evaluate"], scope["clock"]
    return simulate
