// Context::check: a kernel that agrees on CPU and CUDA passes; one that does not is named with
// output, position and both values.
#include <gtest/gtest.h>

#include <string>

#include "kernels/gram/gram.h"
#include "runtime/buffer.h"
#include "runtime/check.h"
#include "runtime/error.h"
#include "tests/support/devices.h"

namespace gradmill {
namespace {

struct DoubleArgs {
  VectorView<const float> in;
  MatrixView<float> out;

  static constexpr Tolerance tolerance{1e-6, 1e-6};
  template <class V>
  void visit(V& v) {
    v.in("in", in);
    v.out("out", out);
  }
};

void double_on_cpu(const Context&, const DoubleArgs& args) {
  for (std::int64_t i = 0; i < args.in.size; ++i)
    args.out(i / args.out.cols, i % args.out.cols) = 2 * args.in[i];
}

TEST(CheckCuda, AgreementPasses) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const auto ctx = Context::check(0, 2);
  EXPECT_NE(ctx.describe().find("check"), std::string::npos);
  const std::vector<float> factors{1, 2, 3, 4, 5, 6};
  std::vector<float> result(4);
  gram(ctx, {.factors = {factors.data(), 3, 2, 2, {}}, .gram = {result.data(), 2, 2, 2, {}}});
  EXPECT_EQ(result, (std::vector<float>{35, 44, 44, 56}));
}

TEST(CheckCuda, ACorruptedInputIsReportedWithBothValues) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const auto ctx = Context::check(0, 1);
  const std::vector<float> in{1, 2, 3, 4, 5, 6};
  std::vector<float> out(6);
  const DoubleArgs args{{in.data(), 6, {}}, {out.data(), 2, 3, 3, {}}};
  const auto cuda_with_error = [](const Context& gpu, const DoubleArgs& a) {
    // The device's copy of in[4] is spoiled before the kernel runs (here on the host).
    std::vector<float> host(6), result(6);
    copy_bytes(gpu, host.data(), Device{}, a.in.data, a.in.device, 6 * sizeof(float));
    gpu.synchronize();
    host[4] += 0.25f;
    double_on_cpu(gpu, {{host.data(), 6, {}}, {result.data(), 2, 3, 3, {}}});
    copy_bytes(gpu, a.out.data, a.out.device, result.data(), Device{}, 6 * sizeof(float));
  };
  try {
    run_kernel(ctx, "double", args, double_on_cpu, cuda_with_error);
    FAIL() << "the disagreement was not noticed";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::device);
    const std::string what = error.what();
    EXPECT_NE(what.find("double: out[1, 1] is 10 on cpu but 10.5 on cuda:0"), std::string::npos)
        << what;
  }
}

}  // namespace
}  // namespace gradmill
