// Matrix products of dense layers: achieved GFLOP/s.
#include <benchmark/benchmark.h>

#include <vector>

#include "kernels/gemm/gemm.h"

namespace gradmill {
namespace {
void product(benchmark::State& state, bool transpose_a, bool transpose_b) {
  const std::int64_t m = state.range(0), n = state.range(1), depth = state.range(2);
  const Context ctx = Context::cpu(static_cast<int>(state.range(3)));
  std::vector<float> a(static_cast<std::size_t>(m * depth), 0.5f),
      b(static_cast<std::size_t>(n * depth), 0.25f), c(static_cast<std::size_t>(m * n));
  GemmArgs args;
  args.a = transpose_a ? MatrixView<const float>{a.data(), depth, m, m, {}}
                       : MatrixView<const float>{a.data(), m, depth, depth, {}};
  args.b = transpose_b ? MatrixView<const float>{b.data(), n, depth, depth, {}}
                       : MatrixView<const float>{b.data(), depth, n, n, {}};
  args.transpose_a = transpose_a;
  args.transpose_b = transpose_b;
  args.c = {c.data(), m, n, n, {}};
  for (auto _ : state) gemm(ctx, args);
  state.counters["GFLOP/s"] = benchmark::Counter(
      2e-9 * static_cast<double>(m * n * depth) * static_cast<double>(state.iterations()),
      benchmark::Counter::kIsRate);
}
void forward(benchmark::State& state) { product(state, false, true); }
void input_gradient(benchmark::State& state) { product(state, false, false); }
void weight_gradient(benchmark::State& state) { product(state, true, false); }

void shapes(benchmark::internal::Benchmark* bench) {
  const std::vector<std::vector<std::int64_t>> shapes = {{1024, 512, 512},   {512, 512, 1024},
                                                         {4096, 1024, 1024}, {256, 128, 784},
                                                         {256, 10, 128},     {8192, 512, 429}};
  bench->ArgNames({"m", "n", "depth", "threads"})->UseRealTime();
  for (const int threads : {1, 2})
    for (const auto& shape : shapes) bench->Args({shape[0], shape[1], shape[2], threads});
}
BENCHMARK(forward)->Apply(shapes);
BENCHMARK(input_gradient)->Apply(shapes);
BENCHMARK(weight_gradient)->Apply(shapes);
}  // namespace
}  // namespace gradmill
