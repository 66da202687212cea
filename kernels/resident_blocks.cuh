// How many blocks of a kernel the device holds at a time.
#pragma once

#include <algorithm>
#include <cstddef>

#include "runtime/context.h"
#include "runtime/cuda_check.h"

namespace gradmill::cuda {

/// Lets a kernel use this much shared memory and says how many of its blocks fit on the device.
template <class Kernel>
int resident_blocks(const Context& ctx, Kernel kernel, int threads, std::size_t shared_bytes) {
  cuda_check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  static_cast<int>(shared_bytes)),
             "reserve shared memory");
  int per_multiprocessor = 0;
  cuda_check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&per_multiprocessor, kernel, threads,
                                                           shared_bytes),
             "ask for the occupancy");
  return std::max(1, per_multiprocessor) * ctx.multiprocessors();
}

}  // namespace gradmill::cuda
