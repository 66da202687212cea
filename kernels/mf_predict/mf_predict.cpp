#include "kernels/mf_predict/mf_predict.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "kernels/simd.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {
using simd::kLanes;
using simd::Vec;
constexpr std::int64_t kBlock = 4096;  // pairs summed together: fixes the order of sums
constexpr std::int64_t kAhead = 8;     // pairs between a prefetch and its use

float dot(const float* p, const float* q, std::int64_t k) {
  Vec sum[2] = {};
  std::int64_t f = 0;
  for (; f + 2 * kLanes <= k; f += 2 * kLanes)
    for (int i = 0; i < 2; ++i)
      sum[i] += simd::load(p + f + i * kLanes) * simd::load(q + f + i * kLanes);
  float rest = 0;
  for (; f < k; ++f) rest += p[f] * q[f];
  const simd::Vec8 eight = simd::fold(sum[0] + sum[1]);
  for (int i = 0; i < 8; ++i) rest += eight[i];
  return rest;
}

__attribute__((always_inline)) inline void prefetch(const MatrixView<const float>& rows,
                                                    std::int32_t row) {
  if (row < 0) return;
  for (std::int64_t f = 0; f < rows.cols; f += simd::kCacheLineFloats)
    __builtin_prefetch(rows.row(row) + f);
}

float predict(const MfPredictArgs& args, std::int64_t b) {
  const std::int32_t u = args.user_ids[b], i = args.item_ids[b];
  float sum = args.offset;
  if (u >= 0 && args.user_biases.size) sum += args.user_biases[u];
  if (i >= 0 && args.item_biases.size) sum += args.item_biases[i];
  if (u >= 0 && i >= 0) sum += dot(args.users.row(u), args.items.row(i), args.users.cols);
  return std::clamp(sum, args.low, args.high);
}
}  // namespace

void cpu::mf_predict(const Context& ctx, const MfPredictArgs& args) {
  const std::int64_t pairs = args.user_ids.size, blocks = (pairs + kBlock - 1) / kBlock;
  std::vector<std::array<double, 3>> sums(static_cast<std::size_t>(blocks));
  ctx.threads().parallel_for(blocks, 1, [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t block = first; block < last; ++block) {
      std::array<double, 3> sum{};
      for (std::int64_t b = block * kBlock; b < std::min((block + 1) * kBlock, pairs); ++b) {
        if (b + kAhead < pairs) {
          const std::int64_t ahead = b + kAhead;
          prefetch(args.users, args.user_ids[ahead]);
          prefetch(args.items, args.item_ids[ahead]);
        }
        const float p = predict(args, b);
        if (args.predictions.size) args.predictions[b] = p;
        if (!args.values.size) continue;
        const double w = args.weights.size ? args.weights[b] : 1.0,
                     error = static_cast<double>(args.values[b]) - p;
        sum[0] += w;
        sum[1] += w * error * error;
        sum[2] += w * std::abs(error);
      }
      sums[static_cast<std::size_t>(block)] = sum;
    }
  });
  if (args.error_sums.size)
    for (const auto& sum : sums)
      for (std::int64_t s = 0; s < 3; ++s) args.error_sums[s] += sum[static_cast<std::size_t>(s)];
}

void mf_predict(const Context& ctx, const MfPredictArgs& args) {
  require(args.user_ids.size == args.item_ids.size, "mf_predict: {} users but {} items",
          args.user_ids.size, args.item_ids.size);
  require(args.users.cols == args.items.cols, "mf_predict: users have {} factors but items have {}",
          args.users.cols, args.items.cols);
  require(args.values.size == 0 || args.error_sums.size == 3,
          "mf_predict: error_sums has {} values, 3 expected", args.error_sums.size);
  run_kernel(ctx, "mf_predict", args, cpu::mf_predict,
             [](const auto& c, const auto& a) { cuda::mf_predict(c, a); });
}

}  // namespace gradmill
