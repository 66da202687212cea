// Work that is enqueued again and again in the same way: on CUDA one graph instead of its launches.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "runtime/context.h"

namespace gradmill {

struct CudaGraph;  // cuda_graph.cpp; absent from a CPU build
struct DeleteCudaGraph {
  void operator()(CudaGraph* graph) const;
};

/// What CUDA's part does; absent from a CPU build.
struct CudaCapture {
  static void begin(const Context& ctx);
  /// nullptr if the work cannot be a graph; it was not run then.
  static CudaGraph* end(const Context& ctx, bool wanted);
  static void launch(const Context& ctx, const CudaGraph& graph);
  static std::int64_t nodes(const CudaGraph& graph, bool kernels_only);
  static void destroy(CudaGraph* graph);
};

class Replay {
 public:
  /// Whatever the work depends on besides the contents of memory: sizes, places.
  using Key = std::vector<std::int64_t>;
  explicit Replay(const Context& ctx) : ctx_(ctx) {}

  /// Enqueues work(). On CUDA a key's first time runs it (which fills the workspace), its second captures it,
  /// later ones launch that graph; keys beyond kMostGraphs run it. A graph whose memory the workspace has
  /// given away is captured again. The work allocates nothing and waits for nothing but at its first time.
  void run(const Key& key, const std::function<void()>& work);
  std::int64_t launched() const { return launched_; }  // graphs, so far
  /// Of the last graph that was captured: kernels of ours, and all nodes (copies, library routines).
  std::int64_t kernel_nodes() const { return kernel_nodes_; }
  std::int64_t nodes() const { return nodes_; }

 private:
  static constexpr std::size_t kMostGraphs = 64;
  struct Entry {
    std::unique_ptr<CudaGraph, DeleteCudaGraph> graph;
    std::int64_t generation = 0;
  };
  void capture(Entry& entry, const std::function<void()>& work);

  const Context& ctx_;
  std::map<Key, Entry> entries_;
  std::int64_t launched_ = 0, kernel_nodes_ = 0, nodes_ = 0;
};

}  // namespace gradmill
