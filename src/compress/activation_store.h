// Rows of activations of the whole calibration text, in memory or in a file that nobody else sees.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "host/buffer.h"

namespace dovetail::compress {

class ActivationStore {
 public:
  // (rows, width) FP32. folder: where the file goes, without a name, so that it is gone with the
  // process; empty: memory. Errors: kIo naming the folder (cannot be written, disk full).
  [[nodiscard]] static Result<ActivationStore> create(int64_t rows, int64_t width,
                                                      const std::string& folder);
  ActivationStore(ActivationStore&& other) noexcept;
  ActivationStore& operator=(ActivationStore&& other) noexcept;
  ~ActivationStore();

  [[nodiscard]] int64_t rows() const { return rows_; }
  [[nodiscard]] int64_t width() const { return width_; }
  // From now on rows of at most the width that it was created with; what it held is lost. Memory
  // that was used before costs less than new.
  void reuse(int64_t width);
  // Rows first .. first + count - 1, from and to x (count, width). Errors: kIo.
  [[nodiscard]] Status write(int64_t first, int64_t count, const float* x);
  [[nodiscard]] Status read(int64_t first, int64_t count, float* x) const;
  // The same rows where they lie in memory, or else read into `scratch` (count, width). What is
  // changed there is kept once it is written, from the same pointer.
  [[nodiscard]] Result<float*> fetch(int64_t first, int64_t count, float* scratch);

 private:
  ActivationStore() = default;
  int64_t rows_ = 0;
  int64_t width_ = 0;
  int64_t created_width_ = 0;
  std::string folder_;
  host::Buffer memory_;
  int file_ = -1;
};

}  // namespace dovetail::compress
