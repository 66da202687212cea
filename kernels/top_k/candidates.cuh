// The best keys that one warp has seen so far, in shared memory.
#pragma once

#include <cstdint>

#include "kernels/warp.cuh"

namespace gradmill::cuda {

/// Score and item in one number whose order is the result's: larger scores first, then smaller items.
using Key = unsigned long long;
inline constexpr Key kNoKey = 0;  // below every key

/// A score that is -inf or NaN gives kNoKey: it never appears in a result.
__device__ inline Key key_of(float score, std::int32_t item) {
  if (!(score > -INFINITY)) return kNoKey;
  const unsigned bits = __float_as_uint(score + 0.0f);  // -0 becomes 0
  // Of two floats the larger has the larger bits if positive, the smaller if negative.
  const unsigned ordered = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return static_cast<Key>(ordered) << 32 | ~static_cast<unsigned>(item);
}
__device__ inline std::int32_t item_of(Key key) {
  return static_cast<std::int32_t>(~static_cast<unsigned>(key));
}
__device__ inline float score_of(Key key) {
  const unsigned ordered = static_cast<unsigned>(key >> 32);
  return __uint_as_float(ordered & 0x80000000u ? ordered & 0x7fffffffu : ~ordered);
}

/// Room for `count` keys and at least as many newcomers, a power of two.
inline int candidate_capacity(int count) {
  int capacity = 2 * kWarp;
  while (capacity < 2 * count) capacity *= 2;
  return capacity;
}

/// All methods are called by the 32 lanes of one warp together. Newcomers above the threshold (the
/// count-th best at the last compaction) are appended; when the room is full, it is sorted and cut
/// back to the count best. What remains does not depend on the order of arrival: keys differ.
class Candidates {
 public:
  Candidates() = default;
  __device__ Candidates(Key* keys, int capacity, int count)
      : keys_(keys), capacity_(capacity), count_(count) {}

  __device__ Key threshold() const { return threshold_; }
  __device__ const Key* keys() const { return keys_; }
  __device__ int size() const { return size_; }  // after compact(): at most count

  /// One key a lane; kNoKey: none.
  __device__ void offer(Key key) {
    unsigned takers = __ballot_sync(kAllLanes, key > threshold_);
    if (takers == 0) return;
    if (size_ + kWarp > capacity_) {
      compact();
      takers = __ballot_sync(kAllLanes, key > threshold_);  // which is higher now
    }
    const unsigned before = takers & ((1u << threadIdx.x % kWarp) - 1);
    if (takers >> threadIdx.x % kWarp & 1) keys_[size_ + __popc(before)] = key;
    size_ += __popc(takers);
  }

  /// Sorts in descending order (bitonic) and keeps the best.
  __device__ void compact() {
    int n = kWarp;
    while (n < size_) n *= 2;
    for (int i = size_ + static_cast<int>(threadIdx.x % kWarp); i < n; i += kWarp)
      keys_[i] = kNoKey;
    __syncwarp();
    for (int run = 2; run <= n; run *= 2)
      for (int distance = run / 2; distance > 0; distance /= 2) {
        for (int pair = threadIdx.x % kWarp; pair < n / 2; pair += kWarp) {
          const int low = 2 * pair - (pair & (distance - 1)), high = low + distance;
          const Key a = keys_[low], b = keys_[high];
          if ((a < b) == ((low & run) == 0)) keys_[low] = b, keys_[high] = a;
        }
        __syncwarp();
      }
    size_ = min(size_, count_);
    threshold_ = size_ == count_ ? keys_[count_ - 1] : kNoKey;
    __syncwarp();
  }

 private:
  Key* keys_ = nullptr;
  int capacity_ = 0, count_ = 0, size_ = 0;
  Key threshold_ = kNoKey;
};

}  // namespace gradmill::cuda
