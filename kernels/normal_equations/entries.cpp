#include "kernels/normal_equations/entries.h"

#include <algorithm>

#include "kernels/simd.h"

namespace gradmill::cpu {
namespace {
using namespace simd;                   // NOLINT: vectors throughout
constexpr std::int64_t kPrefetch = 12;  // entries ahead of the one that is copied
constexpr std::int64_t kPanelEntries = 64;

void prefetch(const float* row, std::int64_t count) {
  for (std::int64_t c = 0; c < count; c += kCacheLineFloats) __builtin_prefetch(row + c);
}

/// Copies exactly count floats: the last vector overlaps the one before it.
void copy_row(const float* from, float* to, std::int64_t count) {
  if (count < kLanes) {
    for (std::int64_t c = 0; c < count; ++c) to[c] = from[c];
    return;
  }
  for (std::int64_t c = 0; c + kLanes <= count; c += kLanes) store(to + c, load(from + c));
  if (count % kLanes) store(to + count - kLanes, load(from + count - kLanes));
}
}  // namespace

void weigh(const NormalEquationsArgs& args, std::int64_t first, std::int64_t count,
           float* __restrict weights_a, float* __restrict weights_b) {
  const AlsWeights model = args.model;
  const float* values = args.ratings.values + first;
  if (args.weights.size)
    std::copy_n(args.weights.data + first, count, weights_a);
  else
    std::fill_n(weights_a, count, 1.0f);
  if (model.implicit) {
    for (std::int64_t i = 0; i < count; ++i) {
      weights_a[i] *= model.alpha * values[i];
      weights_b[i] = model.unobserved_weight + weights_a[i];
    }
    return;
  }
  for (std::int64_t i = 0; i < count; ++i) weights_b[i] = values[i] - model.offset;
  if (args.biases.size)
    for (std::int64_t i = 0; i < count; ++i)
      weights_b[i] -= args.biases[args.ratings.indices[first + i]];
  for (std::int64_t i = 0; i < count; ++i) weights_b[i] *= weights_a[i];
}

void gather(const NormalEquationsArgs& args, std::int64_t first, std::int64_t count,
            const EntryPanel& panel) {
  const std::int64_t num_factors = args.factors.cols;
  const std::int64_t last_known = args.ratings.offsets[args.ratings.rows] - 1;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t e = first + i;
    const std::int32_t column = args.ratings.indices[e];
    prefetch(args.factors.row(args.ratings.indices[std::min(e + kPrefetch, last_known)]),
             num_factors);
    copy_row(args.factors.row(column), panel.factors + i * panel.stride, num_factors);
  }
  weigh(args, first, count, panel.weights_a, panel.weights_b);
}

std::int64_t EntryAdder::memory_floats(std::int64_t size) {
  return 2 * kPanelEntries * (row_stride(size) + 1);
}

EntryAdder::EntryAdder(const NormalEquationsArgs& args, float* memory)
    : args_(args),
      panel_{memory, row_stride(system_size(args)), nullptr, nullptr},
      scaled_(memory + kPanelEntries * panel_.stride) {
  panel_.weights_a = scaled_ + kPanelEntries * panel_.stride;
  panel_.weights_b = panel_.weights_a + kPanelEntries;
  std::fill(memory, panel_.weights_a, 0.0f);
  if (args.biases.size)
    for (std::int64_t e = 0; e < kPanelEntries; ++e)
      panel_.factors[e * panel_.stride + args.factors.cols] = 1;
}

void EntryAdder::add(std::int64_t first, std::int64_t last, NormalSystem& system) {
  for (std::int64_t e = first; e < last; e += kPanelEntries) {
    const std::int64_t count = std::min(kPanelEntries, last - e);
    gather(args_, e, count, panel_);
    const float scale = panel_.weights_a[0];
    const bool uniform = std::all_of(panel_.weights_a, panel_.weights_a + count,
                                     [&](float weight) { return weight == scale; });
    if (!uniform) {
      for (std::int64_t i = 0; i < count; ++i)
        for (std::int64_t c = 0; c < panel_.stride; c += kLanes)
          store(scaled_ + i * panel_.stride + c,
                panel_.weights_a[i] * load(panel_.factors + i * panel_.stride + c));
    }
    system.add_products(uniform ? panel_.factors : scaled_, panel_.factors, count,
                        uniform ? scale : 1.0f);
    system.add_rows(panel_.factors, panel_.weights_b, count);
  }
  system.settle();
}

}  // namespace gradmill::cpu
