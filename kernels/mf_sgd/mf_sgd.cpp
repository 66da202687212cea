#include "kernels/mf_sgd/mf_sgd.h"

#include <cmath>

#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {
enum State { kBias, kBiasSquares, kSquares };

/// Applies one rating; returns its squared error before the update.
float update(const SgdRating& r, const MfSgdArgs& args) {
  const SgdRates& rates = args.rates;
  const std::int64_t k = args.users.cols;
  float *p = args.users.row(r.user), *q = args.items.row(r.item);
  float *ps = args.user_state.row(r.user), *qs = args.item_state.row(r.item);
  float dot = 0;
  for (std::int64_t f = 0; f < k; ++f) dot += p[f] * q[f];
  const float error = r.value - (rates.global_mean + ps[kBias] + qs[kBias] + dot);
  auto rate = [&](float squares) {
    return rates.adagrad ? rates.learning_rate / std::sqrt(squares) : rates.learning_rate;
  };
  const float p_rate = rate(ps[kSquares]), q_rate = rate(qs[kSquares]);
  float p_squares = 0, q_squares = 0;
  for (std::int64_t f = 0; f < k; ++f) {
    const float p_grad = error * q[f] - rates.l2_factors * p[f];
    const float q_grad = error * p[f] - rates.l2_factors * q[f];
    p_squares += p_grad * p_grad;
    q_squares += q_grad * q_grad;
    p[f] += p_rate * p_grad;
    q[f] += q_rate * q_grad;
  }
  ps[kSquares] += p_squares / static_cast<float>(k);
  qs[kSquares] += q_squares / static_cast<float>(k);
  for (float* s : {ps, qs}) {
    const float grad = error - rates.l2_biases * s[kBias];
    s[kBias] += rate(s[kBiasSquares]) * grad;
    s[kBiasSquares] += grad * grad;
  }
  return error * error;
}
}  // namespace

void cpu::mf_sgd(const Context& ctx, const MfSgdArgs& args) {
  const SgdBlocks& blocks = args.blocks;
  ctx.threads().parallel_for(
      blocks.user_blocks, 1, [&](std::int64_t first, std::int64_t last, int) {
        for (std::int64_t i = first; i < last; ++i) {
          const std::int64_t block = i * blocks.item_blocks + (i + args.shift) % blocks.item_blocks;
          double loss = 0;
          for (std::int64_t e = blocks.offsets[block]; e < blocks.offsets[block + 1]; ++e)
            loss += update(blocks.ratings[e], args);
          args.loss[i] += loss;
        }
      });
}

void mf_sgd(const Context& ctx, const MfSgdArgs& args) {
  require(args.users.cols == args.items.cols, "mf_sgd: users have {} factors but items have {}",
          args.users.cols, args.items.cols);
  require(args.blocks.user_blocks <= args.blocks.item_blocks,
          "mf_sgd: {} user blocks need as many item blocks, not {}", args.blocks.user_blocks,
          args.blocks.item_blocks);
  run_kernel(ctx, "mf_sgd", args, cpu::mf_sgd,
             [](const auto& c, const auto& a) { cuda::mf_sgd(c, a); });
}

}  // namespace gradmill
