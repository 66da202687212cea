#include "models/mlp/batch_ring.h"

#include <algorithm>

#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {
constexpr std::size_t kAlign = 256;
constexpr std::int64_t kGrain = 64;  // rows that one thread copies at a time
std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

std::int64_t entries_of(const MlpRows& rows, std::span<const std::int64_t> chosen) {
  if (rows.one_each) return static_cast<std::int64_t>(chosen.size()) * rows.fields;
  std::int64_t entries = 0;
  for (const std::int64_t row : chosen)
    entries += rows.offsets[at((row + 1) * rows.fields)] - rows.offsets[at(row * rows.fields)];
  return entries;
}
}  // namespace

struct MlpBatchRing::Layout {
  /// An array of count T's at `offset`.
  template <class T>
  struct Part {
    std::size_t offset = 0;
    std::int64_t count = 0;
    T* in(std::byte* slot) const { return reinterpret_cast<T*>(slot + offset); }
    VectorView<const T> view(std::byte* slot, Device device) const {
      return {in(slot), count, device};
    }
  };
  Part<double> input;
  Part<float> dense, labels, weights, entry_weights;
  Part<std::int32_t> positions, ids;
  Part<std::int64_t> offsets, wide_offsets;
  std::size_t bytes = 0;

  template <class T>
  void place(Part<T>& part, std::int64_t count) {
    part.offset = bytes;
    part.count = count;
    bytes += (at(count) * sizeof(T) + kAlign - 1) / kAlign * kAlign;
  }
};

MlpBatchRing::MlpBatchRing(const Context& ctx, const Context& host, bool mean, bool wide)
    : ctx_(ctx), host_(host), mean_(mean), wide_(wide) {
  for (std::int64_t s = 0; s < (ctx.is_cuda() ? kSlots : 1); ++s) slots_.emplace_back(ctx);
}

MlpBatchRing::~MlpBatchRing() {
  for (const Slot& slot : slots_) {
    try {
      slot.copied.wait();
    } catch (...) {  // of a device or a peer that is lost, which others report
    }
    ctx_.deallocate_pinned(slot.host);
  }
}

MlpBatchRing::Layout MlpBatchRing::layout(const MlpRows& rows, std::int64_t n, std::int64_t entries,
                                          bool labeled) const {
  Layout to;
  to.place(to.input, StepInput::count);
  to.place(to.dense, n * rows.dense_columns);
  to.place(to.labels, labeled ? n : 0);
  to.place(to.weights, labeled && !rows.weights.empty() ? n : 0);
  to.place(to.positions, n);
  if (rows.fields == 0) return to;
  to.place(to.wide_offsets, wide_ ? n + 1 : 0);
  to.place(to.offsets, rows.one_each ? 0 : n * rows.fields + 1);
  to.place(to.ids, entries);
  to.place(to.entry_weights, rows.entry_weights.empty() ? 0 : entries);
  return to;
}

void MlpBatchRing::reserve(const MlpRows& rows, std::int64_t max_rows, std::int64_t max_entries) {
  grow(layout(rows, max_rows, max_entries, true).bytes);
}

void MlpBatchRing::grow(std::size_t bytes) {
  if (bytes <= bytes_) return;
  ctx_.synchronize();
  bytes_ = bytes;
  for (Slot& slot : slots_) {
    slot.copied.wait();
    ctx_.deallocate_pinned(slot.host);
    slot.host = nullptr;
    slot.host = static_cast<std::byte*>(ctx_.allocate_pinned(bytes));
    if (ctx_.is_cuda()) slot.device = Buffer<std::byte>(ctx_, static_cast<std::int64_t>(bytes));
  }
  ctx_.copies_wait_for_stream();
}

MlpBatch MlpBatchRing::make(const MlpRows& rows, std::span<const std::int64_t> chosen,
                            std::span<const std::int32_t> positions, bool labeled,
                            const Input& input) {
  const auto n = static_cast<std::int64_t>(chosen.size());
  const Layout to = layout(rows, n, entries_of(rows, chosen), labeled);
  grow(to.bytes);
  MlpBatch batch;
  batch.slot = next_++ % static_cast<std::int64_t>(slots_.size());
  Slot& slot = slots_[at(batch.slot)];
  slot.copied.wait();  // of the batch that was here before
  std::copy(input.begin(), input.end(), to.input.in(slot.host));
  std::copy(positions.begin(), positions.end(), to.positions.in(slot.host));
  fill(rows, chosen, to, slot.host);
  std::byte* data = slot.host;
  if (ctx_.is_cuda()) {
    data = slot.device.view().data;
    slot.used.hold(Event::Lane::copies);
    ctx_.copy_ahead(data, slot.host, to.bytes);
    slot.copied.record(Event::Lane::copies);
    slot.copied.hold(Event::Lane::compute);
  }
  const Device device = ctx_.device();
  batch.rows = n;
  batch.input = to.input.view(data, device);
  batch.dense = {to.dense.in(data), n, rows.dense_columns, rows.dense_columns, device};
  batch.labels = to.labels.view(data, device);
  batch.weights = to.weights.view(data, device);
  batch.positions = to.positions.view(data, device);
  batch.bags.samples = batch.wide_bags.samples = n;
  batch.bags.fields = rows.fields;
  batch.wide_bags.fields = 1;
  batch.bags.mean = mean_;
  batch.bags.ids = batch.wide_bags.ids = to.ids.view(data, device);
  batch.bags.weights = batch.wide_bags.weights = to.entry_weights.view(data, device);
  batch.bags.offsets = to.offsets.view(data, device);
  batch.wide_bags.offsets = to.wide_offsets.view(data, device);
  return batch;
}

void MlpBatchRing::release(const MlpBatch& batch) {
  slots_[at(batch.slot)].used.record(Event::Lane::compute);
}

void MlpBatchRing::fill(const MlpRows& rows, std::span<const std::int64_t> chosen, const Layout& to,
                        std::byte* host) const {
  const auto n = static_cast<std::int64_t>(chosen.size());
  const std::int64_t dense = rows.dense_columns;
  float *values = to.dense.in(host), *labels = to.labels.in(host), *weights = to.weights.in(host);
  host_.threads().parallel_for(n, kGrain, [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t i = first; i < last; ++i) {
      const std::int64_t row = chosen[at(i)];
      std::copy_n(rows.dense.data() + row * dense, dense, values + i * dense);
      if (to.labels.count) labels[i] = rows.labels[at(row)];
      if (to.weights.count) weights[i] = rows.weights[at(row)];
    }
  });
  if (rows.fields > 0) fill_bags(rows, chosen, to, host);
}

void MlpBatchRing::fill_bags(const MlpRows& rows, std::span<const std::int64_t> chosen,
                             const Layout& to, std::byte* host) const {
  const auto n = static_cast<std::int64_t>(chosen.size()), fields = rows.fields;
  std::int32_t* ids = to.ids.in(host);
  std::int64_t* wide = to.wide_offsets.in(host);
  if (rows.one_each) {
    for (std::int64_t i = 0; i < n; ++i)
      std::copy_n(rows.ids.data() + chosen[at(i)] * fields, fields, ids + i * fields);
    for (std::int64_t i = 0; i < to.wide_offsets.count; ++i) wide[i] = i * fields;
    return;
  }
  std::int64_t* offsets = to.offsets.in(host);
  float* weights = to.entry_weights.in(host);
  std::int64_t filled = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::size_t bag = at(chosen[at(i)] * fields);
    const std::int64_t begin = rows.offsets[bag], count = rows.offsets[bag + at(fields)] - begin;
    for (std::int64_t f = 0; f < fields; ++f)
      offsets[i * fields + f] = filled + rows.offsets[bag + at(f)] - begin;
    if (to.wide_offsets.count) wide[i] = filled;
    std::copy_n(rows.ids.data() + begin, count, ids + filled);
    if (to.entry_weights.count)
      std::copy_n(rows.entry_weights.data() + begin, count, weights + filled);
    filled += count;
  }
  offsets[n * fields] = filled;
  if (to.wide_offsets.count) wide[n] = filled;
}

}  // namespace gradmill
