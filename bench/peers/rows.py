"""What is compared: for each row the peers' settings and Dovetail's treatments of the same class.

A row's entries run independently of each other and are kept by "ROW/SIDE/LABEL".
"""

import dataclasses

# One environment each. Versions are pinned: a row is a statement about these.
ENVIRONMENTS = {
    "evaluator": ["torch==2.15.0", "numpy", "gguf==0.19.0", "tokenizers", "safetensors",
                  "transformers==5.24.0"],
    "llm-compressor": ["llmcompressor==0.14.0.1"],
    "gptqmodel": ["gptqmodel==7.7.0"],
    "auto-round": ["auto-round==0.16.1"],
    "llama.cpp": ["llama-cpp-python==0.3.36"],
}

# Packages whose versions a result keeps.
REPORTED_PACKAGES = {
    "llm-compressor": ("llmcompressor", "compressed-tensors", "torch", "transformers"),
    "gptqmodel": ("gptqmodel", "torch", "transformers"),
    "auto-round": ("auto-round", "torch", "transformers"),
    "llama.cpp": ("llama-cpp-python",),
}

SCRIPTS = {
    "llm-compressor": "quantize_llm_compressor.py",
    "gptqmodel": "quantize_gptqmodel.py",
    "auto-round": "quantize_auto_round.py",
    "llama.cpp": "quantize_llama_cpp.py",
}


@dataclasses.dataclass(frozen=True)
class PeerEntry:
    side: str       # a key of SCRIPTS
    label: str      # what the table says
    setting: dict   # read by the side's script
    activations: str | None = None  # read by measure_kl.py


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    title: str
    peers: tuple
    treatments: tuple  # of `dovetail eval kl --treatment`


def integer(bits, group, symmetric=True, **more):
    return {"bits": bits, "group": group, "symmetric": symmetric, **more}


# The best of Dovetail's algorithms at the same stored bits, (bits, group, symmetric).
BEST = {
    (4, 64, True): ("lut4_g64_gptq_cd+r:r1r2",),
    (3, 64, True): ("lut3_g64_gptq_cd+r:r1r2+qep:0.5",),
    (2, 64, True): ("int2_g64_gptq_cd+r:r1r2+qep:0.5",),
}


def gptq_row(bits, group, symmetric=True):
    """llm-compressor wants groups that divide every width; 128 does not divide SmolLM2's 576. Its
    stand-in is 96, the largest that does and is not coarser."""
    shape = "sym" if symmetric else "asym"
    legal = 96 if group == 128 else group
    infix = "" if symmetric else "asym_"
    name = f"gptq_w{bits}_{infix}g{group}"
    peers = [PeerEntry("llm-compressor", f"GPTQ W{bits} g{legal} {shape}, static order",
                       integer(bits, legal, symmetric, algorithm="gptq"))]
    if group == 64:
        peers.append(PeerEntry("llm-compressor", f"GPTQ W{bits} g{group} {shape}, mse scales",
                               integer(bits, group, symmetric, algorithm="gptq",
                                       observer="memoryless_mse")))
    if legal != group:
        peers.append(PeerEntry("llm-compressor", f"GPTQ W{bits} g{group} {shape}, static order",
                               integer(bits, group, symmetric, algorithm="gptq")))
    # GPTQModel ends a row in a shorter group, as Dovetail does, and takes no group of 96.
    peers.append(PeerEntry("gptqmodel", f"GPTQ W{bits} g{group} {shape}",
                           integer(bits, group, symmetric)))
    base = f"int{bits}_{infix}g{group}"
    return Row(name, f"GPTQ W{bits} g{group} {shape}", tuple(peers),
               (base + "_gptq",) + BEST.get((bits, group, symmetric), ()))


def auto_round_row(bits, symmetric):
    shape, infix = ("sym", "") if symmetric else ("asym", "asym_")
    setting = integer(bits, 64, symmetric, batch=8, iterations=50)
    return Row(f"autoround_w{bits}_{infix}g64", f"learned rounding W{bits} g64 {shape}",
               (PeerEntry("auto-round", f"AutoRound W{bits} g64 {shape}, 50 iterations", setting),),
               (f"int{bits}_{infix}g64_signround",))


def scheme_row(name, title, scheme, algorithm, treatments, activations=None, **more):
    return Row(name, title,
               (PeerEntry("llm-compressor", f"{title}", {"scheme": scheme, "algorithm": algorithm,
                                                         **more}, activations),), treatments)


def awq_row(group):
    legal = 96 if group == 128 else group
    peers = tuple(PeerEntry("llm-compressor", f"AWQ W4 g{legal} {shape}",
                            integer(4, legal, symmetric, algorithm="awq"))
                  for shape, symmetric in (("sym", True), ("asym", False)))
    return Row(f"awq_w4_g{group}", f"AWQ W4 g{group}", peers,
               (f"int4_g{group}_awq", f"int4_asym_g{group}_awq"))


def llama_row(kind, treatments):
    return Row(f"llama_{kind.lower()}", f"llama.cpp {kind}",
               tuple(PeerEntry("llama.cpp", f"{kind}{', importance matrix' if importance else ''}",
                               {"type": kind, "importance": importance})
                     for importance in (True, False)), treatments)


ROWS = (
    Row("rtn_w4_g64", "round to nearest W4 g64",
        (PeerEntry("llm-compressor", "RTN W4 g64 sym", integer(4, 64, algorithm="rtn")),),
        ("int4_g64",)),
    gptq_row(4, 64),
    gptq_row(4, 128),
    gptq_row(3, 64),
    gptq_row(3, 128),
    gptq_row(2, 64),
    gptq_row(3, 64, symmetric=False),
    gptq_row(2, 64, symmetric=False),
    auto_round_row(4, True),
    auto_round_row(2, True),
    auto_round_row(2, False),
    awq_row(64),
    awq_row(128),
    scheme_row("smoothquant_w8a8", "SmoothQuant W8A8", "W8A8", "smoothquant",
               ("int8_smooth+a:int8_token",), "int8_token", smoothing_strength=0.8),
    scheme_row("smoothquant_gptq_w8a8", "SmoothQuant and GPTQ W8A8", "W8A8", "smoothquant_gptq",
               ("int8_gptq+a:int8_token",), "int8_token", smoothing_strength=0.8),
    scheme_row("nvfp4", "NVFP4 round to nearest", "NVFP4A16", "rtn", ("nvfp4",)),
    scheme_row("nvfp4_gptq", "NVFP4 GPTQ", "NVFP4A16", "gptq", ("nvfp4_gptq",)),
    scheme_row("mxfp4", "MXFP4 round to nearest", "MXFP4A16", "rtn", ("mxfp4",)),
    scheme_row("mxfp4_gptq", "MXFP4 GPTQ", "MXFP4A16", "gptq", ("mxfp4_gptq",)),
    llama_row("Q4_K_M", ("int5_asym_g64_gptq",)),
    llama_row("Q3_K_M", ("int4_asym_g32_gptq",)),
    llama_row("IQ4_XS", ("int4_asym_g64_gptq",)),
)
