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

/// All methods are called by the 32 lanes of one warp together. Newcomers above the threshold are
/// appended; when the room is full, unwanted ones are dropped and the rest is cut back to the count
/// best, which raises the threshold. What remains does not depend on the order of arrival: keys differ.
class Candidates {
 public:
  Candidates() = default;
  __device__ Candidates(Key* keys, int capacity, int count)
      : keys_(keys), capacity_(capacity), count_(count) {}

  __device__ const Key* keys() const { return keys_; }
  __device__ int size() const { return size_; }
  /// Scores below this one do not matter any more.
  __device__ float least_score() const { return least_score_; }

  /// One key a lane; kNoKey: none. `unwanted(key)` is asked once for each newcomer, later.
  template <class Unwanted>
  __device__ void offer(Key key, Unwanted&& unwanted) {
    unsigned takers = __ballot_sync(kAllLanes, key >= least_);
    if (takers == 0) return;
    if (size_ + kWarp > capacity_) {
      cut(unwanted);
      takers = __ballot_sync(kAllLanes, key >= least_);
    }
    append(key, takers);
  }

  /// Keeps the count best, in no order.
  template <class Unwanted>
  __device__ void cut(Unwanted&& unwanted) {
    keep_if(wanted_, [&](Key key) { return !unwanted(key); });
    if (size_ > count_) {
      least_ = least_of_best();
      least_score_ = score_of(least_);
      keep_if(0, [&](Key key) { return key >= least_; });
    }
    wanted_ = size_;
  }

  /// Sorts what is there in descending order (bitonic).
  __device__ void sort() {
    int n = kWarp;
    while (n < size_) n *= 2;
    for (int i = size_ + lane(); i < n; i += kWarp) keys_[i] = kNoKey;
    __syncwarp();
    for (int run = 2; run <= n; run *= 2)
      for (int distance = run / 2; distance > 0; distance /= 2) {
        for (int pair = lane(); pair < n / 2; pair += kWarp) {
          const int low = 2 * pair - (pair & (distance - 1)), high = low + distance;
          const Key a = keys_[low], b = keys_[high];
          if ((a < b) == ((low & run) == 0)) keys_[low] = b, keys_[high] = a;
        }
        __syncwarp();
      }
  }

 private:
  static __device__ int lane() { return static_cast<int>(threadIdx.x % kWarp); }

  __device__ void append(Key key, unsigned takers) {
    const unsigned before = takers & ((1u << lane()) - 1);
    if (takers >> lane() & 1) keys_[size_ + __popc(before)] = key;
    size_ += __popc(takers);
  }

  /// Drops keys from place `first` on that do not pass; the others move up.
  template <class Keep>
  __device__ void keep_if(int first, Keep&& keep) {
    const int end = size_;
    size_ = first;
    for (; first < end; first += kWarp) {
      __syncwarp();  // others' writes are there
      const Key key = first + lane() < end ? keys_[first + lane()] : kNoKey;
      const unsigned kept = __ballot_sync(kAllLanes, key != kNoKey && keep(key));
      __syncwarp();  // every lane has read its place before another may write there
      append(key, kept);
    }
    __syncwarp();
  }

  /// A number that exactly the count best keys reach: found bit by bit, from the highest in which
  /// keys differ.
  __device__ Key least_of_best() const {
    const Key any = keys_[0];
    Key differ = 0;
    for (int i = lane(); i < size_; i += kWarp) differ |= keys_[i] ^ any;
    const Key all =
        static_cast<Key>(__reduce_or_sync(kAllLanes, static_cast<unsigned>(differ >> 32))) << 32 |
        __reduce_or_sync(kAllLanes, static_cast<unsigned>(differ));
    const int highest = 63 - __clzll(static_cast<long long>(all));
    Key least = highest == 63 ? 0 : any >> (highest + 1) << (highest + 1);
    for (int bit = highest; bit >= 0; --bit) {
      const Key trial = least | Key{1} << bit;
      int mine = 0;
      for (int i = lane(); i < size_; i += kWarp) mine += keys_[i] >= trial;
      const int reached = __reduce_add_sync(kAllLanes, mine);
      if (reached >= count_) least = trial;
      if (reached == count_) break;
    }
    return least;
  }

  Key* keys_ = nullptr;
  int capacity_ = 0, count_ = 0, size_ = 0;
  int wanted_ = 0;          // keys before this place are known to be wanted
  Key least_ = kNoKey + 1;  // smaller keys do not matter
  float least_score_ = -INFINITY;
};

}  // namespace gradmill::cuda
