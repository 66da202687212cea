// The CPU side of the linear kernels against their contracts in double precision. (CUDA: linear_cuda_test.cpp)
#include "kernels/linear_gradient/linear_gradient.h"

#include <gtest/gtest.h>

#include "kernels/linear_diagonal/linear_diagonal.h"
#include "kernels/linear_hessian/linear_hessian.h"
#include "kernels/linear_margins/linear_margins.h"
#include "models/linear/sample_store.h"
#include "tests/support/linear_reference.h"
#include "tests/support/random_ratings.h"
#include "tests/support/random_samples.h"

namespace gradmill {
namespace {
using testing::Doubles;
using testing::LinearReference;
using testing::random_samples;
using testing::random_values;
using testing::SamplesShape;

constexpr Loss kLosses[] = {{LossKind::squared, 0},  {LossKind::logistic, 0},
                            {LossKind::hinge, 0},    {LossKind::squared_hinge, 0},
                            {LossKind::huber, 0.7f}, {LossKind::quantile, 0.3f},
                            {LossKind::poisson, 0},  {LossKind::softmax, 0}};

TEST(Losses, SlopesAndCurvaturesAreDerivatives) {
  for (const Loss& loss : kLosses) {
    if (loss.kind == LossKind::softmax) continue;
    for (const float y : {0.0f, 1.0f, 2.5f}) {
      for (const float m : {-3.1f, -0.45f, 0.33f, 0.91f, 2.2f}) {
        const double h = 1e-4;
        const auto at = testing::point_loss_d(loss, m, y);
        const auto up = testing::point_loss_d(loss, m + h, y),
                   down = testing::point_loss_d(loss, m - h, y);
        EXPECT_NEAR((up.value - down.value) / (2 * h), at.slope, 1e-6);
        EXPECT_NEAR((up.slope - down.slope) / (2 * h), at.curvature, 1e-6);
        const PointLoss single = point_loss(loss, m, y);
        EXPECT_NEAR(single.value, at.value, 2e-6 * (1 + std::abs(at.value)));
        EXPECT_NEAR(single.slope, at.slope, 2e-6 * (1 + std::abs(at.slope)));
        EXPECT_NEAR(single.curvature, at.curvature, 2e-6 * (1 + std::abs(at.curvature)));
      }
    }
  }
}

TEST(Losses, LogisticIsAccurateFarFromZero) {
  for (const float m : {-88.0f, -20.0f, 20.0f, 60.0f}) {
    const PointLoss p = point_loss({LossKind::logistic, 0}, m, 1);
    const double want = std::log1p(std::exp(-static_cast<double>(m)));
    EXPECT_NEAR(p.value, want, 1e-6 * want + 1e-30) << m;
  }
}

struct Outcome {
  double loss = 0;
  std::vector<double> gradient, product, diagonal;
  std::vector<float> margins, slopes, curvatures;
};

Outcome run(const Context& ctx, const Samples& samples, const Loss& loss, std::int64_t outputs,
            const std::vector<float>& coefficients, const std::vector<float>& intercepts,
            const std::vector<float>& direction) {
  SampleStore store(ctx, ctx, samples, {});
  const auto piece = store.piece(0);
  const std::int64_t rows = samples.rows(), n = samples.num_features;
  Outcome r;
  const auto size = static_cast<std::size_t>(outputs * n + outputs);
  r.gradient.resize(size);
  r.product.resize(size);
  r.diagonal.resize(size);
  const auto cells = static_cast<std::size_t>(std::max<std::int64_t>(rows, 1) * outputs);
  r.margins.resize(cells);
  r.slopes.resize(cells);
  r.curvatures.resize(cells);
  std::vector<float> scratch(cells);
  const auto rows_of = [&](std::vector<float>& v) {
    return MatrixView<float>{v.data(), rows, outputs, outputs, {}};
  };
  const auto vectors = [&](const std::vector<float>& v) {
    return MatrixView<const float>{v.data(), outputs, n, n, {}};
  };
  const auto sums = [&](std::vector<double>& v) {
    return MatrixView<double>{v.data(), outputs, n, n, {}};
  };
  const auto tail = [&](std::vector<double>& v) {
    return VectorView<double>{v.data() + outputs * n, outputs, {}};
  };
  const VectorView<const float> b{intercepts.data(), outputs, {}};
  linear_margins(ctx, {piece.matrix, vectors(coefficients), b, rows_of(r.margins)});
  linear_gradient(ctx, {piece.matrix,
                        piece.labels,
                        piece.weights,
                        loss,
                        vectors(coefficients),
                        b,
                        {&r.loss, 1, {}},
                        sums(r.gradient),
                        tail(r.gradient),
                        rows_of(r.slopes),
                        rows_of(r.curvatures)});
  linear_hessian(ctx, {piece.matrix, piece.weights, loss, rows_of(r.curvatures), vectors(direction),
                       b, sums(r.product), tail(r.product), rows_of(scratch)});
  linear_diagonal(ctx, {piece.matrix, piece.weights, loss, rows_of(r.curvatures), sums(r.diagonal),
                        tail(r.diagonal)});
  return r;
}

template <class A, class B>
void expect_near(const A& got, const B& want, double tolerance, const char* what) {
  ASSERT_GE(got.size(), want.size());
  double size = 1;
  for (const double x : want) size = std::max(size, std::abs(x));
  for (std::size_t i = 0; i < want.size(); ++i)
    ASSERT_NEAR(got[i], want[i], tolerance * size) << what << " " << i;
}

void check(const Context& ctx, const SamplesShape& shape, const Loss& loss, std::int64_t outputs) {
  Samples samples = random_samples(shape, 11);
  for (float& v : samples.values) v *= 0.3f;
  const std::int64_t n = shape.features;
  const auto scaled = [&](std::int64_t count, unsigned seed) {
    auto v = random_values(std::max<std::int64_t>(count, 1), seed);
    for (float& x : v) x *= 0.3f;
    return v;
  };
  const auto w = scaled(outputs * n, 1), b = scaled(outputs, 2), d = scaled(outputs * n, 3);
  const Outcome got = run(ctx, samples, loss, outputs, w, b, d);
  const LinearReference reference(samples, outputs);
  const Doubles m = reference.margins(w, b);
  const auto losses = reference.losses(loss, m);
  double total = 0;
  for (const double v : losses.rows) total += v;
  // Single precision, sums of at most some thousand terms.
  expect_near(got.margins, m, 1e-5, "margin");
  EXPECT_NEAR(got.loss, total, 1e-5 * (1 + std::abs(total)));
  const bool kinked = loss.kind == LossKind::hinge || loss.kind == LossKind::quantile ||
                      loss.kind == LossKind::squared_hinge || loss.kind == LossKind::huber;
  if (!kinked) expect_near(got.slopes, losses.slopes, 1e-5, "slope");
  const Doubles slopes(got.slopes.begin(),
                       got.slopes.begin() + static_cast<std::ptrdiff_t>(losses.slopes.size()));
  const Doubles curvatures(
      got.curvatures.begin(),
      got.curvatures.begin() + static_cast<std::ptrdiff_t>(losses.slopes.size()));
  expect_near(got.gradient, reference.products(slopes, false), 1e-5, "gradient");
  const Doubles u = reference.margins(d, b);
  expect_near(got.product, reference.products(reference.curved(loss, curvatures, &u), false), 1e-5,
              "Hessian product");
  expect_near(got.diagonal, reference.products(reference.curved(loss, curvatures, nullptr), true),
              1e-5, "diagonal");
}

TEST(LinearGradient, AgreesWithTheReferenceForEverySizeAndLoss) {
  const Context ctx = Context::cpu(2);
  for (const std::int64_t rows : {0, 1, 31, 32, 33, 257, 10'000}) {
    for (const Loss& loss : kLosses) {
      for (const std::int64_t outputs : {1, 2, 7, 33}) {
        if ((loss.kind == LossKind::softmax) != (outputs > 1) && outputs != 7) continue;
        if (loss.kind == LossKind::softmax && outputs == 1) continue;
        if (rows == 10'000 && (outputs > 7 || loss.kind == LossKind::poisson)) continue;
        SCOPED_TRACE(::testing::Message() << rows << " rows, loss " << static_cast<int>(loss.kind)
                                          << ", outputs " << outputs);
        const int classes = outputs > 1 ? static_cast<int>(outputs) : 2;
        check(ctx, {rows, 90, {3, 0, 40, 7, 1}, true, rows % 2 == 1, classes, 3}, loss, outputs);
        check(ctx, {rows, 60, {5, 2}, false, false, classes, 2}, loss, outputs);  // all 1
        check(ctx, {rows, 21, {21}, true, true, classes, 1}, loss, outputs);      // dense
      }
    }
  }
}

TEST(LinearGradient, BitsDoNotDependOnTheNumberOfThreads) {
  for (const std::int64_t outputs : {1, 5}) {
    for (const std::int64_t length : {20, 300}) {
      const Samples samples =
          random_samples({9000, 300, {length}, true, true, static_cast<int>(outputs) + 1, 2}, 5);
      const auto w = random_values(outputs * 300, 1), b = random_values(outputs, 2);
      const Loss loss{outputs > 1 ? LossKind::softmax : LossKind::logistic, 0};
      Samples fitting = samples;
      for (float& y : fitting.labels)
        y = std::min(y, static_cast<float>(std::max<std::int64_t>(outputs - 1, 1)));
      const Context one = Context::cpu(1), two = Context::cpu(2), three = Context::cpu(3);
      const Outcome want = run(one, fitting, loss, outputs, w, b, w);
      for (const Context* ctx : {&two, &three}) {
        const Outcome got = run(*ctx, fitting, loss, outputs, w, b, w);
        EXPECT_EQ(got.loss, want.loss);
        EXPECT_EQ(got.gradient, want.gradient);
        EXPECT_EQ(got.product, want.product);
        EXPECT_EQ(got.diagonal, want.diagonal);
        EXPECT_EQ(got.margins, want.margins);
      }
    }
  }
}

}  // namespace
}  // namespace gradmill
