#include <gtest/gtest.h>

#include "kernels/linear_diagonal/linear_diagonal.h"
#include "kernels/linear_gradient/linear_gradient.h"
#include "kernels/linear_hessian/linear_hessian.h"
#include "kernels/linear_margins/linear_margins.h"
#include "models/linear/sample_store.h"
#include "runtime/buffer.h"
#include "tests/support/devices.h"
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

/// Single precision sums of `terms` numbers: an error of some units in the last place of the largest sum.
template <class T>
void expect_near(const std::vector<T>& got, const Doubles& want, const char* what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  double scale = 1;
  for (const double v : want) scale = std::max(scale, std::abs(v));
  for (std::size_t i = 0; i < want.size(); ++i)
    ASSERT_NEAR(got[i], want[i], 2e-5 * scale) << what << "[" << i << "] of " << want.size();
}

struct Result {
  std::vector<float> margins, slopes, curvatures;
  std::vector<double> loss, gradient, intercept_gradient, product, intercept_product, diagonal,
      intercept_diagonal;
  bool operator==(const Result&) const = default;
};

struct Problem {
  Samples samples;
  Loss loss;
  std::int64_t outputs;
  std::vector<float> coefficients, intercepts, direction, intercept_direction;

  Problem(const SamplesShape& shape, Loss loss, std::int64_t outputs)
      : samples(random_samples(shape, 1)),
        loss(loss),
        outputs(outputs),
        coefficients(random_values(outputs * shape.features, 2, 0.3f)),
        intercepts(random_values(outputs, 3)),
        direction(random_values(outputs * shape.features, 4)),
        intercept_direction(random_values(outputs, 5)) {
    if (loss.kind == LossKind::poisson) {
      for (float& v : samples.labels) v = std::abs(v);
      for (float& v : coefficients) v *= 0.1f;
    }
  }
};

Result run(const Context& ctx, const Problem& p, std::int64_t padding = 0) {
  const Context cpu = Context::cpu(1);
  SampleStore store(ctx, cpu, p.samples, {});
  const SampleStore::Piece piece = store.piece(0);
  const std::int64_t n = store.num_features(), rows = store.rows(), outputs = p.outputs;
  const auto w = Buffer<float>::from_host(ctx, p.coefficients),
             b = Buffer<float>::from_host(ctx, p.intercepts),
             d = Buffer<float>::from_host(ctx, p.direction),
             db = Buffer<float>::from_host(ctx, p.intercept_direction);
  const std::int64_t stride = outputs + padding;
  Buffer<float> margins(ctx, rows * outputs), slopes(ctx, rows * stride),
      curvatures(ctx, rows * stride), scratch(ctx, rows * stride);
  Buffer<double> loss(ctx, 1), gradient(ctx, outputs * n), intercept_gradient(ctx, outputs),
      product(ctx, outputs * n), intercept_product(ctx, outputs), diagonal(ctx, outputs * n),
      intercept_diagonal(ctx, outputs);
  slopes.zero();
  curvatures.zero();
  linear_margins(ctx, {.matrix = piece.matrix,
                       .coefficients = w.matrix(outputs, n, n),
                       .intercepts = b.view(),
                       .margins = margins.matrix(rows, outputs, outputs)});
  linear_gradient(ctx, {.matrix = piece.matrix,
                        .labels = piece.labels,
                        .weights = piece.weights,
                        .loss_kind = p.loss,
                        .coefficients = w.matrix(outputs, n, n),
                        .intercepts = b.view(),
                        .loss = loss.view(),
                        .gradient = gradient.matrix(outputs, n, n),
                        .intercept_gradient = intercept_gradient.view(),
                        .slopes = slopes.matrix(rows, outputs, stride),
                        .curvatures = curvatures.matrix(rows, outputs, stride)});
  linear_hessian(ctx, {.matrix = piece.matrix,
                       .weights = piece.weights,
                       .loss_kind = p.loss,
                       .curvatures = curvatures.matrix(rows, outputs, stride),
                       .direction = d.matrix(outputs, n, n),
                       .intercept_direction = db.view(),
                       .product = product.matrix(outputs, n, n),
                       .intercept_product = intercept_product.view(),
                       .scratch = scratch.matrix(rows, outputs, stride)});
  linear_diagonal(ctx, {.matrix = piece.matrix,
                        .weights = piece.weights,
                        .loss_kind = p.loss,
                        .curvatures = curvatures.matrix(rows, outputs, stride),
                        .diagonal = diagonal.matrix(outputs, n, n),
                        .intercept_diagonal = intercept_diagonal.view()});
  const auto packed = [&](const Buffer<float>& from) {
    const std::vector<float> all = from.to_host();
    std::vector<float> out;
    for (std::int64_t i = 0; i < rows * outputs; ++i)
      out.push_back(all[static_cast<std::size_t>(i / outputs * stride + i % outputs)]);
    return out;
  };
  return {margins.to_host(),  packed(slopes),
          packed(curvatures), loss.to_host(),
          gradient.to_host(), intercept_gradient.to_host(),
          product.to_host(),  intercept_product.to_host(),
          diagonal.to_host(), intercept_diagonal.to_host()};
}

void expect_right(const Problem& p, const Result& got) {
  const LinearReference reference(p.samples, p.outputs);
  const Doubles margins = reference.margins(p.coefficients, p.intercepts);
  expect_near(got.margins, margins, "margins");
  const LinearReference::Losses losses = reference.losses(p.loss, margins);
  double loss = 0, magnitude = 1;
  for (const double v : losses.rows) loss += v, magnitude += std::abs(v);
  EXPECT_NEAR(got.loss[0], loss, 1e-5 * magnitude);
  // A kink's side may be decided by the last bit of a margin: then the derivatives differ.
  expect_near(got.slopes, losses.slopes, "slopes");
  expect_near(got.curvatures, losses.curvatures, "curvatures");
  const auto expect_products = [&](std::vector<double> product,
                                   const std::vector<double>& intercepts, const Doubles& want,
                                   const char* what) {
    product.insert(product.end(), intercepts.begin(), intercepts.end());
    expect_near(product, want, what);
  };
  expect_products(got.gradient, got.intercept_gradient, reference.products(losses.slopes, false),
                  "gradient");
  const Doubles u = reference.margins(p.direction, p.intercept_direction);
  expect_products(got.product, got.intercept_product,
                  reference.products(reference.curved(p.loss, losses.curvatures, &u), false),
                  "product");
  expect_products(got.diagonal, got.intercept_diagonal,
                  reference.products(reference.curved(p.loss, losses.curvatures, nullptr), true),
                  "diagonal");
}

void expect_right(const Context& gpu, const SamplesShape& shape, Loss loss, std::int64_t outputs,
                  std::int64_t padding = 0) {
  SCOPED_TRACE(std::to_string(shape.rows) + " x " + std::to_string(shape.features) + ", " +
               std::to_string(outputs) + " outputs, loss " +
               std::to_string(static_cast<int>(loss.kind)));
  const Problem problem(shape, loss, outputs);
  expect_right(problem, run(gpu, problem, padding));
}

std::vector<SamplesShape> sparse_shapes(int classes) {
  return {{0, 5, {1}, true, false, classes},
          {1, 1, {0}, true, false, classes},
          {31, 70, {0, 3, 1, 0, 20}, true, true, classes},
          {32, 33, {2, 9}, false, false, classes},
          {33, 9000, {5, 0, 4}, true, true, classes},
          {257, 3000, {1, 0, 40, 900, 2000}, true, true, classes, 3},
          {10'000, 500, {0, 1, 2, 0, 30, 3}, false, true, classes, 5}};
}
std::vector<SamplesShape> dense_shapes(int classes) {
  return {{1, 1, {1}, true, false, classes},          {31, 3, {3}, true, true, classes},
          {33, 32, {32, 20}, true, false, classes},   {257, 33, {33}, true, true, classes},
          {10'000, 13, {13, 6}, true, true, classes}, {300, 300, {300}, true, false, classes},
          {40, 2500, {2500}, true, true, classes}};
}

TEST(LinearKernels, CudaMatchesDoublePrecisionOnSparseRows) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const SamplesShape& shape : sparse_shapes(2))
    expect_right(*gpus[0], shape, {LossKind::logistic}, 1, shape.rows % 2);
}

TEST(LinearKernels, CudaMatchesDoublePrecisionOnDenseRows) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const SamplesShape& shape : dense_shapes(2))
    expect_right(*gpus[0], shape, {LossKind::logistic}, 1, shape.rows % 2);
}

TEST(LinearKernels, CudaHasEveryLoss) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const Loss loss :
       {Loss{LossKind::squared}, Loss{LossKind::hinge}, Loss{LossKind::squared_hinge},
        Loss{LossKind::huber, 0.7f}, Loss{LossKind::quantile, 0.3f}, Loss{LossKind::poisson}}) {
    const bool classes = loss.kind == LossKind::hinge || loss.kind == LossKind::squared_hinge;
    expect_right(*gpus[0], {257, 300, {0, 9, 4}, true, true, classes ? 2 : 0}, loss, 1);
    expect_right(*gpus[0], {257, 20, {20, 9}, true, true, classes ? 2 : 0}, loss, 1);
  }
}

TEST(LinearKernels, CudaHasSeveralOutputs) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const int outputs : {3, 10, 33, 100, 131}) {
    std::vector<SamplesShape> shapes = {{33, 90, {5, 0, 40}, true, true, outputs},
                                        {257, 700, {0, 1, 300}, false, false, outputs, 3},
                                        {33, 20, {20, 9}, true, true, outputs}};
    if (outputs == 3) shapes.push_back({9000, 33, {33, 5}, true, true, outputs});
    if (outputs == 3)
      for (const SamplesShape& shape : sparse_shapes(3)) shapes.push_back(shape);
    for (const SamplesShape& shape : shapes)
      for (const LossKind kind : {LossKind::softmax, LossKind::logistic})
        expect_right(*gpus[0], shape, {kind}, outputs, outputs % 2);
  }
}

TEST(LinearKernels, CudaRepeatsItsBits) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const std::int64_t outputs : {1, 4}) {
    const Problem problem({3000, 3000, {1, 0, 40, 300}, true, true, 2, 3}, {LossKind::logistic},
                          outputs);
    EXPECT_EQ(run(*gpus[0], problem), run(*gpus[0], problem));
  }
}

}  // namespace
}  // namespace gradmill
