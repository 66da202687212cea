#include <algorithm>

#include "kernels/mf_sgd/mf_sgd.h"
#include "kernels/warp.cuh"
#include "runtime/cuda_check.h"
#include "runtime/error.h"

namespace gradmill::cuda {
namespace {
constexpr int kSlots = 16;  // ratings of a group that are applied together
constexpr int kDepth = 4;   // ratings in flight: their rows are loaded before earlier updates end

/// A factor row spread over the lanes of a group, and its state in every lane.
template <int kVectors>
struct Row {
  float4 v[kVectors];
  float4 state;  // bias, its accumulator, the row's accumulator, its squared norm
};

template <int kVectors>
struct Pending {
  std::int32_t user, item;
  float value, weight;
  Row<kVectors> p, q;
};

struct Rating {
  std::int32_t user, item;
  float value, weight;
};

template <int kLanes, int kVectors>
__device__ Row<kVectors> load_row(const MatrixView<float>& table, const MatrixView<float>& state,
                                  std::int32_t row, int lane, bool vector) {
  Row<kVectors> r;
#pragma unroll
  for (int i = 0; i < kVectors; ++i)
    r.v[i] = load4(table.row(row), 4 * (lane + i * kLanes), static_cast<int>(table.cols), vector);
  r.state = load4(state.row(row), 0, 4, vector);
  return r;
}

template <int kLanes, int kVectors>
__device__ void store_row(const MatrixView<float>& table, std::int32_t row, const Row<kVectors>& r,
                          int lane, bool vector) {
#pragma unroll
  for (int i = 0; i < kVectors; ++i)
    store4(table.row(row), 4 * (lane + i * kLanes), static_cast<int>(table.cols), vector, r.v[i]);
}

__device__ inline float4 combine(float keep, const float4& own, float step, const float4& other) {
  return {keep * own.x + step * other.x, keep * own.y + step * other.y,
          keep * own.z + step * other.z, keep * own.w + step * other.w};
}

__device__ inline float rate_of(const SgdRates& rates, float squares) {
  return rates.adagrad ? rates.learning_rate * rsqrtf(squares) : rates.learning_rate;
}

__device__ inline void update_bias(const SgdRates& rates, float error, float weight,
                                   float4& state) {
  const float grad = weight * (error - rates.l2_biases * state.x);
  state.x += rate_of(rates, state.y) * grad;
  state.y += grad * grad;
}

/// Applies one rating to both rows; returns its error before the update.
template <int kLanes, int kVectors>
__device__ float update(const SgdRates& rates, float inverse_k, Pending<kVectors>& rating) {
  Row<kVectors>&p = rating.p, &q = rating.q;
  const float value = rating.value, weight = rating.weight;
  float dot = 0;
#pragma unroll
  for (int i = 0; i < kVectors; ++i) dot += dot4(p.v[i], q.v[i]);
  dot = lane_sum<kLanes>(dot);
  const float error = value - (rates.global_mean + p.state.x + q.state.x + dot);
  const float l2 = rates.l2_factors;
  const float rate_p = weight * rate_of(rates, p.state.z),
              rate_q = weight * rate_of(rates, q.state.z);
  const float keep_p = 1 - l2 * rate_p, step_p = rate_p * error;
  const float keep_q = 1 - l2 * rate_q, step_q = rate_q * error;
#pragma unroll
  for (int i = 0; i < kVectors; ++i) {
    const float4 before = p.v[i];
    p.v[i] = combine(keep_p, before, step_p, q.v[i]);
    q.v[i] = combine(keep_q, q.v[i], step_q, before);
  }
  const float norm_p = p.state.w, norm_q = q.state.w, cross = 2 * l2 * error * dot;
  const float error2 = error * error, l4 = l2 * l2, share = weight * weight * inverse_k;
  p.state.z += fmaxf(0.0f, error2 * norm_q - cross + l4 * norm_p) * share;
  q.state.z += fmaxf(0.0f, error2 * norm_p - cross + l4 * norm_q) * share;
  p.state.w = keep_p * keep_p * norm_p + 2 * keep_p * step_p * dot + step_p * step_p * norm_q;
  q.state.w = keep_q * keep_q * norm_q + 2 * keep_q * step_q * dot + step_q * step_q * norm_p;
  update_bias(rates, error, weight, p.state);
  update_bias(rates, error, weight, q.state);
  return error;
}

/// Writes both rows and their states.
template <int kLanes, int kVectors>
__device__ void store(const MfSgdArgs& args, const Pending<kVectors>& now, int lane, bool vector) {
  store_row<kLanes, kVectors>(args.users, now.user, now.p, lane, vector);
  store_row<kLanes, kVectors>(args.items, now.item, now.q, lane, vector);
  // The state's values go out by as many lanes, bias first.
  const float4 s = lane < 4 ? now.p.state : now.q.state;
  float* to = lane < 4 ? args.user_state.row(now.user) : args.item_state.row(now.item);
  const int part = lane % 4;
  if (lane < 8) to[part] = part == 0 ? s.x : part == 1 ? s.y : part == 2 ? s.z : s.w;
}

/// A block of threads per user block applies a group of ratings without a common row at once: kLanes
/// lanes take a rating, kSlots ratings are under way together, and a barrier ends each group. The ids
/// of the next group's ratings are fetched meanwhile; its rows may still be changing.
template <int kLanes, int kVectors>
__global__ void __launch_bounds__(kLanes* kSlots) mf_sgd_group_kernel(MfSgdArgs args, bool vector) {
  __shared__ double sums[kSlots];
  const SgdBlocks& blocks = args.blocks;
  const int lane = threadIdx.x % kLanes, slot = threadIdx.x / kLanes;
  const std::int64_t i = blockIdx.x;
  const std::int64_t block = i * blocks.item_blocks + (i + args.shift) % blocks.item_blocks;
  const std::int64_t last_group = blocks.block_groups[block + 1];
  const float inverse_k = 1.0f / static_cast<float>(args.users.cols);
  const std::int64_t end = blocks.offsets[block + 1];
  auto fetch = [&](std::int64_t e, std::int64_t limit) {
    if (e >= limit) return Rating{-1, -1, 0, 1};
    return Rating{blocks.users[e], blocks.items[e], blocks.values[e],
                  blocks.weights.size ? blocks.weights[e] : 1.0f};
  };

  double loss = 0;
  std::int64_t group = blocks.block_groups[block];
  std::int64_t first = blocks.offsets[block];
  std::int64_t after = group < last_group ? first + blocks.group_sizes[group] : first;
  Rating next = fetch(first + slot, after);
  while (first < end) {
    Pending<kVectors> now{next.user, next.item, next.value, next.weight, {}, {}};
    if (now.user >= 0) {
      now.p = load_row<kLanes, kVectors>(args.users, args.user_state, now.user, lane, vector);
      now.q = load_row<kLanes, kVectors>(args.items, args.item_state, now.item, lane, vector);
    } else {
      now.p.state = now.q.state = {0, 1, 1, 0};
    }
    // The next ratings: the rest of this group if it is larger than the slots, else the next group.
    first = min(first + kSlots, after);
    if (first == after && ++group < last_group) after += blocks.group_sizes[group];
    next = fetch(first + slot, after);
    const float error = update<kLanes, kVectors>(args.rates, inverse_k, now);
    if (now.user >= 0) {
      loss += static_cast<double>(now.weight * error) * error;
      store<kLanes, kVectors>(args, now, lane, vector);
    }
    __syncthreads();
  }
  if (lane == 0) sums[slot] = loss;
  __syncthreads();
  if (threadIdx.x != 0) return;
  double sum = 0;
  for (int s = 0; s < kSlots; ++s) sum += sums[s];
  args.loss[i] += sum;
}

/// For blocks without groups: a group of kLanes lanes per user block applies the block's ratings one after the other. The rows
/// of the next kDepth - 1 ratings are on their way meanwhile; an update is passed on to those of
/// them that have the same user or item.
template <int kLanes, int kVectors>
__global__ void mf_sgd_kernel(MfSgdArgs args, bool vector) {
  __shared__ Rating staged[kWarp / kLanes][kLanes];
  const SgdBlocks& blocks = args.blocks;
  const int lane = threadIdx.x % kLanes, group = threadIdx.x / kLanes;
  const std::int64_t i = std::int64_t{blockIdx.x} * (kWarp / kLanes) + group;
  std::int64_t begin = 0, count = 0;
  if (i < blocks.user_blocks) {
    const std::int64_t block = i * blocks.item_blocks + (i + args.shift) % blocks.item_blocks;
    begin = blocks.offsets[block];
    count = blocks.offsets[block + 1] - begin;
  }
  std::int64_t rounds = count;  // the longest of the warp's groups
#pragma unroll
  for (int half = kWarp / 2; half >= kLanes; half /= 2)
    rounds = max(rounds, __shfl_xor_sync(kAllLanes, rounds, half));
  const float inverse_k = 1.0f / static_cast<float>(args.users.cols);

  Rating next;  // of the stage after the one in shared memory
  auto fetch_stage = [&](std::int64_t first) {
    next = {-1, -1, 0, 1};
    if (first + lane >= count) return;
    const std::int64_t e = begin + first + lane;
    next = {blocks.users[e], blocks.items[e], blocks.values[e],
            blocks.weights.size ? blocks.weights[e] : 1.0f};
  };
  auto turn_stage = [&](std::int64_t after) {
    __syncwarp();
    staged[group][lane] = next;
    __syncwarp();
    fetch_stage(after);
  };
  Pending<kVectors> ring[kDepth];
  auto fetch = [&](std::int64_t e, Pending<kVectors>& slot) {
    if (e % kLanes == 0) turn_stage(e + kLanes);
    const Rating rating = staged[group][e % kLanes];
    slot.user = rating.user;
    slot.item = rating.item;
    slot.value = rating.value;
    slot.weight = rating.weight;
    if (e >= count) return;
    slot.p = load_row<kLanes, kVectors>(args.users, args.user_state, slot.user, lane, vector);
    slot.q = load_row<kLanes, kVectors>(args.items, args.item_state, slot.item, lane, vector);
  };

  double loss = 0;
  fetch_stage(0);
#pragma unroll
  for (int d = 0; d + 1 < kDepth; ++d) fetch(d, ring[d]);
  for (std::int64_t first = 0; first < rounds; first += kDepth) {
#pragma unroll
    for (int d = 0; d < kDepth; ++d) {
      fetch(first + d + kDepth - 1, ring[(d + kDepth - 1) % kDepth]);
      Pending<kVectors>& now = ring[d];
      const float error = update<kLanes, kVectors>(args.rates, inverse_k, now);
      if (now.user >= 0) {
        loss += static_cast<double>(now.weight * error) * error;
        store<kLanes, kVectors>(args, now, lane, vector);
      }
#pragma unroll
      for (int s = 1; s < kDepth; ++s) {
        Pending<kVectors>& later = ring[(d + s) % kDepth];
        if (later.user == now.user) later.p = now.p;
        if (later.item == now.item) later.q = now.q;
      }
      __syncwarp();  // lanes read state that another lane has written
    }
  }
  if (lane == 0 && i < blocks.user_blocks) args.loss[i] += loss;
}

template <int kLanes, int kVectors>
void launch(const Context& ctx, const MfSgdArgs& args) {
  const bool vector = has_vector_rows(args.users.data, args.users.stride) &&
                      has_vector_rows(args.items.data, args.items.stride) &&
                      has_vector_rows(args.user_state.data, args.user_state.stride) &&
                      has_vector_rows(args.item_state.data, args.item_state.stride);
  if (args.blocks.block_groups.size > 0) {
    mf_sgd_group_kernel<kLanes, kVectors>
        <<<static_cast<unsigned>(args.blocks.user_blocks), kLanes * kSlots, 0, ctx.stream()>>>(
            args, vector);
    return cuda_check(cudaGetLastError(), "launch mf_sgd_group");
  }
  const int groups = kWarp / kLanes;
  const auto blocks = static_cast<unsigned>(ceil_div(args.blocks.user_blocks, groups));
  mf_sgd_kernel<kLanes, kVectors><<<blocks, kWarp, 0, ctx.stream()>>>(args, vector);
  cuda_check(cudaGetLastError(), "launch mf_sgd");
}
}  // namespace

void mf_sgd(const Context& ctx, const MfSgdArgs& args) {
  if (args.blocks.user_blocks == 0) return;
  const std::int64_t k = args.users.cols;
  if (k <= 32) return launch<8, 1>(ctx, args);
  if (k <= 64) return launch<16, 1>(ctx, args);
  if (k <= 128) return launch<32, 1>(ctx, args);
  if (k <= 256) return launch<32, 2>(ctx, args);
  fail(ErrorKind::usage, "mf_sgd on CUDA: at most 256 factors");
}

}  // namespace gradmill::cuda
