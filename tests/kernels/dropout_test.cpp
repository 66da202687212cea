#include "kernels/dropout/dropout.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/gemm_problem.h"

namespace gradmill {
namespace {
using testing::PaddedMatrix;

struct Problem {
  Problem(std::int64_t rows, std::int64_t units)
      : in(rows, units, 1), beside(rows, units, 2), out(rows, units, 3) {
    for (std::int64_t r = 0; r < rows; ++r)
      positions.push_back(static_cast<std::int32_t>(1000 * r + 5));
  }
  DropoutMask mask(float rate) {
    return {rate, 42, 9, 3, {positions.data(), static_cast<std::int64_t>(positions.size()), {}},
            {}};
  }
  /// 0 or 1 / (1 - rate), from the contract.
  static double factor(const DropoutMask& m, std::int64_t r, std::int64_t unit) {
    const Philox4 bits =
        random_bits(m.seed, RandomStream::dropout,
                    (std::uint64_t{m.step} << 32) + static_cast<std::uint64_t>(m.positions[r]),
                    m.layer << 24 | static_cast<std::uint32_t>(unit / 4));
    return to_unit(bits.x[unit % 4]) >= m.rate ? 1 / (1 - static_cast<double>(m.rate)) : 0;
  }
  PaddedMatrix in, beside, out;
  std::vector<std::int32_t> positions;
};

TEST(DropoutTest, DropsScalesAndAddsWhatSkips) {
  for (const std::int64_t rows : {0, 1, 31, 257})
    for (const std::int64_t units : {1, 3, 4, 31, 32, 33, 64, 130})
      for (const float rate : {0.0f, 0.25f, 0.9f})
        for (const bool skips : {false, true}) {
          Problem p(rows, units);
          DropoutArgs args{p.mask(rate), p.in.view(), {}, p.out.view()};
          if (skips) args.skip = p.beside.view();
          const PaddedMatrix before = p.out;
          dropout(Context::cpu(2), args);
          for (std::int64_t r = 0; r < rows; ++r) {
            for (std::int64_t u = 0; u < units; ++u)
              ASSERT_NEAR(p.out.at(r, u),
                          Problem::factor(args.mask, r, u) * p.in.at(r, u) +
                              (skips ? p.beside.at(r, u) : 0.0),
                          1e-5);
            for (std::int64_t u = units; u < p.out.stride; ++u)
              ASSERT_EQ(p.out.at(r, u), before.at(r, u));
          }
        }
}

TEST(DropoutTest, TheWayBackHasTheSameMaskAndTheSlope) {
  for (const Activation activation : {Activation::identity, Activation::relu, Activation::gelu,
                                      Activation::silu, Activation::tanh})
    for (const float rate : {0.0f, 0.5f}) {
      Problem p(33, 70);
      DropoutGradientArgs args{p.mask(rate), p.in.view(), activation, p.beside.view(),
                               p.out.view()};
      dropout_gradient(Context::cpu(2), args);
      for (std::int64_t r = 0; r < 33; ++r)
        for (std::int64_t u = 0; u < 70; ++u) {
          const double slope = static_cast<double>(
              activation_slope(activation, static_cast<float>(p.beside.at(r, u))));
          ASSERT_NEAR(p.out.at(r, u), Problem::factor(args.mask, r, u) * p.in.at(r, u) * slope,
                      1e-5);
        }
    }
}

TEST(DropoutTest, KeepsTheShareItShouldWhateverTheThreadsAndInPlace) {
  Problem one(500, 200), three(500, 200);
  std::fill(one.in.values.begin(), one.in.values.end(), 1.0f);
  three.in = one.in;
  dropout(Context::cpu(1), {one.mask(0.3f), one.in.view(), {}, one.in.view()});
  dropout(Context::cpu(3), {three.mask(0.3f), three.in.view(), {}, three.in.view()});
  EXPECT_EQ(one.in.values, three.in.values);
  std::int64_t kept = 0;
  for (std::int64_t r = 0; r < 500; ++r)
    for (std::int64_t u = 0; u < 200; ++u) kept += one.in.at(r, u) != 0;
  EXPECT_NEAR(static_cast<double>(kept) / 100000, 0.7, 0.006);  // four standard deviations
}

TEST(DropoutTest, ShapesThatDisagreeAreRefused) {
  Problem p(4, 8);
  DropoutArgs args{p.mask(0.5f), p.in.view(), {}, p.out.view()};
  args.mask.positions.size = 3;
  EXPECT_ANY_THROW(dropout(Context::cpu(1), args));
  args = {p.mask(1.0f), p.in.view(), {}, p.out.view()};
  EXPECT_ANY_THROW(dropout(Context::cpu(1), args));
}
}  // namespace
}  // namespace gradmill
