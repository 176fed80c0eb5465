// Decoding and encoding beside ggml's own functions, one thread, both sides in one run.
//
//   model_ggml_bench path/to/libggml-base.so
//
// The library comes with llama-cpp-python, which builds it for this machine:
//   python3 -m venv build/ggml && build/ggml/bin/pip install llama-cpp-python==0.3.36
//   build/bench/model_ggml_bench $(find build/ggml -name libggml-base.so | head -1)
//
// Per type: "format" is Dovetail's packed format of the same element and group, "blocks" reads
// ggml's own bytes as the loader of GGUF files does (and must give the same values), "ggml" is
// dequantize_row_*. Encoding: ggml's quantize_row_*_ref against choose_scales under the plain rule
// and pack_rows. Sides take turns; times are the best of kTurns. GB/s count bytes read and written.
#include <dlfcn.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "base/random.h"
#include "formats/pack.h"
#include "formats/quantize.h"
#include "formats/unpack.h"
#include "model/tensor_blocks.h"

namespace dovetail::model {
namespace {

constexpr int64_t kK = 4096;
constexpr int kTurns = 15;

struct Pair {
  TensorType type;
  const char* symbol;  // what ggml calls it
  const char* format;  // the nearest of Dovetail; none: blocks alone
  bool encodes;
};
constexpr Pair kPairs[] = {{TensorType::kQ4_0, "q4_0", "int4_g32", true},
                           {TensorType::kQ5_0, "q5_0", "int5_g32", true},
                           {TensorType::kQ8_0, "q8_0", "int8_g32", true},
                           {TensorType::kMxfp4, "mxfp4", "mxfp4", true},
                           {TensorType::kQ4_K, "q4_K", "int4_asym_g32", false},
                           {TensorType::kQ6_K, "q6_K", "int6_g16", false}};

using Dequantize = void (*)(const void* blocks, float* out, int64_t k);
using Quantize = void (*)(const float* w, void* blocks, int64_t k);

double seconds_of(const std::function<void()>& pass) {
  const auto start = std::chrono::steady_clock::now();
  pass();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Best seconds of each, in turns.
std::vector<double> best_seconds(const std::vector<std::function<void()>>& passes) {
  std::vector<double> best(passes.size(), std::numeric_limits<double>::infinity());
  for (int turn = 0; turn < kTurns; ++turn)
    for (size_t i = 0; i < passes.size(); ++i) best[i] = std::min(best[i], seconds_of(passes[i]));
  return best;
}

class Comparison {
 public:
  Comparison(void* library, int64_t rows) : library_(library), rows_(rows) {
    Random random(1);
    for (int64_t i = 0; i < kK; ++i) row_.push_back(static_cast<float>(random.uniform() - .5));
    while (std::ssize(w_) < rows * kK) w_.insert(w_.end(), row_.begin(), row_.end());
    values_.resize(w_.size());
  }

  bool compare(const Pair& pair) {
    const auto dequantize = symbol<Dequantize>("dequantize_row_" + std::string(pair.symbol));
    const auto quantize = symbol<Quantize>("quantize_row_" + std::string(pair.symbol) + "_ref");
    const auto format = formats::parse_weight_format(pair.format).value();
    const formats::Rounding rounding{.scale = formats::plain_rule(format)};
    formats::PackedRows packed;
    const auto encode = [&] {
      const auto scales = formats::choose_scales(format, rounding, rows_, kK, w_.data());
      packed = formats::pack_rows(format, rounding.ties, scales, rows_, kK, w_.data());
    };
    encode();
    const auto& facts = facts_of(pair.type);
    std::vector<uint8_t> blocks(
        static_cast<size_t>(rows_ * kK / facts.block_elements * facts.block_bytes));
    quantize(w_.data(), blocks.data(), rows_ * kK);
    if (!agrees(pair, dequantize, blocks)) return false;
    const bool is_large = rows_ * kK >= int64_t{1} << 24;
    const auto decode =
        best_seconds({[&] {
                        const auto unpacker = formats::RowUnpacker::make(packed).value();
                        if (is_large) return unpacker.stream(0, rows_, values_.data());
                        for (int64_t row = 0; row < rows_; ++row)
                          unpacker.unpack(row, values_.data() + row * kK);
                      },
                      [&] { decode_blocks(pair.type, blocks, values_); },
                      [&] { dequantize(blocks.data(), values_.data(), rows_ * kK); }});
    const double bytes = static_cast<double>(blocks.size() + 4 * w_.size()) / 1e9;
    std::printf("%-6s %-14s %7.2f %7.2f %7.2f %9.2f %9.2f", pair.symbol, pair.format,
                bytes / decode[0], bytes / decode[1], bytes / decode[2], decode[2] / decode[0],
                decode[2] / decode[1]);
    if (pair.encodes) {
      const auto coded =
          best_seconds({encode, [&] { quantize(w_.data(), blocks.data(), rows_ * kK); }});
      std::printf(" %7.2f %7.2f %9.2f", bytes / coded[0], bytes / coded[1], coded[1] / coded[0]);
    }
    std::printf("\n");
    return true;
  }

 private:
  template <typename Function>
  Function symbol(const std::string& name) const {
    void* found = dlsym(library_, name.c_str());
    if (found == nullptr) {
      std::fprintf(stderr, "the library has no %s\n", name.c_str());
      std::exit(1);
    }
    return reinterpret_cast<Function>(found);
  }

  bool agrees(const Pair& pair, Dequantize dequantize, const std::vector<uint8_t>& blocks) {
    std::vector<float> theirs(values_.size());
    dequantize(blocks.data(), theirs.data(), rows_ * kK);
    decode_blocks(pair.type, blocks, values_);
    if (theirs == values_) return true;
    std::fprintf(stderr, "%s: Dovetail and ggml decode the same blocks to other values\n",
                 pair.symbol);
    return false;
  }

  void* library_;
  int64_t rows_;
  std::vector<float> row_;
  std::vector<float> w_;
  std::vector<float> values_;
};

bool compare_all(void* library) {
  bool agree = true;
  for (const int64_t rows : {int64_t{64}, int64_t{8192}}) {
    std::printf(
        "\n%lld MiB of values, GB/s\n                      ------ decode ------  ratio to ggml   "
        "--- encode --- ratio\ntype   format          format  blocks    ggml    format    blocks "
        "Dovetail  ggml\n",
        static_cast<long long>(rows * kK >> 18));
    Comparison comparison(library, rows);
    for (const Pair& pair : kPairs) agree = comparison.compare(pair) && agree;
  }
  return agree;
}

}  // namespace
}  // namespace dovetail::model

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr,
                 "usage: model_ggml_bench path/to/libggml-base.so\n"
                 "To have one: python3 -m venv build/ggml && build/ggml/bin/pip install "
                 "llama-cpp-python==0.3.36\n");
    return 2;
  }
  setenv("DOVETAIL_THREADS", "1", 1);
  void* library = dlopen(argv[1], RTLD_NOW);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  return dovetail::model::compare_all(library) ? 0 : 1;
}
