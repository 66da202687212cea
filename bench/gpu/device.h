// What a measurement needs of a device: its limits and a clock.
#pragma once

#include <functional>
#include <string>

#include "runtime/context.h"

namespace gradmill::bench {

struct DeviceLimits {
  std::string name;
  double bytes_per_second = 0;  // of the memory, by the data sheet's formula; 0: not known
  double flops_per_second = 0;  // fp32 without tensor cores; 0: not known
  bool simulated = false;       // no real device: times are a model's
};
DeviceLimits limits_of(const Context& ctx);

/// Seconds that the device takes for what `work` enqueues on ctx's stream (CUDA events; on the CPU
/// the clock).
double seconds_of(const Context& ctx, const std::function<void()>& work);

namespace cuda {
DeviceLimits limits_of(const Context& ctx);
double seconds_of(const Context& ctx, const std::function<void()>& work);
}  // namespace cuda

}  // namespace gradmill::bench
