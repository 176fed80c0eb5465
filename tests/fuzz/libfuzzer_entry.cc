// libFuzzer's entry points: the target is named by the environment, so that one program holds them
// all and the processes that the fuzzer starts of itself keep it.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

#include "fuzz_target.h"
#include "mutate.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

const dovetail::fuzz::Target* chosen = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* name = std::getenv("DOVETAIL_FUZZ_TARGET");
  for (const auto& target : dovetail::fuzz::all_targets()) {
    if (name != nullptr && target.name == name) chosen = &target;
  }
  if (chosen != nullptr) return 0;
  fmt::print(stderr, "DOVETAIL_FUZZ_TARGET = {}, want one of",
             name == nullptr ? "(missing)" : name);
  for (const auto& target : dovetail::fuzz::all_targets()) fmt::print(stderr, " {}", target.name);
  fmt::print(stderr, "\n");
  std::exit(2);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  chosen->run({reinterpret_cast<const char*>(data), size});
  return 0;
}

// Every second change is one that knows the shape of the input, if it has one.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string changed = dovetail::fuzz::mutate(chosen->shape, input, seed);
  if (changed.empty() || changed.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::memcpy(data, changed.data(), changed.size());
  return changed.size();
}
