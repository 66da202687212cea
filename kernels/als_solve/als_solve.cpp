#include "kernels/als_solve/als_solve.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "kernels/normal_equations/entries.h"
#include "kernels/normal_equations/for_each_system.h"
#include "kernels/normal_system/system_batch.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"
#include "runtime/workspace.h"

namespace gradmill {

void cpu::als_solve(const Context& ctx, const AlsSolveArgs& args) {
  const std::int64_t k = args.factors.cols;
  const NormalEquationsArgs equations{
      args.ratings, args.weights, args.factors, args.biases, args.base, args.model, true, {}, {}};
  std::atomic<std::int32_t> failures{0};
  const auto write = [&](std::int64_t u, const float* solution) {
    if (solution)
      std::copy_n(solution, k, args.solutions.row(u));
    else
      std::fill_n(args.solutions.row(u), k, 0.0f);
    if (args.solution_biases.size) args.solution_biases[u] = solution ? solution[k] : 0.0f;
  };
  const SystemBatch::Finish finish = [&](std::int64_t u, const float* solution) {
    if (!solution) ++failures;
    write(u, solution);
  };
  Workspace::Scope scratch(ctx);
  const std::int64_t size = system_size(equations);
  std::vector<SystemBatch> batches;
  for (int t = 0; t < ctx.threads().size(); ++t)
    batches.emplace_back(size, scratch.take<float>(SystemBatch::memory_floats(size)).data);
  for_each_system(ctx, equations, [&](std::int64_t u, NormalSystem& system, int thread) {
    if (args.ratings.offsets[u] == args.ratings.offsets[u + 1]) return write(u, nullptr);
    batches[static_cast<std::size_t>(thread)].add(u, system, finish);
  });
  ctx.threads().parallel_for(ctx.threads().size(), 1, [&](std::int64_t t, std::int64_t, int) {
    batches[static_cast<std::size_t>(t)].flush(finish);
  });
  args.failures[0] += failures.load();
}

void als_solve(const Context& ctx, const AlsSolveArgs& args) {
  require(args.ratings.cols == args.factors.rows && args.solutions.rows == args.ratings.rows &&
              args.solutions.cols == args.factors.cols,
          "als_solve: ratings are {} x {}, factors {} x {}, solutions {} x {}", args.ratings.rows,
          args.ratings.cols, args.factors.rows, args.factors.cols, args.solutions.rows,
          args.solutions.cols);
  require(args.solution_biases.size == (args.biases.size ? args.ratings.rows : 0),
          "als_solve: {} biases and {} solution biases for {} rows", args.biases.size,
          args.solution_biases.size, args.ratings.rows);
  require(args.failures.size == 1, "als_solve: failures has {} values, 1 expected",
          args.failures.size);
  run_kernel(ctx, "als_solve", args, cpu::als_solve,
             [](const auto& c, const auto& a) { cuda::als_solve(c, a); });
}

}  // namespace gradmill
