#include <cuda_runtime_api.h>

#include "bench/gpu/device.h"
#include "runtime/cuda_check.h"
#include "runtime/handle.h"

namespace gradmill::bench {
namespace {
using Event = Handle<cudaEvent_t, cudaEventDestroy>;

Event make_event() {
  cudaEvent_t event = nullptr;
  cuda_check(cudaEventCreate(&event), "create an event");
  return Event(event);
}

double attribute(cudaDeviceAttr which, int ordinal) {
  int value = 0;
  cuda_check(cudaDeviceGetAttribute(&value, which, ordinal), "read a device attribute");
  return value;
}

// CUDA C++ Programming Guide, "Arithmetic Instructions": fp32 fused multiply-adds per clock and SM.
double fma_per_clock(int major, int minor) { return major == 8 && minor == 0 ? 64 : 128; }
}  // namespace

DeviceLimits cuda::limits_of(const Context& ctx) {
  const int ordinal = ctx.device().ordinal;
  cudaDeviceProp properties{};
  cuda_check(cudaGetDeviceProperties(&properties, ordinal), "read the device's properties");
  DeviceLimits limits;
  limits.name = properties.name;
  limits.simulated = limits.name.find("simulated") != std::string::npos;
  // Clocks are in kHz; memory transfers twice a clock.
  limits.bytes_per_second = 2.0 * 1e3 * attribute(cudaDevAttrMemoryClockRate, ordinal) *
                            attribute(cudaDevAttrGlobalMemoryBusWidth, ordinal) / 8;
  limits.flops_per_second = 2.0 * 1e3 * attribute(cudaDevAttrClockRate, ordinal) *
                            properties.multiProcessorCount *
                            fma_per_clock(properties.major, properties.minor);
  return limits;
}

double cuda::seconds_of(const Context& ctx, const std::function<void()>& work) {
  const Event start = make_event(), end = make_event();
  cuda_check(cudaEventRecord(start.get(), ctx.stream()), "record an event");
  work();
  cuda_check(cudaEventRecord(end.get(), ctx.stream()), "record an event");
  ctx.synchronize();
  float milliseconds = 0;
  cuda_check(cudaEventElapsedTime(&milliseconds, start.get(), end.get()), "read two events");
  return milliseconds * 1e-3;
}

}  // namespace gradmill::bench
