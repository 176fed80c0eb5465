#include "host/matmul.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <mutex>

#include "base/parallel.h"
#include "base/result.h"
#include "host/host_model.h"

// Present where libtorch uses OpenBLAS, whose threads at::set_num_threads does not reach; null
// where it brings another library.
extern "C" void openblas_set_num_threads(int count) __attribute__((weak));

namespace dovetail::host {
namespace {

void set_blas_threads(int64_t count) {
  if (openblas_set_num_threads != nullptr) openblas_set_num_threads(static_cast<int>(count));
}

at::Tensor as_tensor(const float* values, int64_t rows, int64_t cols) {
  // from_blob wants a mutable pointer; operands are only read.
  return at::from_blob(const_cast<float*>(values), {rows, cols}, at::TensorOptions(at::kFloat));
}

at::Tensor as_tensor(const Operand& operand) {
  const at::Tensor matrix = as_tensor(operand.values, operand.rows, operand.cols);
  return operand.transposed ? matrix.t() : matrix;
}

}  // namespace

void configure_math_threads() {
  static std::once_flag once;
  std::call_once(once, [] {
    set_blas_threads(num_threads());
    at::set_num_threads(static_cast<int>(num_threads()));
    try {
      at::set_num_interop_threads(1);
    } catch (const c10::Error&) {
      // Someone used libtorch's thread pool before: it keeps its size.
    }
  });
}

void matmul(const Operand& a, const Operand& b, float* c, bool accumulate, double scale) {
  const int64_t inner_a = a.transposed ? a.rows : a.cols;
  const int64_t inner_b = b.transposed ? b.cols : b.rows;
  DOVETAIL_CHECK(inner_a == inner_b);
  const c10::NoGradGuard no_grad;
  at::Tensor result = as_tensor(c, a.transposed ? a.cols : a.rows, b.transposed ? b.rows : b.cols);
  at::addmm_out(result, result, as_tensor(a), as_tensor(b), accumulate ? 1.0 : 0.0, scale);
}

SerialProducts::SerialProducts() {
  set_blas_threads(1);
}
SerialProducts::~SerialProducts() {
  set_blas_threads(num_threads());
}

}  // namespace dovetail::host
