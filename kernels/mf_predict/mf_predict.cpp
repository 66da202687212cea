#include "kernels/mf_predict/mf_predict.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {
constexpr std::int64_t kBlock =
    4096;  // pairs whose errors are summed together: fixes the order of sums

float predict(const MfPredictArgs& args, std::int64_t b) {
  const std::int32_t u = args.user_ids[b], i = args.item_ids[b];
  float sum = args.offset;
  if (u >= 0 && args.user_biases.size) sum += args.user_biases[u];
  if (i >= 0 && args.item_biases.size) sum += args.item_biases[i];
  if (u >= 0 && i >= 0) {
    const float *p = args.users.row(u), *q = args.items.row(i);
    float dot = 0;
    for (std::int64_t f = 0; f < args.users.cols; ++f) dot += p[f] * q[f];
    sum += dot;
  }
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
