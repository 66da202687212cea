#include "runtime/cuda_info.h"

#include <cuda_runtime_api.h>

#include <array>

#include "runtime/expect.h"

namespace gradmill {
namespace {

std::string version_text(int version) {  // 13000: 13.0
  return version ? fmt::format("{}.{}", version / 1000, version % 1000 / 10) : "";
}

void explain(cudaError_t status, CudaInfo& info) {
  info.why_none = fmt::format("{} ({})", cudaGetErrorString(status), cudaGetErrorName(status));
  switch (status) {
    case cudaErrorNoDevice:
      info.fix =
          "check CUDA_VISIBLE_DEVICES, and that /dev/nvidia* is there (in a container: --gpus all)";
      break;
    case cudaErrorInsufficientDriver:
      info.fix = info.driver.empty()
                     ? "no NVIDIA driver: apt-get install nvidia-driver (non-free), then reboot"
                     : fmt::format("the driver does CUDA {}, this build needs {}: update it",
                                   info.driver, info.runtime);
      break;
    default:
      info.broken = true;
      info.fix = "see `dmesg | grep -i nvrm` and nvidia-smi; a reset or reboot may be needed";
  }
}

}  // namespace

CudaInfo cuda_info() {
  CudaInfo info;
  int runtime = 0, driver = 0, count = 0;
  (void)cudaRuntimeGetVersion(&runtime);
  (void)cudaDriverGetVersion(&driver);
  info.runtime = version_text(runtime);
  info.driver = version_text(driver);
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    explain(status == cudaSuccess ? cudaErrorNoDevice : status, info);
    (void)cudaGetLastError();
    return info;
  }
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    cudaDeviceProp properties{};
    std::array<char, 32> bus{};
    if (const cudaError_t read = cudaGetDeviceProperties(&properties, ordinal);
        read != cudaSuccess) {
      explain(read, info);
      continue;
    }
    (void)cudaDeviceGetPCIBusId(bus.data(), static_cast<int>(bus.size()), ordinal);
    info.devices.push_back({ordinal, properties.name, properties.major, properties.minor,
                            properties.multiProcessorCount,
                            static_cast<std::int64_t>(properties.totalGlobalMem), bus.data()});
  }
  (void)cudaGetLastError();
  return info;
}

}  // namespace gradmill
