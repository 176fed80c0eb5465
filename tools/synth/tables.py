"""Results of synthesis as one line, as CSV and as technology constants."""


def summary(found):
    unit, array, convert = found["unit"], found["array"], found["convert"]
    lanes = unit.depth // found["subs"]
    energies = " ".join(f"{name} {value / lanes:.2f}" for name, value in array.get("energies_fj", {}).items())
    return (f"{found['library']} {unit.name()}: array {array['area_um2']:.1f} um2 ({array['flops']} flops, "
            f"{array['depth_cells']} cells deep, {(array['area_um2'] - array['flop_um2']) / lanes:.2f} um2 of logic a lane), "
            f"convert {convert['area_um2']:.1f}; fJ a lane: {energies} ({array['seconds']:.0f} + {convert['seconds']:.0f} s)")


def write_files(folder, results, common, version):
    raise NotImplementedError
