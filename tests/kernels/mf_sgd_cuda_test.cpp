// mf_sgd on CUDA, with and without groups, against the contract in double precision.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "kernels/mf_sgd/mf_sgd.h"
#include "tests/support/device_run.h"
#include "tests/support/devices.h"
#include "tests/support/mf_reference.h"

namespace gradmill::testing {
namespace {

struct Shape {
  std::int64_t ratings;
  std::int32_t blocks, user_rows, item_rows;
  std::int64_t k, stride;
  std::size_t group = 16;  // largest group
};

template <class T>
void overwrite(MatrixView<float> to, const std::vector<T>& from) {
  std::copy(from.begin(), from.end(), to.data);
}

void check(const Context& gpu, const Shape& s, bool groups, bool adagrad, bool weighted = false) {
  SgdProblem p =
      random_sgd_problem(s.ratings, s.blocks, s.user_rows, s.item_rows, s.k, s.stride, 5, s.group);
  if (weighted) add_weights(p);
  SgdReference want(p);
  MfSgdArgs args = p.args(groups);
  args.rates = {adagrad ? 0.1f : 0.01f, 0.04f, 0.02f, adagrad, 3.0f};
  expect_device_matches(
      gpu,
      fmt::format("mf_sgd {} ratings in {} x {} blocks, {} factors (stride {}), groups {}",
                  s.ratings, s.blocks, s.blocks, s.k, s.stride, groups),
      args, {1e-3, 1e-4},
      [&](const Context& ctx, const MfSgdArgs& a) {
        MfSgdArgs wave = a;
        for (wave.shift = 0; wave.shift < s.blocks; ++wave.shift) mf_sgd(ctx, wave);
      },
      [&](const MfSgdArgs& a) {
        for (std::int32_t shift = 0; shift < s.blocks; ++shift) want.wave(p, shift, args.rates);
        overwrite(a.users, want.users);
        overwrite(a.items, want.items);
        overwrite(a.user_state, want.user_state);
        overwrite(a.item_state, want.item_state);
        std::copy(want.loss.begin(), want.loss.end(), a.loss.data);
      },
      [&](const MfSgdArgs& a) {
        const auto host = to_host(gpu, a.users);
        for (std::int64_t r = 0; r < a.users.rows; ++r)
          for (std::int64_t f = s.k; f < s.stride; ++f) ASSERT_EQ(host[r * s.stride + f], 0);
      });
}

TEST(MfSgdCuda, EveryNumberOfFactors) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const bool groups : {false, true}) {
    for (const std::int64_t k : {1, 7, 16, 31, 32, 33, 64, 100, 128, 255, 256})
      check(*gpus[0], {500, 4, 10, 6, k, k}, groups, true);
    for (const std::int64_t k : {6, 30, 62, 100})
      check(*gpus[0], {500, 4, 10, 6, k, (k + 31) / 32 * 32}, groups, true);
  }
}

TEST(MfSgdCuda, RatingsBlocksAndRates) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const bool groups : {false, true}) {
    for (const bool adagrad : {true, false}) {
      for (const std::int64_t ratings : {0, 1, 31, 32, 33, 257})
        check(*gpus[0], {ratings, 2, 20, 9, 8, 8}, groups, adagrad);
      check(*gpus[0], {10'000, 4, 100, 60, 16, 32}, groups, adagrad);
      check(*gpus[0], {1000, 1, 300, 400, 16, 32, 50}, groups, adagrad);  // groups beyond 16
      check(*gpus[0], {300, 1, 2, 1, 16, 16}, groups, adagrad);           // one rating at a time
      for (const std::int64_t ratings : {0, 1, 33, 257, 10'000})
        check(*gpus[0], {ratings, 4, 100, 60, 16, 32}, groups, adagrad, true);
    }
  }
}

}  // namespace
}  // namespace gradmill::testing
