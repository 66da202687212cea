// What CUDA says about this machine, without making a context.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gradmill {

struct CudaDeviceInfo {
  int ordinal = 0;
  std::string name;
  int major = 0, minor = 0;  // compute capability
  int multiprocessors = 0;
  std::int64_t memory_bytes = 0;
  std::string pci_bus_id;
};

struct CudaInfo {
  std::string runtime;  // "13.0"
  std::string driver;   // the CUDA version that the driver can do; "" without a driver
  std::vector<CudaDeviceInfo> devices;
  std::string why_none;  // CUDA's reason if devices is empty
  std::string fix;       // and what to do about it
  bool broken = false;   // a device is there but does not work
};

/// Only in a build with CUDA.
CudaInfo cuda_info();

}  // namespace gradmill
