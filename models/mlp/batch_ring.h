// Batches on their way to the device: filled by the host while the device works on earlier ones.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "kernels/step_state.h"
#include "models/mlp/rows.h"
#include "runtime/event.h"

namespace gradmill {

/// A ring of slots. On CUDA a slot is pinned memory and its copy on the device, and a batch is one copy beside the
/// compute stream; the host waits for nothing but a slot that was filled kSlots batches ago and whose copy has not
/// begun. On a CPU a batch stays where it was filled.
class MlpBatchRing {
 public:
  static constexpr std::int64_t kSlots = 3;
  using Input = std::array<double, StepInput::count>;
  /// mean, wide: of the bags. Room for max_rows rows with max_entries entries; grows beyond that, which waits.
  MlpBatchRing(const Context& ctx, const Context& host, bool mean, bool wide);
  ~MlpBatchRing();
  MlpBatchRing(MlpBatchRing&&) = delete;
  void reserve(const MlpRows& rows, std::int64_t max_rows, std::int64_t max_entries);

  /// chosen, positions [n]. `labeled`: with labels and weights. Work on the context's stream may use the batch from
  /// now on; it is there until release() and kSlots more batches.
  MlpBatch make(const MlpRows& rows, std::span<const std::int64_t> chosen,
                std::span<const std::int32_t> positions, bool labeled, const Input& input);
  /// All that reads the batch is enqueued.
  void release(const MlpBatch& batch);
  /// How many batches may be made before the device has begun with the first of them.
  static std::int64_t ahead(const Context& ctx) { return ctx.is_cuda() ? 2 * kSlots : 0; }

 private:
  struct Slot {
    explicit Slot(const Context& ctx) : copied(ctx), used(ctx) {}
    std::byte* host = nullptr;
    Buffer<std::byte> device;
    Event copied, used;
  };
  /// Places within a slot, each kAlign bytes aligned.
  struct Layout;
  Layout layout(const MlpRows& rows, std::int64_t n, std::int64_t entries, bool labeled) const;
  void fill(const MlpRows& rows, std::span<const std::int64_t> chosen, const Layout& at,
            std::byte* host) const;
  void fill_bags(const MlpRows& rows, std::span<const std::int64_t> chosen, const Layout& at,
                 std::byte* host) const;
  void grow(std::size_t bytes);

  const Context& ctx_;
  const Context& host_;
  const bool mean_, wide_;
  std::size_t bytes_ = 0;  // of a slot
  std::vector<Slot> slots_;
  std::int64_t next_ = 0;
};

}  // namespace gradmill
