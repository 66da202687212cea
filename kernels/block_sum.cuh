// Sums over blocks of threads, in an order that depends on nothing.
#pragma once

#include <cstdint>

#include "kernels/warp.cuh"
#include "runtime/context.h"
#include "runtime/cuda_check.h"

namespace gradmill::cuda {

/// Sum over a block of kThreads; valid in thread 0. All threads take part; may be called again at once.
template <int kThreads>
__device__ double block_sum(double mine) {
  __shared__ double warps[kThreads / kWarp];
  mine = lane_sum(mine);
  __syncthreads();
  if (threadIdx.x % kWarp == 0) warps[threadIdx.x / kWarp] = mine;
  __syncthreads();
  if (threadIdx.x == 0)
    for (int w = 1; w < kThreads / kWarp; ++w) mine += warps[w];
  return mine;
}

/// Sum over a grid: blocks leave theirs in partial [blocks], and the block that comes last adds them up in their
/// order. True in that block's thread 0 alone, which then finds it in total. ticket [1] is 0 before and after.
template <int kThreads>
__device__ bool grid_sum(double mine, double* partial, std::int32_t* ticket, double& total) {
  mine = block_sum<kThreads>(mine);
  __shared__ bool is_last;
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = mine;
    __threadfence();
    is_last = atomicAdd(ticket, 1) == static_cast<int>(gridDim.x) - 1;
  }
  __syncthreads();
  if (!is_last) return false;
  __threadfence();
  double sum = 0;
  for (unsigned p = threadIdx.x; p < gridDim.x; p += kThreads)
    sum += *static_cast<volatile const double*>(partial + p);
  total = block_sum<kThreads>(sum);
  if (threadIdx.x != 0) return false;
  *ticket = 0;
  return true;
}

inline constexpr int kSumThreads = 256;

/// totals[k] = sum over parts p of partial[p * width + k]; a block for each k.
template <class T>
__global__ void __launch_bounds__(kSumThreads)
    sum_parts_kernel(const T* partial, std::int64_t parts, std::int64_t width, double* totals) {
  double mine = 0;
  for (std::int64_t p = threadIdx.x; p < parts; p += kSumThreads)
    mine += partial[p * width + blockIdx.x];
  mine = block_sum<kSumThreads>(mine);
  if (threadIdx.x == 0) totals[blockIdx.x] = mine;
}

/// The same for a wide total: a lane for each k, a warp for every eighth part.
template <class T>
__global__ void __launch_bounds__(kSumThreads)
    sum_wide_parts_kernel(const T* partial, std::int64_t parts, std::int64_t width,
                          double* totals) {
  constexpr int kWarps = kSumThreads / kWarp;
  __shared__ double sums[kWarps][kWarp];
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const std::int64_t k = std::int64_t{blockIdx.x} * kWarp + lane;
  double mine = 0;
  for (std::int64_t p = warp; p < parts && k < width; p += kWarps) mine += partial[p * width + k];
  sums[warp][lane] = mine;
  __syncthreads();
  if (warp != 0 || k >= width) return;
  for (int w = 1; w < kWarps; ++w) mine += sums[w][lane];
  totals[k] = mine;
}

template <class T>
void sum_parts(const Context& ctx, const T* partial, std::int64_t parts, std::int64_t width,
               double* totals) {
  if (width == 0) return;
  if (width < kWarp)
    sum_parts_kernel<<<static_cast<unsigned>(width), kSumThreads, 0, ctx.stream()>>>(partial, parts,
                                                                                     width, totals);
  else
    sum_wide_parts_kernel<<<static_cast<unsigned>(ceil_div<std::int64_t>(width, kWarp)),
                            kSumThreads, 0, ctx.stream()>>>(partial, parts, width, totals);
  cuda_check(cudaGetLastError(), "launch a sum of parts");
}

}  // namespace gradmill::cuda
