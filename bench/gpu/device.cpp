#include "bench/gpu/device.h"

#include <chrono>

namespace gradmill::bench {

DeviceLimits limits_of(const Context& ctx) {
  if constexpr (kHasCuda) {
    if (ctx.is_cuda()) return cuda::limits_of(ctx);
  }
  return {.name = ctx.describe()};
}

double seconds_of(const Context& ctx, const std::function<void()>& work) {
  if constexpr (kHasCuda) {
    if (ctx.is_cuda()) return cuda::seconds_of(ctx, work);
  }
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace gradmill::bench
