// Matrix products of dense layers, with what comes before and after them in the same pass.
#pragma once

#include "kernels/activations.h"
#include "runtime/check.h"

namespace gradmill {

/// How operands are rounded before they are multiplied; sums are of single precision. tf32: to 10 bits of
/// mantissa, bf16: to 7, fp16: to 10 and its range, nearest even.
enum class GemmPrecision : std::uint8_t { fp32, tf32, bf16, fp16 };

/// c = finish(op(a) op(b) [+ c]),   op(x) = x or x transposed:
///   none                 the product
///   bias_activation      activate(product + bias[j]); `kept`, if it has data, gets product + bias
///   activation_gradient  product * activation_slope(kept(i, j))
/// and a_sums[i] = sum over p of op(a)(i, p), if it has data: a bias gradient when a is dZ transposed.
/// A layer with x [B, K], weights [N, K], and dz [B, N]:
///   forward   y = gemm(x, weights transposed), bias_activation
///   backward  dx = gemm(dz, weights), activation_gradient of the layer before
///             dweights = gemm(dz transposed, x), a_sums = dbias
/// Shapes   op(a) [M, P]; op(b) [P, N]; c, kept [M, N]; bias [N]; a_sums [M]. M, N, P may be 0.
///          c overlaps no input. transpose_a with transpose_b is not used and refused.
///          mask [M, gemm_mask_bytes(N)] or no data: on CUDA bias_activation with relu leaves there what was
///          positive, a bit each, and activation_gradient with relu reads it in place of kept.
/// On CUDA, cuBLASLt's epilogues: bias; relu; relu's gradient (with a mask); a_sums (unless accumulated). What has
/// none, or no algorithm, follows as a kernel: another activation, its gradient, sums that are added to.
/// precision other than fp32 is CUDA's only.
/// Bytes    4 (M P + P N + M N), and 4 M N of kept.     FLOPs  2 M N P.
/// Order    CPU: products of an element are added in order of p in pieces of kGemmDepth, whatever M and N
///          and the threads are. CUDA: as cuBLASLt's algorithm for the shape does.
struct GemmArgs {
  enum class Finish : std::uint8_t { none, bias_activation, activation_gradient };
  MatrixView<const float> a;
  MatrixView<const float> b;
  bool transpose_a = false, transpose_b = false;
  bool accumulate = false;
  Finish finish = Finish::none;
  VectorView<const float> bias;
  Activation activation = Activation::identity;
  MatrixView<float> c;
  MatrixView<float> kept;
  VectorView<float> a_sums;
  MatrixView<std::uint8_t> mask;
  GemmPrecision precision = GemmPrecision::fp32;

  std::int64_t m() const { return transpose_a ? a.cols : a.rows; }
  std::int64_t n() const { return transpose_b ? b.rows : b.cols; }
  std::int64_t depth() const { return transpose_a ? a.rows : a.cols; }

  static constexpr Tolerance tolerance{1e-3, 1e-3};
  template <class V>
  void visit(V& v) {
    v.in("a", a);
    v.in("b", b);
    v.in("bias", bias);
    v.out("c", c);
    v.out("kept", kept);
    v.out("a_sums", a_sums);
    v.scratch("mask", mask);
  }
};

inline constexpr std::int64_t kGemmDepth = 256;
/// Of a row of a mask; 0 where masks are not used, that is on a CPU.
inline std::int64_t gemm_mask_bytes(const Context& ctx, std::int64_t cols) {
  return ctx.is_cuda() ? (cols + 127) / 128 * 16 : 0;
}

void gemm(const Context& ctx, const GemmArgs& args);
namespace cpu {
void gemm(const Context& ctx, const GemmArgs& args);
}
namespace cuda {
void gemm(const Context& ctx, const GemmArgs& args);
}

}  // namespace gradmill
