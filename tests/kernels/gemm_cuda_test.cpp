#include <fmt/format.h>
#include <gtest/gtest.h>

#include "kernels/gemm/gemm.h"
#include "tests/support/device_run.h"
#include "tests/support/devices.h"
#include "tests/support/gemm_problem.h"

namespace gradmill {
namespace {
using testing::GemmCase;
using Finish = GemmArgs::Finish;

/// The CPU's kernel, which its own test holds against double precision, is the reference.
void check(const Context& gpu, const GemmCase& c) {
  testing::GemmProblem problem(c);
  const std::string what = fmt::format("gemm {} x {} x {}, transposed {} {}, finish {}", c.m, c.n,
                                       c.depth, c.transpose_a, c.transpose_b, int(c.finish));
  testing::expect_device_matches(gpu, what, problem.args(), {1e-4, 1e-4}, gemm, [&](const auto& a) {
    gemm(Context::cpu(1), a);
    problem.expect_right();
  });
}

TEST(GemmCuda, AllSizesAndBothTranspositions) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const std::int64_t m : {0, 1, 31, 33, 257})
    for (const std::int64_t n : {1, 32, 100})
      for (const std::int64_t depth : {0, 1, 33, 300}) {
        check(*gpus[0], {m, n, depth});
        check(*gpus[0], {m, n, depth, true, false});
        check(*gpus[0], {m, n, depth, false, true, true});
      }
}

TEST(GemmCuda, EveryFinishWithEveryActivation) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const Activation activation : {Activation::identity, Activation::relu, Activation::gelu,
                                      Activation::silu, Activation::tanh})
    for (const Finish finish : {Finish::bias_activation, Finish::activation_gradient})
      check(*gpus[0], {65, 40, 70, false, true, false, finish, activation});
}

TEST(GemmCuda, MasksOfReluInPlaceOfWhatWasKept) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const Context &gpu = *gpus[0], cpu = Context::cpu(1);
  for (const std::int64_t n : {1, 40, 128, 300}) {
    const std::int64_t m = 37, depth = 50;
    testing::PaddedMatrix x(m, depth, 1), w(n, depth, 2), y(m, n, 3), dz(m, depth, 4),
        v(depth, n, 5), dx(m, n, 6);
    testing::PaddedMatrix bias(1, n, 7);
    const auto forward = [&](MatrixView<float> to) {
      GemmArgs args;
      args.a = x.view(), args.b = w.view(), args.c = to;
      args.transpose_b = true;
      args.finish = Finish::bias_activation;
      args.activation = Activation::relu;
      args.bias = {bias.values.data(), n, {}};
      return args;
    };
    const auto backward = [&] {
      GemmArgs args;
      args.a = dz.view(), args.b = v.view(), args.c = dx.view();
      args.finish = Finish::activation_gradient;
      args.activation = Activation::relu;
      return args;
    };
    const std::int64_t bytes = gemm_mask_bytes(gpu, n);
    ASSERT_EQ(bytes % 16, 0);
    ASSERT_GE(8 * bytes, n);
    Buffer<std::uint8_t> mask(gpu, m * bytes);
    GemmArgs first = forward(y.view()), second = backward();
    testing::expect_device_matches(
        gpu, "forward with a mask", first, {1e-4, 1e-4},
        [&](const Context& ctx, GemmArgs args) {
          args.mask = mask.matrix(m, bytes, bytes);
          gemm(ctx, args);
        },
        [&](const auto& a) { gemm(cpu, a); });
    testing::expect_device_matches(
        gpu, "backward by the mask", second, {1e-4, 1e-4},
        [&](const Context& ctx, GemmArgs args) {
          args.mask = mask.matrix(m, bytes, bytes);
          gemm(ctx, args);
        },
        [&](GemmArgs a) {
          a.kept = y.view();
          gemm(cpu, a);
        });
  }
}

/// Rounding operands to nearest leaves |error| <= (2 u + u^2) sum |a| |b|, u half a unit of the last of their
/// bits; sums are of single precision.
TEST(GemmCuda, RoundedOperandsStayWithinTheirBounds) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const Context& gpu = *gpus[0];
  const std::int64_t m = 33, n = 40, depth = 200;
  for (const auto& [precision, u] :
       std::vector<std::pair<GemmPrecision, double>>{{GemmPrecision::fp32, 0.0},
                                                     {GemmPrecision::tf32, std::ldexp(1, -11)},
                                                     {GemmPrecision::fp16, std::ldexp(1, -11)},
                                                     {GemmPrecision::bf16, std::ldexp(1, -8)}}) {
    testing::PaddedMatrix a(m, depth, 1), b(depth, n, 2), c(m, n, 3);
    GemmArgs args;
    args.a = a.view(), args.b = b.view(), args.c = c.view();
    args.precision = precision;
    ArgumentTwin twin(gpu);
    GemmArgs device = args;
    device.visit(twin);
    gemm(gpu, device);
    const std::vector<float> got = testing::to_host(gpu, device.c);
    double worst = 0;
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        double exact = 0, sizes = 0;
        for (std::int64_t p = 0; p < depth; ++p) {
          exact += a.at(i, p) * b.at(p, j);
          sizes += std::abs(a.at(i, p) * b.at(p, j));
        }
        const double error =
            std::abs(static_cast<double>(got[static_cast<std::size_t>(i * c.stride + j)]) - exact);
        ASSERT_LE(error, (2 * u + u * u) * sizes + 1e-6 * sizes) << static_cast<int>(precision);
        worst = std::max(worst, error / sizes);
      }
    EXPECT_GT(worst, u / 50) << static_cast<int>(precision);
  }
  testing::PaddedMatrix a(2, 2, 1), b(2, 2, 2), c(2, 2, 3);
  GemmArgs args;
  args.a = a.view(), args.b = b.view(), args.c = c.view();
  args.precision = GemmPrecision::bf16;
  EXPECT_ANY_THROW(gemm(Context::cpu(1), args));
}
}  // namespace
}  // namespace gradmill
