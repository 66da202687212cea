#include <cuda_runtime_api.h>

#include <vector>

#include "runtime/cuda_check.h"
#include "runtime/cuda_device.h"
#include "runtime/handle.h"
#include "runtime/replay.h"

namespace gradmill {

struct CudaGraph {
  Handle<cudaGraph_t, cudaGraphDestroy> graph;
  Handle<cudaGraphExec_t, cudaGraphExecDestroy> executable;
};

void CudaCapture::begin(const Context& ctx) {
  ctx.cuda_device()->make_current();
  // Thread-local: other threads of the process may allocate meanwhile.
  cuda_check(cudaStreamBeginCapture(ctx.stream(), cudaStreamCaptureModeThreadLocal),
             "begin a graph");
}

CudaGraph* CudaCapture::end(const Context& ctx, bool wanted) {
  cudaGraph_t graph = nullptr;
  const cudaError_t status = cudaStreamEndCapture(ctx.stream(), &graph);
  auto result = std::make_unique<CudaGraph>();
  result->graph = Handle<cudaGraph_t, cudaGraphDestroy>(graph);
  if (!wanted) {
    (void)cudaGetLastError();
    return nullptr;
  }
  cuda_check(status, "end a graph");
  cudaGraphExec_t executable = nullptr;
  cuda_check(cudaGraphInstantiate(&executable, graph, 0), "make a graph executable");
  result->executable = Handle<cudaGraphExec_t, cudaGraphExecDestroy>(executable);
  return result.release();
}

void CudaCapture::launch(const Context& ctx, const CudaGraph& graph) {
  ctx.cuda_device()->make_current();
  cuda_check(cudaGraphLaunch(graph.executable.get(), ctx.stream()), "launch a graph");
}

std::int64_t CudaCapture::nodes(const CudaGraph& graph, bool kernels_only) {
  std::size_t count = 0;
  cuda_check(cudaGraphGetNodes(graph.graph.get(), nullptr, &count), "count a graph's nodes");
  std::vector<cudaGraphNode_t> nodes(count);
  cuda_check(cudaGraphGetNodes(graph.graph.get(), nodes.data(), &count), "list a graph's nodes");
  std::int64_t found = 0;
  for (const cudaGraphNode_t node : nodes) {
    cudaGraphNodeType type{};
    cuda_check(cudaGraphNodeGetType(node, &type), "look at a graph's node");
    if (!kernels_only || type == cudaGraphNodeTypeKernel) ++found;
  }
  return found;
}

void CudaCapture::destroy(CudaGraph* graph) { delete graph; }

}  // namespace gradmill
