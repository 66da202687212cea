#include "models/linear/precise_loss.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "runtime/thread_pool.h"

namespace gradmill {
namespace {
constexpr std::int64_t kRows = 4096;  // of a block

double loss_of(LossKind kind, double margin, double label, bool positive) {
  if (kind == LossKind::squared) return (margin - label) * (margin - label) / 2;
  const double z = positive ? margin : -margin, gap = std::max(0.0, 1 - z);
  if (kind == LossKind::squared_hinge) return gap * gap;
  return std::max(-z, 0.0) + std::log1p(std::exp(-std::abs(z)));
}
}  // namespace

double precise_loss(const Context& ctx, const Loss& loss, const LossTargets& targets,
                    const double* margins) {
  const auto rows = static_cast<std::int64_t>(targets.labels.size());
  std::vector<double> sums(static_cast<std::size_t>((rows + kRows - 1) / kRows), 0.0);
  ctx.threads().parallel_for(
      static_cast<std::int64_t>(sums.size()), 1, [&](std::int64_t block, std::int64_t, int) {
        for (std::int64_t r = block * kRows; r < std::min(rows, (block + 1) * kRows); ++r) {
          const auto i = static_cast<std::size_t>(r);
          const float y = targets.labels[i];
          const bool positive =
              targets.own_class < 0 ? y > 0 : y == static_cast<float>(targets.own_class);
          const double weight = targets.weights.empty() ? 1.0 : targets.weights[i];
          sums[static_cast<std::size_t>(block)] +=
              weight * loss_of(loss.kind, margins[r], y, positive);
        }
      });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

}  // namespace gradmill
