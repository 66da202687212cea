// Ranking: FLOP/s of scoring and selection together.
#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "kernels/top_k/top_k.h"

namespace gradmill {
namespace {
/// Arguments: factors, threads. 2,000 users against 26,744 items, ten best.
void BM_TopK(benchmark::State& state) {
  const std::int64_t queries = 2000, items = 26'744, k = state.range(0);
  const std::int32_t count = 10;
  const Context ctx = Context::cpu(static_cast<int>(state.range(1)));
  std::mt19937 rng(1);
  std::normal_distribution<float> normal;
  std::vector<float> p(static_cast<std::size_t>(queries * k)),
      q(static_cast<std::size_t>(items * k));
  for (auto* factors : {&p, &q})
    for (float& x : *factors) x = normal(rng);
  std::vector<std::int32_t> best(static_cast<std::size_t>(queries * count));
  std::vector<float> scores(best.size());
  TopKArgs args;
  args.queries = {p.data(), queries, k, k, {}};
  args.items = {q.data(), items, k, k, {}};
  args.count = count;
  args.out_items = {best.data(), queries, count, count, {}};
  args.out_scores = {scores.data(), queries, count, count, {}};
  for (auto _ : state) top_k(ctx, args);
  const auto runs = static_cast<double>(state.iterations());
  state.counters["users/s"] =
      benchmark::Counter(runs * static_cast<double>(queries), benchmark::Counter::kIsRate);
  state.counters["FLOP/s"] =
      benchmark::Counter(runs * 2.0 * static_cast<double>(k * queries * items),
                         benchmark::Counter::kIsRate, benchmark::Counter::kIs1000);
}
BENCHMARK(BM_TopK)
    ->ArgsProduct({{32, 64, 128}, {1, 2}})
    ->ArgNames({"k", "threads"})
    ->MeasureProcessCPUTime()
    ->Unit(benchmark::kMillisecond);
}  // namespace
}  // namespace gradmill
