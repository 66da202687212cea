// Several outputs of one sparse row: lanes share the outputs, and where these are few, the entries too.
#pragma once

#include <cstdint>

#include "kernels/warp.cuh"
#include "runtime/view.h"

namespace gradmill::cuda {

inline constexpr int kOutputTiles = 4, kTileOutputs = kOutputTiles * kWarp;

struct OutputLanes {
  int outputs;  // lanes that share an entry: a power of two
  int entries;  // entries that are taken at a time
  int output, entry;
  __device__ explicit OutputLanes(std::int64_t count) : outputs(1) {
    while (outputs < kWarp && outputs < count) outputs *= 2;
    entries = kWarp / outputs;
    output = threadIdx.x % outputs;
    entry = threadIdx.x % kWarp / outputs;
  }
};

/// sums[t] += sum over entries from .. to of value x[index, c], c = first + lane's output + 32 t, over the
/// entries that are this lane's. A warp; x [*, outputs].
template <bool kSquared>
__device__ void add_entries(const std::int32_t* indices, const float* values, std::int64_t from,
                            std::int64_t to, const MatrixView<const float>& x, std::int64_t first,
                            const OutputLanes& lanes, float (&sums)[kOutputTiles]) {
  const int lane = threadIdx.x % kWarp;
  for (std::int64_t base = from / kWarp * kWarp; base < to; base += kWarp) {
    const std::int64_t e = base + lane;
    const bool there = e >= from && e < to;
    const std::int32_t index = there ? (indices ? indices[e] : static_cast<std::int32_t>(e)) : -1;
    float value = there ? (values ? values[e] : 1.0f) : 0.0f;
    if (kSquared) value *= value;
    const int begin =
        base < from ? static_cast<int>(from - base) / lanes.entries * lanes.entries : 0;
    const int end = static_cast<int>(min(std::int64_t{kWarp}, to - base));
#pragma unroll 4
    for (int step = begin; step < end; step += lanes.entries) {
      const std::int32_t j = __shfl_sync(kAllLanes, index, step + lanes.entry);
      const float v = __shfl_sync(kAllLanes, value, step + lanes.entry);
      if (j < 0) continue;
      const float* row = x.row(j);
#pragma unroll
      for (int t = 0; t < kOutputTiles; ++t) {
        const std::int64_t c = first + lanes.output + t * kWarp;
        if (c < x.cols) sums[t] += v * row[c];
      }
    }
  }
}

/// Adds up what the lanes of one output have; in all of them.
__device__ inline void add_lanes(const OutputLanes& lanes, float (&sums)[kOutputTiles]) {
#pragma unroll
  for (int t = 0; t < kOutputTiles; ++t)
    for (int distance = lanes.outputs; distance < kWarp; distance *= 2)
      sums[t] += __shfl_xor_sync(kAllLanes, sums[t], distance);
}

}  // namespace gradmill::cuda
