// Operands of a matrix product and a slow, double-precision version of it.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernels/gemm/gemm.h"
#include "runtime/random.h"

namespace gradmill::testing {

/// A matrix with padding behind its rows, which must stay as it is.
struct PaddedMatrix {
  std::int64_t rows, cols, stride;
  std::vector<float> values;
  PaddedMatrix(std::int64_t rows, std::int64_t cols, std::uint32_t draw)
      : rows(rows), cols(cols), stride(cols + 3) {
    for (std::int64_t i = 0; i < rows * stride; ++i)
      values.push_back(
          random_normal(draw, RandomStream::init_users, static_cast<std::uint64_t>(i)).a);
  }
  MatrixView<float> view() { return {values.data(), rows, cols, stride, {}}; }
  double at(std::int64_t r, std::int64_t c) const {
    return values[static_cast<std::size_t>(r * stride + c)];
  }
};

struct GemmCase {
  std::int64_t m, n, depth;
  bool transpose_a = false, transpose_b = false, accumulate = false;
  GemmArgs::Finish finish = GemmArgs::Finish::none;
  Activation activation = Activation::identity;
};

class GemmProblem {
 public:
  explicit GemmProblem(const GemmCase& c)
      : case_(c),
        a_(c.transpose_a ? c.depth : c.m, c.transpose_a ? c.m : c.depth, 1),
        b_(c.transpose_b ? c.n : c.depth, c.transpose_b ? c.depth : c.n, 2),
        c_(c.m, c.n, 3),
        kept_(c.m, c.n, 4),
        bias_(1, c.n, 5),
        sums_(static_cast<std::size_t>(c.m), 7.0f),
        before_(c_),
        kept_before_(kept_) {}

  GemmArgs args() {
    GemmArgs args;
    args.a = a_.view();
    args.b = b_.view();
    args.transpose_a = case_.transpose_a;
    args.transpose_b = case_.transpose_b;
    args.accumulate = case_.accumulate;
    args.finish = case_.finish;
    args.activation = case_.activation;
    if (case_.finish == GemmArgs::Finish::bias_activation)
      args.bias = {bias_.values.data(), case_.n, {}};
    args.c = c_.view();
    args.kept = kept_.view();
    args.a_sums = {sums_.data(), case_.m, {}};
    return args;
  }

  std::vector<float> result() const { return c_.values; }

  void expect_right() const {
    for (std::int64_t i = 0; i < case_.m; ++i) {
      double sum = case_.accumulate ? 7.0 : 0.0;
      for (std::int64_t p = 0; p < case_.depth; ++p) sum += left(i, p);
      ASSERT_NEAR(sums_[static_cast<std::size_t>(i)], sum, tolerance()) << "sum of row " << i;
      for (std::int64_t j = 0; j < case_.n; ++j) expect_element(i, j);
      for (std::int64_t j = case_.n; j < c_.stride; ++j)
        ASSERT_EQ(c_.at(i, j), before_.at(i, j)) << "padding of row " << i;
    }
  }

 private:
  double left(std::int64_t i, std::int64_t p) const {
    return case_.transpose_a ? a_.at(p, i) : a_.at(i, p);
  }
  double tolerance() const { return 1e-5 + 4e-6 * std::sqrt(static_cast<double>(case_.depth)); }
  void expect_element(std::int64_t i, std::int64_t j) const {
    double x = case_.accumulate ? before_.at(i, j) : 0.0;
    for (std::int64_t p = 0; p < case_.depth; ++p)
      x += left(i, p) * (case_.transpose_b ? b_.at(j, p) : b_.at(p, j));
    double kept = kept_before_.at(i, j);
    if (case_.finish == GemmArgs::Finish::bias_activation) {
      kept = x += bias_.at(0, j);
      x = activate(case_.activation, static_cast<float>(x));
    } else if (case_.finish == GemmArgs::Finish::activation_gradient) {
      x *= activation_slope(case_.activation, static_cast<float>(kept));
    }
    ASSERT_NEAR(c_.at(i, j), x, tolerance())
        << i << ", " << j << " of " << case_.m << " x " << case_.n << ", depth " << case_.depth;
    ASSERT_NEAR(kept_.at(i, j), kept, tolerance()) << "kept";
  }

  GemmCase case_;
  PaddedMatrix a_, b_, c_, kept_, bias_;
  std::vector<float> sums_;
  PaddedMatrix before_, kept_before_;
};

}  // namespace gradmill::testing
