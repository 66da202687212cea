#include "models/linear/batch_store.h"

#include <algorithm>
#include <cstring>

#include "runtime/expect.h"

namespace gradmill {
namespace {
constexpr std::int64_t kAlign = 64;
std::int64_t aligned(std::int64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }
std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
}  // namespace

BatchStore::~BatchStore() {
  if (!streams_) return;
  ctx_.stream_waits_for_copies();  // before the places are freed on it
  try {
    ctx_.synchronize();
  } catch (...) {  // the device is lost, and whoever waits next is told
  }
}

std::int64_t BatchStore::block_bytes(std::int64_t b) const {
  std::int64_t bytes = 0;
  for (const Array& array : arrays_) bytes += aligned(array.size(b));
  return bytes;
}

void BatchStore::place(std::int64_t batches, std::int64_t device_bytes) {
  if (!ctx_.is_cuda()) return;
  const std::int64_t budget = device_bytes ? device_bytes : ctx_.free_bytes() / 4 * 3;
  std::int64_t total = 0, largest = 0;
  for (const Array& array : arrays_) total += aligned(array.bytes);
  streams_ = total > budget;
  if (streams_) {
    for (std::int64_t b = 0; b < batches; ++b) largest = std::max(largest, block_bytes(b));
    expect(2 * largest <= budget, ErrorKind::out_of_memory,
           "a mini-batch takes up to {} bytes on the device, which has room for {} and holds two; "
           "lower train.global_batch, or use more ranks or --device cpu",
           largest, budget);
    fill_blocks(batches);
    for (auto& place : places_) place = Buffer<std::byte>(ctx_, std::max<std::int64_t>(largest, 1));
  } else {
    for (Array& array : arrays_)
      array.resident = Buffer<std::byte>::from_host(ctx_, {array.data, at(array.bytes)});
  }
  ctx_.synchronize();
  for (Array& array : arrays_) array.owner.reset();
}

void BatchStore::fill_blocks(std::int64_t batches) {
  blocks_ = {0};
  for (std::int64_t b = 0; b < batches; ++b) blocks_.push_back(blocks_.back() + block_bytes(b));
  pinned_ = PinnedMemory(ctx_, std::max<std::int64_t>(blocks_.back(), 1));
  for (std::int64_t b = 0; b < batches; ++b) {
    std::byte* to = pinned_.data() + blocks_[at(b)];
    for (const Array& array : arrays_) {
      if (array.size(b) == 0) continue;
      std::memcpy(to, array.data + array.begin(b), at(array.size(b)));
      to += aligned(array.size(b));
    }
  }
}

void BatchStore::copy_block(int to, std::int64_t b) {
  const std::int64_t bytes = blocks_[at(b) + 1] - blocks_[at(b)];
  held_[at(to)] = b;
  if (bytes == 0) return;
  ctx_.copies_wait_for_stream();
  ctx_.copy_ahead(places_[at(to)].view().data, pinned_.data() + blocks_[at(b)], at(bytes));
}

void BatchStore::load(std::int64_t b, std::int64_t next) {
  current_ = b;
  if (!streams_) return;
  if (held_[0] != b && held_[1] != b) copy_block(1 - place_, b);
  place_ = held_[0] == b ? 0 : 1;
  ctx_.stream_waits_for_copies();
  if (next >= 0 && next != b && held_[at(1 - place_)] != next) copy_block(1 - place_, next);
}

std::pair<const std::byte*, std::int64_t> BatchStore::part(int index) const {
  const Array& array = arrays_[at(index)];
  const std::int64_t bytes = array.size(current_);
  if (bytes == 0) return {nullptr, 0};
  if (!streams_)
    return {(ctx_.is_cuda() ? array.resident.view().data : array.data) + array.begin(current_),
            bytes};
  const std::byte* from = places_[at(place_)].view().data;
  for (int before = 0; before < index; ++before)
    from += aligned(arrays_[at(before)].size(current_));
  return {from, bytes};
}

}  // namespace gradmill
