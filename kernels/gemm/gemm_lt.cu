#include "kernels/gemm/gemm_lt.h"

#include <cublasLt.h>

#include <algorithm>

#include "runtime/cuda_check.h"
#include "runtime/handle.h"
#include "runtime/workspace.h"

namespace gradmill::cuda {
namespace {
using Layout = Handle<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Description = Handle<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Preference = Handle<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;
constexpr std::size_t kMostWorkspace = std::size_t{32} << 20;

/// A row-major matrix is the transposed one in the library's column order.
Layout layout_of(MatrixView<const float> m) {
  cublasLtMatrixLayout_t layout = nullptr;
  cublas_check(cublasLtMatrixLayoutCreate(&layout, CUDA_R_32F, static_cast<std::uint64_t>(m.cols),
                                          static_cast<std::uint64_t>(m.rows), m.stride),
               "describe a matrix");
  return Layout(layout);
}

template <class T>
void set(const Description& d, cublasLtMatmulDescAttributes_t attribute, const T& value) {
  cublas_check(cublasLtMatmulDescSetAttribute(d.get(), attribute, &value, sizeof value),
               "describe a product");
}

cublasComputeType_t compute_type(GemmPrecision precision) {
  switch (precision) {
    case GemmPrecision::fp32:
      return CUBLAS_COMPUTE_32F;
    case GemmPrecision::tf32:
      return CUBLAS_COMPUTE_32F_FAST_TF32;
    case GemmPrecision::bf16:
      return CUBLAS_COMPUTE_32F_FAST_16BF;
    case GemmPrecision::fp16:
      return CUBLAS_COMPUTE_32F_FAST_16F;
  }
  return CUBLAS_COMPUTE_32F;
}

cublasLtEpilogue_t name_of(Epilogue epilogue) {
  switch (epilogue) {
    case Epilogue::none:
      return CUBLASLT_EPILOGUE_DEFAULT;
    case Epilogue::bias:
      return CUBLASLT_EPILOGUE_BIAS;
    case Epilogue::relu_bias:
      return CUBLASLT_EPILOGUE_RELU_BIAS;
    case Epilogue::relu_mask_bias:
      return CUBLASLT_EPILOGUE_RELU_AUX_BIAS;
    case Epilogue::relu_gradient:
      return CUBLASLT_EPILOGUE_DRELU;
    case Epilogue::sums:
      return CUBLASLT_EPILOGUE_BGRADB;  // the library's second operand is our a
  }
  return CUBLASLT_EPILOGUE_DEFAULT;
}

Description describe(const GemmArgs& args, Epilogue epilogue) {
  cublasLtMatmulDesc_t raw = nullptr;
  cublas_check(cublasLtMatmulDescCreate(&raw, compute_type(args.precision), CUDA_R_32F),
               "describe a product");
  Description d(raw);
  set(d, CUBLASLT_MATMUL_DESC_TRANSA, args.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(d, CUBLASLT_MATMUL_DESC_TRANSB, args.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(d, CUBLASLT_MATMUL_DESC_EPILOGUE, name_of(epilogue));
  if (epilogue == Epilogue::sums)
    set(d, CUBLASLT_MATMUL_DESC_BIAS_POINTER, args.a_sums.data);
  else if (epilogue != Epilogue::none && epilogue != Epilogue::relu_gradient)
    set(d, CUBLASLT_MATMUL_DESC_BIAS_POINTER, args.bias.data);
  if (epilogue == Epilogue::relu_mask_bias || epilogue == Epilogue::relu_gradient) {
    set(d, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, args.mask.data);
    set(d, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, args.mask.stride * 8);
  }
  return d;
}

/// The greatest power of two, at most 256, that divides an address.
std::uint32_t alignment_of(const void* data) {
  const auto address = reinterpret_cast<std::uintptr_t>(data) | 256;
  return static_cast<std::uint32_t>(address & (~address + 1));
}

Preference preference(const GemmArgs& args, MatrixView<float> to) {
  cublasLtMatmulPreference_t raw = nullptr;
  cublas_check(cublasLtMatmulPreferenceCreate(&raw), "choose an algorithm");
  Preference wanted(raw);
  const auto say = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    cublas_check(cublasLtMatmulPreferenceSetAttribute(raw, attribute, &value, sizeof value),
                 "choose an algorithm");
  };
  say(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kMostWorkspace);
  say(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(args.b.data));
  say(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(args.a.data));
  say(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment_of(args.c.data));
  say(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(to.data));
  return wanted;
}
}  // namespace

bool multiply_with(const Context& ctx, const GemmArgs& args, Epilogue epilogue,
                   MatrixView<float> to) {
  // A cuBLAS handle is one of cuBLASLt, too (cuBLAS manual, cublasLtHandle_t).
  auto* handle = reinterpret_cast<cublasLtHandle_t>(ctx.blas());
  const Layout a = layout_of(args.b), b = layout_of(args.a), c = layout_of(args.c),
               d = layout_of(to);
  const Description description = describe(args, epilogue);
  const Preference wanted = preference(args, to);
  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(handle, description.get(), a.get(), b.get(), c.get(), d.get(),
                                     wanted.get(), 1, &best, &found);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || (status == CUBLAS_STATUS_SUCCESS && found == 0))
    return false;
  cublas_check(status, "choose an algorithm");
  const float one = 1, beta = args.accumulate ? 1.0f : 0.0f;
  Workspace::Scope scratch(ctx);
  void* room = best.workspaceSize
                   ? scratch.take<std::byte>(static_cast<std::int64_t>(best.workspaceSize)).data
                   : nullptr;
  cublas_check(cublasLtMatmul(handle, description.get(), &one, args.b.data, a.get(), args.a.data,
                              b.get(), &beta, args.c.data, c.get(), to.data, d.get(), &best.algo,
                              room, best.workspaceSize, ctx.stream()),
               "gemm");
  return true;
}

}  // namespace gradmill::cuda
