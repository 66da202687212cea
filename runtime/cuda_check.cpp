#include "runtime/cuda_check.h"

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include "runtime/expect.h"

namespace gradmill {
namespace {
std::string_view base_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }
}  // namespace

void throw_cuda_error(int status, std::string_view doing, const std::source_location& at) {
  const auto error = static_cast<cudaError_t>(status);
  (void)cudaGetLastError();  // clear the error if it is not sticky
  const bool memory = error == cudaErrorMemoryAllocation;
  fail(memory ? ErrorKind::out_of_memory : ErrorKind::device, "{}:{}: CUDA could not {}: {} ({})",
       base_name(at.file_name()), at.line(), doing, cudaGetErrorString(error),
       cudaGetErrorName(error));
}

void throw_cublas_error(int status, std::string_view doing, const std::source_location& at) {
  const auto error = static_cast<cublasStatus_t>(status);
  fail(error == CUBLAS_STATUS_ALLOC_FAILED ? ErrorKind::out_of_memory : ErrorKind::device,
       "{}:{}: cuBLAS could not {}: {}", base_name(at.file_name()), at.line(), doing,
       cublasGetStatusString(error));
}

}  // namespace gradmill
