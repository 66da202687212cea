#include "runtime/replay.h"

#include "runtime/workspace.h"

namespace gradmill {

void DeleteCudaGraph::operator()([[maybe_unused]] CudaGraph* graph) const {
  if constexpr (kHasCuda) CudaCapture::destroy(graph);
}

void Replay::run(const Key& key, const std::function<void()>& work) {
  if (!ctx_.is_cuda()) return work();
  if constexpr (kHasCuda) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) {
      work();
      if (entries_.size() < kMostGraphs) entries_[key].generation = ctx_.workspace().generation();
      return;
    }
    Entry& entry = found->second;
    const std::int64_t now = ctx_.workspace().generation();
    if (entry.generation != now) {  // the memory moved: once more as the first time
      entry.graph.reset();
      work();
      entry.generation = ctx_.workspace().generation();
      return;
    }
    if (!entry.graph) capture(entry, work);
    CudaCapture::launch(ctx_, *entry.graph);
    ++launched_;
  }
}

void Replay::capture([[maybe_unused]] Entry& entry,
                     [[maybe_unused]] const std::function<void()>& work) {
  if constexpr (kHasCuda) {
    CudaCapture::begin(ctx_);
    try {
      work();
    } catch (...) {
      (void)CudaCapture::end(ctx_, false);
      throw;
    }
    entry.graph.reset(CudaCapture::end(ctx_, true));
    kernel_nodes_ = CudaCapture::nodes(*entry.graph, true);
    nodes_ = CudaCapture::nodes(*entry.graph, false);
  }
}

}  // namespace gradmill
