"""The sets of native pairs that are synthesised and simulated, and how rtl/units encodes them.

A set's name joins its pairs with '+': 'int9_int8+bf16_bf16@half'; '@half' and '@twice' are the rate of
multiply-accumulates relative to the lanes. A word in front names sharing other than 'shared': 'separate:...',
'composed:...'. Fields behind '/' change the unit: '/depth32/granule16/align16'.
"""

import dataclasses

ELEMENT_IDS = {**{f"int{bits}": bits for bits in range(2, 10)},
               "fp4_e2m1": 10, "fp6_e2m3": 11, "fp6_e3m2": 12, "fp8_e4m3fn": 13, "bf16": 14}
RATE_CODES = {"half": 0, "full": 1, "twice": 2}
SHARING_CODES = {"shared": 0, "separate": 1, "composed": 2}
MAX_PAIRS = 8


@dataclasses.dataclass(frozen=True)
class Pair:
    weight: str
    activation: str
    rate: str = "full"  # "half", "full" or "twice"

    def name(self):
        suffix = "" if self.rate == "full" else "@" + self.rate
        return f"{self.weight}_{self.activation}{suffix}"


@dataclasses.dataclass(frozen=True)
class Unit:
    pairs: tuple
    sharing: str = "shared"
    depth: int = 16
    granule: int = 32
    max_granule: int = 128
    align_bits: int = 24

    def name(self):
        default = Unit(self.pairs)
        text = "+".join(pair.name() for pair in self.pairs)
        if self.sharing != "shared":
            text = f"{self.sharing}:{text}"
        for key, label in (("depth", "depth"), ("granule", "granule"), ("align_bits", "align")):
            if getattr(self, key) != getattr(default, key):
                text += f"/{label}{getattr(self, key)}"
        return text

    def verilog_parameters(self):
        """Parameters of dot_unit.sv, as text."""
        code = 0
        for index, pair in enumerate(self.pairs):
            entry = RATE_CODES[pair.rate] << 8 | ELEMENT_IDS[pair.activation] << 4 | ELEMENT_IDS[pair.weight]
            code |= entry << (12 * index)
        return {"NumPairs": str(len(self.pairs)), "Pairs": f"96'h{code:024x}", "Depth": str(self.depth),
                "Granule": str(self.granule), "MaxGranule": str(self.max_granule),
                "AlignBits": str(self.align_bits), "Sharing": str(SHARING_CODES[self.sharing])}


def split_pair(text):
    body, _, rate = text.partition("@")
    for element in sorted(ELEMENT_IDS, key=len, reverse=True):
        if body.startswith(element + "_") and body[len(element) + 1:] in ELEMENT_IDS:
            pair = Pair(element, body[len(element) + 1:], rate or "full")
            if pair.rate in RATE_CODES:
                return pair
    raise ValueError(f"pair '{text}', want WEIGHT_ACTIVATION[@half|@twice] of {', '.join(ELEMENT_IDS)}")


def parse_unit(name):
    """The unit of a name. Raises ValueError naming what is wrong."""
    body, *fields = name.split("/")
    sharing, colon, pairs = body.rpartition(":")
    values = {"sharing": sharing if colon else "shared"}
    if values["sharing"] not in SHARING_CODES:
        raise ValueError(f"{name}: sharing '{sharing}', want one of {', '.join(SHARING_CODES)}")
    for field in fields:
        for key, label in (("depth", "depth"), ("granule", "granule"), ("align_bits", "align")):
            if field.startswith(label):
                values[key] = int(field[len(label):])
                break
        else:
            raise ValueError(f"{name}: field '{field}', want depth, granule or align with a number")
    unit = Unit(tuple(split_pair(pair) for pair in pairs.split("+")), **values)
    if len(unit.pairs) > MAX_PAIRS:
        raise ValueError(f"{name}: {len(unit.pairs)} pairs, want at most {MAX_PAIRS}")
    return unit


INT_WEIGHTS = ("int2", "int3", "int4", "int5", "int6", "int8", "int9")

# Every native pair of a chip file alone.
SINGLE = ([f"{weight}_int8" for weight in INT_WEIGHTS] + ["fp4_e2m1_int8"]
          + [f"{weight}_fp8_e4m3fn" for weight in INT_WEIGHTS]
          + ["fp4_e2m1_fp8_e4m3fn", "fp8_e4m3fn_fp8_e4m3fn"]
          + [f"{weight}_bf16" for weight in INT_WEIGHTS]
          + ["fp4_e2m1_bf16", "fp8_e4m3fn_bf16", "bf16_bf16"])

# Several pairs on one array: those of the shipped chips and classes first.
SHARED = ["int9_int8+bf16_bf16", "int9_int8+bf16_bf16@half", "int5_int8+bf16_bf16",
          "int9_int8+fp8_e4m3fn_fp8_e4m3fn+bf16_bf16@half", "int4_int8+int9_int8+bf16_bf16@half",
          "int9_int8+fp8_e4m3fn_fp8_e4m3fn+bf16_bf16", "int9_int8+fp8_e4m3fn_fp8_e4m3fn",
          "int4_int8+int9_int8", "fp4_e2m1_int8+int9_int8", "fp4_e2m1_int8+int5_int8",
          "fp4_e2m1_fp8_e4m3fn+fp8_e4m3fn_fp8_e4m3fn", "int5_int8+fp8_e4m3fn_fp8_e4m3fn",
          "fp8_e4m3fn_fp8_e4m3fn+bf16_bf16", "int5_int8+int5_bf16", "int5_bf16+bf16_bf16",
          "int4_fp8_e4m3fn+fp8_e4m3fn_fp8_e4m3fn", "fp4_e2m1_fp8_e4m3fn+int9_int8", "int9_int8+int5_bf16",
          "int5_int8+bf16_bf16@half", "fp8_e4m3fn_fp8_e4m3fn+bf16_bf16@half",
          "fp4_e2m1_bf16+bf16_bf16", "fp8_e4m3fn_bf16+bf16_bf16",
          "fp4_e2m1_fp8_e4m3fn+fp8_e4m3fn_fp8_e4m3fn+bf16_bf16",
          "int9_int8+fp4_e2m1_fp8_e4m3fn+fp8_e4m3fn_fp8_e4m3fn+bf16_bf16"]
COMPOSED = ["composed:int5_int8@twice+int9_int8", "composed:int4_int8@twice+int8_int8",
            "composed:int4_int8@twice+int9_int8", "composed:int3_int8@twice+int6_int8"]
SEPARATE = ["separate:int9_int8+bf16_bf16", "separate:int9_int8+fp8_e4m3fn_fp8_e4m3fn",
            "separate:int5_int8+bf16_bf16", "separate:fp8_e4m3fn_fp8_e4m3fn+bf16_bf16",
            "separate:int9_int8+fp8_e4m3fn_fp8_e4m3fn+bf16_bf16"]
# How an area per lane moves with the unit's sizes; operands that chip files do not know yet.
SIZES = ["int9_int8/depth8", "int9_int8/depth32", "bf16_bf16/depth8", "bf16_bf16/depth32",
         "fp8_e4m3fn_fp8_e4m3fn/depth32", "fp4_e2m1_fp8_e4m3fn/depth32/granule16",
         "bf16_bf16/align16", "bf16_bf16/align32", "int9_int8+bf16_bf16/depth32"]
FURTHER = ["int2_int4", "int3_int4", "int4_int4", "int5_int4", "int6_int4", "int8_int4", "int9_int4",
           "fp4_e2m1_int4", "fp4_e2m1_fp4_e2m1", "fp6_e2m3_int8", "fp6_e3m2_fp8_e4m3fn"]

SWEEP = SINGLE + SHARED + COMPOSED + SEPARATE + SIZES + FURTHER
