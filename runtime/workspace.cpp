#include "runtime/workspace.h"

#include <algorithm>

namespace gradmill {
namespace {
constexpr std::size_t kAlign = 256;
constexpr std::size_t kFirstBlock = std::size_t{1} << 20;
}  // namespace

Workspace::~Workspace() {
  for (const Block& block : blocks_) ctx_.deallocate(block.data, block.bytes);
}

Workspace::Scope::Scope(const Context& ctx)
    : workspace_(ctx.workspace()),
      device_(ctx.device()),
      block_(workspace_.current_),
      used_(workspace_.blocks_.empty() ? 0 : workspace_.blocks_[workspace_.current_].used) {
  ++workspace_.depth_;
}

Workspace::Scope::~Scope() {
  Workspace& w = workspace_;
  if (w.blocks_.empty()) {
    --w.depth_;
    return;
  }
  for (std::size_t b = block_ + 1; b < w.blocks_.size(); ++b) w.blocks_[b].used = 0;
  w.blocks_[block_].used = used_;
  w.current_ = block_;
  if (--w.depth_ > 0 || w.blocks_.size() <= 1) return;
  // All free: next time one block will do.
  ++w.generation_;
  std::size_t total = 0;
  for (const Block& block : w.blocks_) {
    total += block.bytes;
    w.ctx_.deallocate(block.data, block.bytes);
  }
  w.blocks_.clear();
  w.current_ = 0;
  w.blocks_.push_back({static_cast<std::byte*>(w.ctx_.allocate(total)), total, 0});
}

void* Workspace::Scope::take_bytes(std::size_t bytes) {
  Workspace& w = workspace_;
  bytes = (std::max<std::size_t>(bytes, 1) + kAlign - 1) / kAlign * kAlign;
  while (w.current_ < w.blocks_.size() &&
         w.blocks_[w.current_].bytes - w.blocks_[w.current_].used < bytes &&
         w.current_ + 1 < w.blocks_.size())
    ++w.current_;
  if (w.blocks_.empty() || w.blocks_[w.current_].bytes - w.blocks_[w.current_].used < bytes) {
    const std::size_t size =
        std::max({bytes, kFirstBlock, w.blocks_.empty() ? 0 : w.blocks_.back().bytes});
    ++w.generation_;
    w.blocks_.push_back({static_cast<std::byte*>(w.ctx_.allocate(size)), size, 0});
    w.current_ = w.blocks_.size() - 1;
  }
  Block& block = w.blocks_[w.current_];
  void* pointer = block.data + block.used;
  block.used += bytes;
  return pointer;
}

}  // namespace gradmill
