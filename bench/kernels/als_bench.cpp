// Alternating least squares kernels on the CPU: rates to compare with the machine's peak. FLOPs are
// the contracts' counts, so work that a kernel does on padding does not count.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <random>
#include <vector>

#include "kernels/als_solve/als_solve.h"
#include "kernels/cholesky_solve/cholesky_solve.h"
#include "kernels/gram/gram.h"
#include "kernels/ials_cg/ials_cg.h"
#include "runtime/buffer.h"

namespace gradmill {
namespace {
constexpr std::int64_t kRows = 2000, kColumns = 4000, kMeanEntries = 150;

/// Rows of 1 to 5 kMeanEntries ratings of columns drawn with probability ~ 1 / (column + 80).
struct Problem {
  Problem(const Context& ctx, std::int64_t k)
      : k(k),
        stride((k + 31) / 32 * 32),
        factors(ctx, kColumns * stride),
        solutions(ctx, kRows * stride),
        base(ctx, k * k) {
    std::mt19937 rng(1);
    std::uniform_real_distribution<double> uniform(0, 1);
    std::normal_distribution<float> normal(0, 0.1f);
    for (std::int64_t row = 0; row < kRows; ++row) {
      const double share = uniform(rng);
      const auto count =
          1 + static_cast<std::int64_t>(5 * kMeanEntries * share * share * share * 0.8);
      std::vector<std::int32_t> columns;
      for (std::int64_t e = 0; e < count; ++e)
        columns.push_back(
            static_cast<std::int32_t>(80 * (std::pow((kColumns + 80) / 80.0, uniform(rng)) - 1)) %
            kColumns);
      std::sort(columns.begin(), columns.end());
      columns.erase(std::unique(columns.begin(), columns.end()), columns.end());
      indices.insert(indices.end(), columns.begin(), columns.end());
      offsets.push_back(static_cast<std::int64_t>(indices.size()));
    }
    values.assign(indices.size(), 1.0f);
    factors.zero();
    solutions.zero();
    for (std::int64_t r = 0; r < kColumns; ++r)
      for (std::int64_t c = 0; c < k; ++c) table()(r, c) = normal(rng);
    model.implicit = true;
    model.alpha = 10;
    gram(ctx, {table(), 1, base.matrix(k, k, k)});
  }
  MatrixView<float> table() { return factors.matrix(kColumns, k, stride); }
  CsrView<const float> ratings() const {
    return {kRows, kColumns, nnz(), offsets.data(), indices.data(), values.data(), {}};
  }
  std::int64_t nnz() const { return static_cast<std::int64_t>(indices.size()); }

  std::int64_t k, stride;
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> indices;
  std::vector<float> values;
  Buffer<float> factors, solutions, base;
  AlsWeights model;
  std::int32_t failures = 0;
};

void set_rates(benchmark::State& state, double items, double flops) {
  const auto iterations = static_cast<double>(state.iterations());
  state.SetItemsProcessed(static_cast<std::int64_t>(iterations * items));
  state.counters["FLOP/s"] = benchmark::Counter(iterations * flops, benchmark::Counter::kIsRate);
}

void gram_rows(benchmark::State& state) {
  const Context ctx = Context::cpu(static_cast<int>(state.range(1)));
  Problem p(ctx, state.range(0));
  for (auto _ : state) gram(ctx, {p.table(), 1, p.base.matrix(p.k, p.k, p.k)});
  const auto k = static_cast<double>(p.k);
  set_rates(state, kColumns, kColumns * k * (k + 1));
}

void als_ratings(benchmark::State& state) {
  const Context ctx = Context::cpu(static_cast<int>(state.range(1)));
  Problem p(ctx, state.range(0));
  for (auto _ : state)
    als_solve(ctx, {p.ratings(),
                    {},
                    p.table(),
                    {},
                    p.base.matrix(p.k, p.k, p.k),
                    p.model,
                    p.solutions.matrix(kRows, p.k, p.stride),
                    {},
                    {&p.failures, 1, {}}});
  const auto k = static_cast<double>(p.k), nnz = static_cast<double>(p.nnz());
  set_rates(state, nnz, nnz * (k * (k + 1) + 2 * k) + kRows * (k * k * k / 3 + 2 * k * k));
}

void ials_cg_ratings(benchmark::State& state) {
  const Context ctx = Context::cpu(static_cast<int>(state.range(1)));
  Problem p(ctx, state.range(0));
  for (auto _ : state)
    ials_cg(ctx, {p.ratings(),
                  {},
                  p.table(),
                  {},
                  p.base.matrix(p.k, p.k, p.k),
                  p.model,
                  3,
                  p.solutions.matrix(kRows, p.k, p.stride),
                  {}});
  const auto k = static_cast<double>(p.k), nnz = static_cast<double>(p.nnz());
  set_rates(state, nnz, 4 * (4 * k * nnz + 2 * k * k * kRows));
}

void cholesky_systems(benchmark::State& state) {
  const Context ctx = Context::cpu(static_cast<int>(state.range(1)));
  const std::int64_t k = state.range(0), rows = 64;
  Buffer<float> systems(ctx, rows * k * k), rhs(ctx, rows * k);
  for (std::int64_t i = 0; i < rows * k * k; ++i)
    systems.view()[i] = i % (k * k) % (k + 1) == 0 ? 2.0f : 0.5f / static_cast<float>(k);
  std::fill(rhs.view().begin(), rhs.view().end(), 1.0f);
  std::int32_t failures = 0;
  for (auto _ : state)  // the CPU kernel copies the systems, so that they stay
    cholesky_solve(ctx, {systems.matrix(rows, k * k, k * k),
                         rhs.matrix(rows, k, k),
                         rhs.matrix(rows, k, k),
                         {&failures, 1, {}}});
  const auto size = static_cast<double>(k);
  set_rates(state, rows, rows * (size * size * size / 3 + 2 * size * size));
}

void sizes(benchmark::internal::Benchmark* b) {
  b->ArgNames({"k", "threads"})->ArgsProduct({{16, 32, 64, 128, 256}, {1, 2}});
  b->Unit(benchmark::kMillisecond)->UseRealTime()->MeasureProcessCPUTime();
}
BENCHMARK(gram_rows)->Apply(sizes);
BENCHMARK(als_ratings)->Apply(sizes);
BENCHMARK(ials_cg_ratings)->Apply(sizes);
BENCHMARK(cholesky_systems)->Apply(sizes);

}  // namespace
}  // namespace gradmill
