"""Runs llama.cpp's quantiser through the C interface of llama-cpp-python. Needs: llama-cpp-python.

Usage: quantize_llama_cpp.py JOB.json, with keys
  gguf, out, threads   float32 GGUF of export_model.py, folder to write
  setting              type: as Q4_K_M; importance: true to use `importance`
  importance           .npz of importance_matrix.py
Embedding and head stay in float32: only the linears of the blocks are compared.
"""

import ctypes
import json
import pathlib
import sys
import time

import llama_cpp
import numpy as np

# llama_ftype of include/llama.h.
FILE_TYPES = {"Q4_K_M": 15, "Q3_K_M": 12, "IQ4_XS": 30, "Q2_K": 10, "IQ3_M": 27, "IQ2_M": 29}
GGML_TYPE_F32 = 0


def importance_array(path):
    """The C array and the objects that it points into, which must outlive it."""
    vectors = {name: np.ascontiguousarray(v, dtype=np.float32) for name, v in np.load(path).items()}
    array = (llama_cpp.llama_model_imatrix_data * (len(vectors) + 1))()
    keep = [vectors]
    for entry, (name, vector) in zip(array, vectors.items()):
        encoded = name.encode()
        keep.append(encoded)
        entry.name = encoded
        entry.data = vector.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        entry.size = vector.size
    return array, keep  # the last entry stays null, which ends the list


def main():
    job = json.loads(pathlib.Path(sys.argv[1]).read_text())
    setting = job["setting"]
    out = pathlib.Path(job["out"])
    out.mkdir(parents=True, exist_ok=True)
    llama_cpp.llama_backend_init()
    params = llama_cpp.llama_model_quantize_default_params()
    params.nthread = job["threads"]
    params.ftype = FILE_TYPES[setting["type"]]
    params.token_embedding_type = GGML_TYPE_F32
    params.output_tensor_type = GGML_TYPE_F32
    keep = None
    if setting["importance"]:
        array, keep = importance_array(job["importance"])
        params.imatrix = ctypes.cast(array, type(params.imatrix))
    start = time.perf_counter()
    code = llama_cpp.llama_model_quantize(job["gguf"].encode(),
                                          str(out / "model.gguf").encode(), ctypes.byref(params))
    seconds = time.perf_counter() - start
    del keep
    if code != 0:
        raise SystemExit(f"llama_model_quantize: exit code {code}")
    (out / "quantized.json").write_text(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
