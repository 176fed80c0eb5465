"""Results of synthesis as one line, as CSV and as technology constants."""

import csv
import statistics

import format_sets

RATES = {"half": 0.5, "full": 1.0, "twice": 2.0}
LOGIC_RANGE = (0.75, 1.3)    # a vendor's library, full adders as cells
ADDED_RANGE = (0.5, 1.5)     # of what sharing adds
ENERGY_RANGE = (0.7, 1.5)    # glitches, wires, clock tree
COLUMNS = ["library", "set", "sharing", "depth", "granule", "align_bits", "array_um2", "flop_um2", "flops",
           "depth_cells", "lane_um2", "register_bits", "multipliers_um2", "alignment_um2", "sum_um2", "rest_um2",
           "convert_um2", "sum_bits", "energy_fj_per_mac", "convert_fj", "seconds", "date"]


def lanes_of(found):
    return found["unit"].depth // found["subs"]


def lane_um2(found):
    return (found["array"]["area_um2"] - found["array"]["flop_um2"]) / lanes_of(found)


def register_bits(found):
    return found["array"]["flops"] / lanes_of(found)


def energies(found):
    """fJ a multiply-accumulate by pair name; a pair at half rate shares the array's energy among half."""
    rates = {pair.name(): RATES[pair.rate] for pair in found["unit"].pairs}
    return {name: value / lanes_of(found) / rates[name]
            for name, value in found["array"].get("energies_fj", {}).items()}


def summary(found):
    array = found["array"]
    text = " ".join(f"{name} {value:.1f}" for name, value in energies(found).items())
    return (f"{found['library']} {found['unit'].name()}: array {array['area_um2']:.1f} um2 ({array['flops']} flops, "
            f"{array['depth_cells']} cells deep), a lane {lane_um2(found):.2f} um2 of logic; fJ a MAC: {text} "
            f"({array['seconds']:.0f} s)")


def part_um2(found, names):
    """Cells of source modules of these names in the hierarchical run, all instances; 0 without that run."""
    if "modules" not in found["array"]:
        return 0.0
    areas, counts = found["array"]["modules"]["areas"], found["array"]["modules"]["counts"].get("design", {})
    return sum(area * counts.get(module, 0) for module, area in areas.items()
               if module.rpartition("\\")[2] in names)


def read_results(path):
    """What write_files stored: (results, common), each with its row as it stands there."""
    results, common = [], {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            array = {"area_um2": float(row["array_um2"]), "flop_um2": float(row["flop_um2"]), "flops": int(row["flops"]),
                     "depth_cells": int(row["depth_cells"]), "seconds": float(row["seconds"]), "date": row["date"]}
            energy = {name: float(value) for name, value in (word.split("=") for word in row["energy_fj_per_mac"].split())}
            if row["set"].startswith("part:"):
                name = row["set"].removeprefix("part:") + ("_ihp" if row["library"] == "ihp" else "")
                common[name] = array | {"area_um2": float(row["array_um2"]), "energies_fj": energy}
                continue
            unit = format_sets.parse_unit(row["set"])
            found = {"unit": unit, "library": row["library"], "array": array, "convert": None, "sum_bits": row["sum_bits"],
                     "subs": max(1, unit.depth // unit.granule), "row": [row[column] for column in COLUMNS]}
            rates = {pair.name(): RATES[pair.rate] for pair in unit.pairs}
            array["energies_fj"] = {name: value * lanes_of(found) * rates[name] for name, value in energy.items()}
            if row["convert_um2"]:
                found["convert"] = {"area_um2": float(row["convert_um2"]), "flop_um2": converted_flops(int(row["sum_bits"])) * flop_cell_um2(array)}
            if row["convert_fj"]:
                found["convert"]["energies_fj"] = {"granule": float(row["convert_fj"])}
            results.append(found)
    return results, common


def converted_flops(sum_bits):
    """Registers of an FP32 value made of a sum of that many bits, sign included: what is not always 0 in its mantissa."""
    return 9 + min(sum_bits, 23)


def flop_cell_um2(array):
    return array["flop_um2"] / array["flops"]


def csv_row(found):
    if "row" in found:
        return found["row"]
    unit, array, convert = found["unit"], found["array"], found["convert"]
    multipliers = part_um2(found, ("lane_multiplier", "composed_core"))
    alignment = part_um2(found, ("term_shifter", "largest_shift"))
    total = part_um2(found, ("adder_tree",))
    modules = array.get("modules", {"areas": {}, "counts": {}})
    whole = sum(area * modules["counts"].get("design", {}).get(module, 1) for module, area in modules["areas"].items())
    parts = [multipliers, alignment, total, whole - multipliers - alignment - total - array["flop_um2"]]
    return [found["library"], unit.name(), unit.sharing, unit.depth, unit.granule, unit.align_bits,
            f"{array['area_um2']:.2f}", f"{array['flop_um2']:.2f}", array["flops"], array["depth_cells"],
            f"{lane_um2(found):.3f}", f"{register_bits(found):.2f}",
            *(f"{part:.2f}" if modules["areas"] else "" for part in parts),
            f"{convert['area_um2']:.2f}" if convert else "", found["sum_bits"],
            " ".join(f"{name}={value:.2f}" for name, value in energies(found).items()),
            f"{convert['energies_fj']['granule']:.1f}" if convert and "energies_fj" in convert else "",
            array["seconds"], array["date"]]


def holds_element(wide, narrow):
    """As silicon/area.cc: lanes for `wide` multiply `narrow` without a gate more."""
    if wide == narrow or wide == "bf16":
        return True
    if wide.startswith("int"):
        return narrow.startswith("int") and int(narrow[3:]) <= int(wide[3:])
    if wide != "fp8_e4m3fn":
        return False
    return narrow == "fp4_e2m1" or (narrow.startswith("int") and int(narrow[3:]) <= 4)


def is_held(unit, pair):
    return unit.sharing == "shared" and any(
        other != pair and other.activation == pair.activation and holds_element(other.weight, pair.weight)
        and RATES[other.rate] >= RATES[pair.rate] for other in unit.pairs)


def set_key(unit):
    """The name silicon/area.cc looks up; None for a unit of other sizes or with a pair that another holds."""
    default = format_sets.Unit(unit.pairs, unit.sharing)
    if unit != default or any(is_held(unit, pair) for pair in unit.pairs):
        return None
    pairs = sorted(unit.pairs, key=lambda pair: f"{pair.weight}_{pair.activation}")
    prefix = "" if unit.sharing == "shared" or len(pairs) == 1 else unit.sharing + ":"
    return prefix + "+".join(pair.name() for pair in pairs)


def alone(sets, pair):
    """Lane of the pair alone times its rate."""
    return lane_um2(sets[f"{pair.weight}_{pair.activation}"]) * RATES[pair.rate]


def has_bf16(unit):
    return any("bf16" in (pair.weight, pair.activation) for pair in unit.pairs)


def rule_of(unit):
    """Which fraction of the rule prices the unit; a key of FITS."""
    return "shared_bf16" if unit.sharing == "shared" and has_bf16(unit) else unit.sharing


def rule_samples(sets, rule):
    """{key: (lane of the set, largest lane alone, sum of the others alone, number of others)} of the sets with
    several pairs under that rule; of shared ones those at full rate, which the fraction is fitted to."""
    samples = {}
    for key, found in sets.items():
        pairs = found["unit"].pairs
        known = all(f"{pair.weight}_{pair.activation}" in sets for pair in pairs)
        full = found["unit"].sharing != "shared" or all(pair.rate == "full" for pair in pairs)
        if rule_of(found["unit"]) != rule or len(pairs) < 2 or not known or not full:
            continue
        lanes = sorted(alone(sets, pair) for pair in pairs)
        samples[key] = (lane_um2(found), lanes[-1], sum(lanes[:-1]), len(lanes) - 1)
    return samples


def fitted_shared(samples):
    """Least squares of relative errors."""
    rows = [((lane - top) / lane, rest / lane) for lane, top, rest, _ in samples.values()]
    return max(sum(y * x for y, x in rows) / sum(x * x for _, x in rows), 0.001)


def fitted_composed(samples):
    return max(statistics.fmean((lane / top - 1) / count for lane, top, _, count in samples.values()), 0.001)


FITS = {"shared": fitted_shared, "shared_bf16": fitted_shared, "composed": fitted_composed,
        "separate": lambda samples: 1.0}


def predicted_lane(sets, unit, fractions):
    """The rule of silicon/area.cc, with `sets` as the table."""
    key = set_key(unit)
    if key in sets:
        return lane_um2(sets[key])
    rest = tuple(pair for pair in unit.pairs if pair.rate != "half")
    if unit.sharing == "shared" and 0 < len(rest) < len(unit.pairs):
        every = tuple(format_sets.Pair(pair.weight, pair.activation) if pair.rate == "half" else pair
                      for pair in unit.pairs)
        return 0.5 * sum(predicted_lane(sets, distinct(format_sets.Unit(pairs)), fractions) for pairs in (every, rest))
    lanes = sorted(alone(sets, pair) for pair in unit.pairs)
    fraction = fractions[rule_of(unit)]
    if unit.sharing == "composed":
        return lanes[-1] * (1 + fraction * (len(lanes) - 1))
    return lanes[-1] + fraction * sum(lanes[:-1])


def distinct(unit):
    return format_sets.Unit(tuple(pair for pair in unit.pairs if not is_held(unit, pair)), unit.sharing)


def fitted_without(sets, key):
    """Every fraction of the rule, fitted without one set; a rule without samples has none."""
    fractions = {}
    for rule, fit in FITS.items():
        samples = {other: sample for other, sample in rule_samples(sets, rule).items() if other != key}
        if samples:
            fractions[rule] = fit(samples)
    return fractions


def leave_one_out(sets, rule):
    """[(key, relative error of the rule without that set)] of every set with several pairs under that rule."""
    errors = []
    for key, found in sets.items():
        unit = found["unit"]
        known = all(f"{pair.weight}_{pair.activation}" in sets for pair in unit.pairs)
        fractions = fitted_without(sets, key)
        if rule_of(unit) != rule or len(unit.pairs) < 2 or not known or rule not in fractions:
            continue
        others = {other: result for other, result in sets.items() if other != key}
        errors.append((key, predicted_lane(others, unit, fractions) / lane_um2(found) - 1))
    return errors


class Toml:
    """Constants in the form of data/technology."""

    def __init__(self, date, source):
        self.lines, self.date, self.source = [], date, source

    def table(self, name):
        self.lines += ["", f"[{name}]"]

    def constant(self, key, value, spread, unit, note="", date=None):
        low, high = spread
        source = f"{self.source}; {note}" if note else self.source
        self.lines.append(f'{key} = {{ value = {value:.6g}, low = {low:.6g}, high = {high:.6g}, unit = "{unit}", '
                          f'date = "{date or self.date}", source = "{source}" }}')

    def scaled(self, key, value, factors, unit, note="", date=None):
        self.constant(key, value, (value * factors[0], value * factors[1]), unit, note, date)


HEADER = """# Written by tools/synth/synthesize.py from rtl/units; not edited by hand. All results: units.csv; what was
# synthesised and what was not: docs/units.md. Areas at n7 (ASAP7 RVT TT 0.7 V 25 C), no timing constraint."""


def write_sets(toml, sets):
    for key, found in sorted(sets.items()):
        toml.table(f'set."{key}"')
        toml.scaled("lane_um2", lane_um2(found), LOGIC_RANGE, "um2", date=found["array"]["date"])
        bits = register_bits(found)  # counted, so without a range
        toml.constant("register_bits", bits, (bits, bits), "bit", date=found["array"]["date"])
        depth = found["array"]["depth_cells"]
        toml.constant("depth_cells", depth, (depth, depth), "cells", "longest path from the operand registers to the sum",
                      date=found["array"]["date"])


def write_energies(toml, sets):
    """Energy of each pair on a unit of its own, without conversions."""
    int8 = energies(sets["int8_int8"])["int8_int8"]
    toml.table("mac_energy_rel")
    for key, found in sorted(sets.items()):
        if len(found["unit"].pairs) != 1 or found["unit"].sharing != "shared":
            continue
        spread = (1, 1) if key == "int8_int8" else ENERGY_RANGE
        toml.scaled(key, energies(found)[key] / int8, spread, "1",
                    "energy of a multiply-accumulate over that of int8_int8, from toggles")
    return int8


def shared_energies(results, sets):
    """{(set as silicon looks it up, pair): energy there over the pair's own} of sets with several pairs; a pair that
    another holds counts beside the set without it."""
    found_ratios = {}
    for found in results:
        unit = found["unit"]
        if found["library"] != "asap7" or len(unit.pairs) < 2 or unit != format_sets.Unit(unit.pairs, unit.sharing):
            continue
        for pair in unit.pairs:
            own = f"{pair.weight}_{pair.activation}"
            if own not in sets or (is_held(unit, pair) is False and set_key(unit) is None):
                continue
            ratio = energies(found)[pair.name()] / energies(sets[own])[own]
            found_ratios[(set_key(distinct(unit)), own)] = ratio
    return found_ratios


def write_shared_energies(toml, results, sets):
    date = max(found["array"]["date"] for found in results)
    ratios = sorted(shared_energies(results, sets).items())
    for (key, pair), ratio in ratios:
        if f'[shared_energy_rel."{key}"]' not in toml.lines:
            toml.table(f'shared_energy_rel."{key}"')
        ratio = max(ratio, 1.0)
        toml.constant(pair, ratio, (1 + ADDED_RANGE[0] * (ratio - 1), 1 + ADDED_RANGE[1] * (ratio - 1)), "1",
                      "energy in the unit over that on a unit of its own, from toggles; range: of what is added", date)


# What energy in a unit of several pairs grows with, beyond the pair's own lane: (name of the constant, unit, quantity
# added by the set's lane over the pair's own).
ENERGY_RULES = {
    "shared": ("shared_energy_rel_per_um2", "1/um2", 0, "square micrometre of logic that its lane has beyond the pair's own"),
    "separate": ("separate_energy_rel_per_um2", "1/um2", 0,
                 "square micrometre of logic that its lane has beyond the pair's own (behind gated operands)"),
    "composed": ("composed_energy_rel_per_bit", "1/bit", 1, "flip-flop that its lane has beyond the pair's own"),
}


def predicted_bits(sets, unit):
    key = set_key(unit)
    if key in sets:
        return register_bits(sets[key])
    return max(register_bits(sets[f"{pair.weight}_{pair.activation}"]) * RATES[pair.rate] for pair in unit.pairs)


def added(sets, unit, pair, quantity, fractions):
    """Square micrometres (quantity 0) or bits (1) of the lane beyond the pair's own, not below 0."""
    own = sets[f"{pair.weight}_{pair.activation}"]
    whole, alone_there = ((predicted_lane(sets, distinct(unit), fractions), lane_um2(own)) if quantity == 0
                          else (predicted_bits(sets, distinct(unit)), register_bits(own)))
    return max(whole - alone_there * RATES[pair.rate], 0.0)


def energy_samples(results, sets, sharing):
    """[(name of the set, unit, pair, energy there, energy alone)], fJ a multiply-accumulate."""
    samples = []
    for found in results:
        unit = found["unit"]
        if (found["library"] != "asap7" or len(unit.pairs) < 2 or unit.sharing != sharing
                or unit != format_sets.Unit(unit.pairs, unit.sharing)):
            continue
        for pair in unit.pairs:
            own = f"{pair.weight}_{pair.activation}"
            samples.append((unit.name(), unit, pair, energies(found)[pair.name()], energies(sets[own])[own]))
    return samples


def fitted_energy(samples, sets, quantity):
    """fJ a cycle and unit of the quantity: least squares of relative errors."""
    fractions = {rule: fit(rule_samples(sets, rule)) for rule, fit in FITS.items()}
    rows = [(added(sets, unit, pair, quantity, fractions) / RATES[pair.rate] / there, (there - alone_there) / there)
            for _, unit, pair, there, alone_there in samples]
    return sum(x * y for x, y in rows) / sum(x * x for x, _ in rows)


def energy_errors(results, sets, sharing):
    """[(set, pair, relative error of the rule without any set of the same hardware)]; where that set's area is not
    known either, the area's own rule stands in."""
    quantity = ENERGY_RULES[sharing][2]
    samples = energy_samples(results, sets, sharing)
    errors = []
    for name, unit, pair, there, alone_there in samples:
        same = set_key(distinct(unit))
        others = [sample for sample in samples if set_key(distinct(sample[1])) != same]
        several = len(distinct(unit).pairs) > 1
        known = {key: found for key, found in sets.items() if key != same or not several}
        slope = fitted_energy(others, sets, quantity)
        grown = added(known, unit, pair, quantity, fitted_without(sets, same))
        errors.append((name, pair.name(), (alone_there + slope * grown / RATES[pair.rate]) / there - 1))
    return errors


def write_energy_rule(toml, results, sets, int8_fj):
    fractions = {rule: fit(rule_samples(sets, rule)) for rule, fit in FITS.items()}
    for sharing, (key, unit_name, quantity, note) in ENERGY_RULES.items():
        samples = energy_samples(results, sets, sharing)
        slope = fitted_energy(samples, sets, quantity)
        own = [slope]
        for _, unit, pair, there, alone_there in samples:
            grown = added(sets, unit, pair, quantity, fractions) / RATES[pair.rate]
            if there > 1.1 * alone_there:  # less tells nothing about a slope
                own.append((there - alone_there) / grown)
        errors = [abs(error) for _, _, error in energy_errors(results, sets, sharing)]
        toml.constant(key, slope / int8_fj, (min(own) / int8_fj, max(own) / int8_fj), unit_name,
                      f"energy that a pair in a unit of several takes beyond its own, over int8_int8 and per {note}, a cycle; "
                      f"{len(samples)} pairs in sets, each set left out once: mean error {100 * statistics.fmean(errors):.1f} %, "
                      f"largest {100 * max(errors):.1f} %")


def write_scale(toml, sets, common, int8_fj):
    toml.table("scale")
    for key, aligned in (("convert_exact_um2", False), ("convert_aligned_um2", True)):
        areas = [found["convert"]["area_um2"] - found["convert"]["flop_um2"] for found in sets.values()
                 if has_bf16(found["unit"]) == aligned]
        toml.constant(key, statistics.fmean(areas), (min(areas), max(areas)), "um2",
                      f"an integer sum to FP32: mean and range over {len(areas)} sets")
    toml.scaled("multiply_um2", common["multiply"]["area_um2"], LOGIC_RANGE, "um2", "FP32, subnormals kept")
    toml.scaled("add_um2", common["add"]["area_um2"], LOGIC_RANGE, "um2", "FP32, subnormals kept")
    toml.constant("register_bits", 160, (64, 224), "bit",
                  "rtl/units/scale_unit.sv: two scales, one of them delayed, two results; low: scales held elsewhere")
    converts = [found["convert"]["energies_fj"]["granule"] for found in sets.values() if has_bf16(found["unit"])]
    toml.constant("convert_aligned_energy_rel", statistics.fmean(converts) / int8_fj,
                  (ENERGY_RANGE[0] * min(converts) / int8_fj, ENERGY_RANGE[1] * max(converts) / int8_fj), "1",
                  f"an aligned sum to FP32 over the energy of an int8 x int8 multiply-accumulate, {len(converts)} sets, from toggles")
    toml.scaled("add_energy_rel", common["add"]["energies_fj"]["granule"] / int8_fj, ENERGY_RANGE, "1",
                "an FP32 addition over the energy of an int8 x int8 multiply-accumulate, from toggles")
    granule = (sets["int8_int8"]["convert"]["energies_fj"]["granule"]
               + 2 * common["multiply"]["energies_fj"]["granule"] + common["add"]["energies_fj"]["granule"])
    toml.scaled("granule_energy_rel", granule / int8_fj, ENERGY_RANGE, "1",
                "conversion, two multiplies and an add over the energy of an int8 x int8 multiply-accumulate, from toggles")


def write_rule(toml, sets):
    toml.table("rule")
    for rule, key, own, note in (
            ("shared", "shared_frac", lambda lane, top, rest, count: (lane - top) / rest,
             "share of a further pair's own lane that it adds, no pair with bf16"),
            ("shared_bf16", "shared_bf16_frac", lambda lane, top, rest, count: (lane - top) / rest,
             "share of a further pair's own lane that it adds, bf16 among the pairs"),
            ("composed", "composed_overhead_frac", lambda lane, top, rest, count: (lane / top - 1) / count,
             "overhead of a further pair over the largest")):
        samples = rule_samples(sets, rule)
        fraction = FITS[rule](samples)
        values = [own(*sample) for sample in samples.values()] + [fraction]
        errors = [abs(error) for _, error in leave_one_out(sets, rule)]
        toml.constant(key, fraction, (max(min(values), 0.001), max(values)), "1",
                      f"{note}, fitted to {len(samples)} sets; {len(errors)} sets left out one by one: mean error "
                      f"{100 * statistics.fmean(errors):.1f} %, largest {100 * max(errors):.1f} %")


def write_decoder(toml, common, int8_fj):
    toml.table("decoder")
    decoder = common["decoder_all"]
    few = common["decoder_4"]["area_um2"] / 16
    value = decoder["area_um2"] / 16
    toml.constant("value_um2", value, (few, 2 * value), "um2",
                  "rtl/units/weight_decoder.sv, 16 values a cycle: unpacking of 2, 3, 4, 5, 6, 8 bits, zero point, "
                  "table of 16 levels, output register; low: of 4 bits alone; high: operands and routing")
    energy = decoder["energies_fj"]["cycle"] / 16
    toml.scaled("value_energy_rel", energy / int8_fj, ENERGY_RANGE, "1",
                "a value over an int8 x int8 multiply-accumulate; asymmetric codes of 4 bits, from toggles")


def write_files(folder, results, common, version):
    with open(folder / "units.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for found in results:
            writer.writerow(csv_row(found))
        for name, found in common.items():
            row = dict.fromkeys(COLUMNS, "")
            row |= {"library": "ihp" if name.endswith("_ihp") else "asap7", "set": f"part:{name.removesuffix('_ihp')}",
                    "array_um2": f"{found['area_um2']:.2f}", "flop_um2": f"{found['flop_um2']:.2f}",
                    "flops": found["flops"], "depth_cells": found["depth_cells"], "seconds": found["seconds"],
                    "energy_fj_per_mac": " ".join(f"{key}={value:.2f}" for key, value in found.get("energies_fj", {}).items()),
                    "date": found["date"]}
            writer.writerow(row[column] for column in COLUMNS)
    write_toml(folder, results, common, version)


def write_toml(folder, results, common, version):
    sets = {set_key(found["unit"]): found for found in results if found["library"] == "asap7"}
    sets.pop(None, None)
    toml = Toml(max(found["array"]["date"] for found in results),
                f"tools/synth/synthesize.py, {version}, ASAP7 RVT TT, dots of 16 lanes")
    toml.lines.append(HEADER)
    write_sets(toml, sets)
    int8_fj = write_energies(toml, sets)
    write_shared_energies(toml, results, sets)
    write_scale(toml, sets, common, int8_fj)
    write_rule(toml, sets)
    write_energy_rule(toml, results, sets, int8_fj)
    write_decoder(toml, common, int8_fj)
    (folder / "units.toml").write_text("\n".join(toml.lines) + "\n")


# Published energies at 7 nm, pJ: Jouppi et al., "Ten lessons from three generations shaped Google's TPUv4i",
# ISCA 2021, table 2; at 45 nm: Horowitz, ISSCC 2014.
PUBLISHED = [
    ("FP32 multiply over int8 multiply + int32 add", 1.31 / 0.10, "7 nm, Jouppi", 3.7 / 0.3, "45 nm, Horowitz"),
    ("FP32 add over int8 multiply + int32 add", 0.38 / 0.10, "7 nm, Jouppi", 0.9 / 0.3, "45 nm, Horowitz"),
    ("bf16 or FP16 multiply + add of the same over int8", (0.21 + 0.11) / 0.10, "7 nm bf16, Jouppi", 1.5 / 0.3,
     "45 nm FP16, Horowitz"),
]


def sets_table(results):
    ihp = {found["unit"].name(): found for found in results if found["library"] == "ihp"}
    asap7 = [found for found in results if found["library"] == "asap7"]
    base = next((lane_um2(found) / lane_um2(ihp[found["unit"].name()]) for found in asap7
                 if found["unit"].name() == "int8_int8" and "int8_int8" in ihp), None)
    lines = ["| set | lane, um2 | flip-flops a lane | cells deep | multipliers / alignment / sums / rest, um2 of 16 lanes, "
             "not flattened | fJ a multiply-accumulate | lane on IHP over ASAP7, int8 = 1 |", "|---|---|---|---|---|---|---|"]
    for found in asap7:
        row = dict(zip(COLUMNS, csv_row(found)))
        name = found["unit"].name()
        ratio = f"{lane_um2(ihp[name]) / lane_um2(found) * base:.2f}" if name in ihp and base else ""
        parts = " / ".join(f"{float(row[key]):.0f}" for key in ("multipliers_um2", "alignment_um2", "sum_um2", "rest_um2")
                           if row[key])
        energy = ", ".join(f"{key} {value:.0f}" for key, value in energies(found).items())
        lines.append(f"| `{name}` | {lane_um2(found):.1f} | {register_bits(found):.1f} | {found['array']['depth_cells']} | "
                     f"{parts} | {energy} | {ratio} |")
    return lines


def sharing_table(sets):
    lines = ["| set | lane, um2 | largest pair alone | over it | of the others' own area | energy of each pair over alone |",
             "|---|---|---|---|---|---|"]
    for key, found in sets.items():
        pairs = found["unit"].pairs
        if len(pairs) < 2 or any(f"{pair.weight}_{pair.activation}" not in sets for pair in pairs):
            continue
        lanes = sorted(alone(sets, pair) for pair in pairs)
        own = {pair.name(): energies(sets[f"{pair.weight}_{pair.activation}"])[f"{pair.weight}_{pair.activation}"]
               for pair in pairs}
        ratios = ", ".join(f"{name} {value / own[name]:.2f}" for name, value in energies(found).items())
        lines.append(f"| `{key}` | {lane_um2(found):.1f} | {lanes[-1]:.1f} | {lane_um2(found) / lanes[-1] - 1:+.1%} | "
                     f"{(lane_um2(found) - lanes[-1]) / sum(lanes[:-1]):.2f} | {ratios} |")
    return lines


def held_table(results):
    """Sets with a pair that another holds, against the set without it."""
    by_name = {found["unit"].name(): found for found in results if found["library"] == "asap7"}
    lines = ["| set | without the pair that is held | array over array |", "|---|---|---|"]
    for name, found in by_name.items():
        unit = found["unit"]
        rest = tuple(pair for pair in unit.pairs if not is_held(unit, pair))
        without = format_sets.Unit(rest, unit.sharing).name()
        if unit.sharing == "shared" and len(rest) < len(unit.pairs) and without in by_name:
            ratio = found["array"]["area_um2"] / by_name[without]["array"]["area_um2"]
            lines.append(f"| `{name}` | `{without}` | {ratio:.3f} |")
    return lines


def rule_table(sets):
    lines = ["| rule | fraction | sets | mean error, left out one by one | largest | its set |", "|---|---|---|---|---|---|"]
    for rule, fit in FITS.items():
        errors = leave_one_out(sets, rule)
        if len(errors) < 2:
            continue
        worst = max(errors, key=lambda error: abs(error[1]))
        mean = statistics.fmean(abs(error) for _, error in errors)
        lines.append(f"| {rule} | {fit(rule_samples(sets, rule)):.3f} | {len(errors)} | {mean:.1%} | {worst[1]:+.1%} | `{worst[0]}` |")
    return lines


def energy_rule_table(results, sets):
    lines = ["| sharing | energy that a pair gains, fJ | pairs in sets | mean error, each set left out once | largest | its pair |",
             "|---|---|---|---|---|---|"]
    for sharing, (_, unit_name, quantity, _) in ENERGY_RULES.items():
        samples = energy_samples(results, sets, sharing)
        errors = energy_errors(results, sets, sharing)
        worst = max(errors, key=lambda error: abs(error[2]))
        mean = statistics.fmean(abs(error) for _, _, error in errors)
        per = "um2 of logic" if quantity == 0 else "flip-flop"
        lines.append(f"| {sharing} | {fitted_energy(samples, sets, quantity):.2f} per {per} beyond its own lane | {len(samples)} | "
                     f"{mean:.1%} | {worst[2]:+.1%} | {worst[1]} in `{worst[0]}` |")
    return lines


def published_table(sets, common):
    int8 = energies(sets["int8_int8"])["int8_int8"]
    bf16 = sets["bf16_bf16"]
    bf16_mac = energies(bf16)["bf16_bf16"] + (bf16["convert"]["energies_fj"]["granule"]
                                              + common["add"]["energies_fj"]["granule"]) / bf16["unit"].depth
    ours = [common["multiply"]["energies_fj"]["granule"] / int8, common["add"]["energies_fj"]["granule"] / int8,
            bf16_mac / int8]
    lines = ["| ratio | ours | published | |", "|---|---|---|---|"]
    for own, (name, first, first_source, second, second_source) in zip(ours, PUBLISHED):
        lines.append(f"| {name} | {own:.1f} | {first:.1f}; {second:.1f} | {first_source}; {second_source} |")
    add = common["add"]["energies_fj"]["granule"]
    every = (energies(bf16)["bf16_bf16"] + bf16["convert"]["energies_fj"]["granule"] + add) / int8
    lines.append(f"| the same, conversion and FP32 addition for every product | {every:.1f} | "
                 f"{PUBLISHED[2][1]:.1f}; {PUBLISHED[2][3]:.1f} | as above |")
    if "fp8_e4m3fn_fp8_e4m3fn" in sets:
        fp8 = sets["fp8_e4m3fn_fp8_e4m3fn"]
        lines.append(f"| fp8 over int8, a lane's area and energy | {lane_um2(fp8) / lane_um2(sets['int8_int8']):.2f}, "
                     f"{energies(fp8)['fp8_e4m3fn_fp8_e4m3fn'] / int8:.2f} | 1.5 to 2.8 | van Baalen et al. 2023 "
                     "(arXiv:2303.17951): FP8 50 to 180 % less efficient in dedicated hardware |")
        own, convert = energies(fp8)["fp8_e4m3fn_fp8_e4m3fn"], fp8["convert"]["energies_fj"]["granule"]
        shared = [(own + (convert + add) / products) / int8 for products in (16, 4, 1)]
        lines.append("| fp8 over int8, energy with a conversion and an FP32 addition for every 16, 4, 1 products | "
                     f"{shared[0]:.2f}, {shared[1]:.2f}, {shared[2]:.2f} | 1.5 to 2.8 | the same |")
    return lines


def common_table(common):
    lines = ["| part | um2 | flip-flops | cells deep | fJ a use |", "|---|---|---|---|---|"]
    for name, found in common.items():
        if name.endswith("_ihp"):
            continue
        energy = " ".join(f"{value:.0f}" for value in found.get("energies_fj", {}).values())
        lines.append(f"| {name} | {found['area_um2']:.1f} | {found['flops']} | {found['depth_cells']} | {energy} |")
    return lines


def write_docs(path, results, common):
    """Replaces the tables between '<!-- table NAME -->' and '<!-- end -->'."""
    sets = {set_key(found["unit"]): found for found in results if found["library"] == "asap7"}
    sets.pop(None, None)
    tables = {"sets": sets_table(results), "sharing": sharing_table(sets), "held": held_table(results),
              "rule": rule_table(sets), "energy_rule": energy_rule_table(results, sets),
              "published": published_table(sets, common), "parts": common_table(common)}
    text = path.read_text()
    for name, lines in tables.items():
        start = text.index(f"<!-- table {name} -->") + len(f"<!-- table {name} -->")
        end = text.index("<!-- end -->", start)
        text = text[:start] + "\n" + "\n".join(lines) + "\n" + text[end:]
    path.write_text(text)
