#include "kernels/cholesky_solve/cholesky_solve.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "kernels/normal_system/system_batch.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"
#include "runtime/workspace.h"

namespace gradmill {

void cpu::cholesky_solve(const Context& ctx, const CholeskySolveArgs& args) {
  const std::int64_t k = args.rhs.cols;
  Workspace::Scope scratch(ctx);
  const std::int64_t floats = NormalSystem::memory_floats(k);
  std::atomic<std::int32_t> failures{0};
  const SystemBatch::Finish finish = [&](std::int64_t u, const float* solution) {
    if (solution)
      std::copy_n(solution, k, args.solutions.row(u));
    else
      std::fill_n(args.solutions.row(u), k, 0.0f);
    if (!solution) ++failures;
  };
  std::vector<NormalSystem> systems;
  std::vector<SystemBatch> batches;
  for (int t = 0; t < ctx.threads().size(); ++t) {
    systems.emplace_back(k, scratch.take<float>(floats).data);
    batches.emplace_back(k, scratch.take<float>(SystemBatch::memory_floats(k)).data);
  }
  constexpr std::int64_t kGrain = 16;
  ctx.threads().parallel_for(args.rhs.rows, kGrain,
                             [&](std::int64_t first, std::int64_t last, int t) {
                               NormalSystem& system = systems[static_cast<std::size_t>(t)];
                               SystemBatch& batch = batches[static_cast<std::size_t>(t)];
                               for (std::int64_t u = first; u < last; ++u) {
                                 system.clear();
                                 const float* a = args.systems.row(u);
                                 for (std::int64_t r = 0; r < k; ++r)
                                   for (std::int64_t c = 0; c <= r; ++c)
                                     system.row(c)[r] = a[r * k + c];
                                 std::copy_n(args.rhs.row(u), k, system.rhs());
                                 batch.add(u, system, finish);
                               }
                               batch.flush(finish);
                             });
  args.failures[0] += failures.load();
}

void cholesky_solve(const Context& ctx, const CholeskySolveArgs& args) {
  const std::int64_t k = args.rhs.cols;
  require(args.systems.rows == args.rhs.rows && args.systems.cols == k * k &&
              args.solutions.rows == args.rhs.rows && args.solutions.cols == k,
          "cholesky_solve: {} systems of {} values, {} right-hand sides of {}, {} solutions of {}",
          args.systems.rows, args.systems.cols, args.rhs.rows, k, args.solutions.rows,
          args.solutions.cols);
  run_kernel(ctx, "cholesky_solve", args, cpu::cholesky_solve,
             [](const auto& c, const auto& a) { cuda::cholesky_solve(c, a); });
}

}  // namespace gradmill
