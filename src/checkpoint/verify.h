// Proves that a checkpoint holds what its manifest says: of every tensor the packed digest, the
// values that the golden codec, the quick unpacker and the reader of the file decode, bit for bit
// equal among each other, and the digest of these values, which is that of the model that was
// measured when it was written.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "checkpoint/manifest.h"

namespace dovetail::checkpoint {

struct TensorFailure {
  std::string tensor;
  std::string problem;
};

struct VerifyReport {
  Manifest manifest;
  int64_t tensors = 0;                  // that were looked at
  std::vector<TensorFailure> failures;  // empty: all is well
};

// path: a folder or a GGUF file. Errors: kNotFound; kInvalidArgument if it is broken as a file
// (truncated, not readable) or has no manifest.
[[nodiscard]] Result<VerifyReport> verify_checkpoint(const std::string& path);

}  // namespace dovetail::checkpoint
