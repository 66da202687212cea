#include <fmt/format.h>
#include <gtest/gtest.h>

#include "kernels/gram/gram.h"
#include "tests/support/als_reference.h"
#include "tests/support/device_run.h"
#include "tests/support/devices.h"
#include "tests/support/random_ratings.h"

namespace gradmill {
namespace {

void check(const Context& gpu, std::int64_t rows, std::int64_t k, std::int64_t stride) {
  const auto factors = testing::random_values(rows * stride, 1);
  std::vector<float> result(static_cast<std::size_t>(k * k));
  const GramArgs args{.factors = {factors.data(), rows, k, stride, {}},
                      .scale = 0.5f,
                      .gram = {result.data(), k, k, k, {}}};
  testing::expect_device_matches(gpu, fmt::format("gram {} x {} (stride {})", rows, k, stride),
                                 args, {1e-4, 1e-3}, gram, [&](const GramArgs& a) {
                                   const auto expected = testing::reference_gram(a.factors, 0.5);
                                   for (std::size_t i = 0; i < expected.size(); ++i)
                                     result[i] = static_cast<float>(expected[i]);
                                 });
}

TEST(GramCuda, EverySize) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const std::int64_t rows : {0, 1, 31, 32, 33, 257})
    for (const std::int64_t k : {1, 7, 8, 33, 64}) check(*gpus[0], rows, k, k);
  for (const std::int64_t k : {1, 7, 16, 31, 32, 33, 64, 100, 128, 255, 256})
    check(*gpus[0], 70, k, (k + 31) / 32 * 32);
  check(*gpus[0], 10'000, 16, 16);
  check(*gpus[0], 200'000, 2, 2);
}

}  // namespace
}  // namespace gradmill
