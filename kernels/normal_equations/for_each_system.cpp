#include "kernels/normal_equations/for_each_system.h"

#include <algorithm>
#include <vector>

#include "kernels/normal_equations/entries.h"
#include "kernels/normal_equations/row_ranges.h"
#include "runtime/thread_pool.h"
#include "runtime/workspace.h"

namespace gradmill::cpu {
namespace {
constexpr std::int64_t kPieceEntries = 8192;  // of a heavy row
constexpr std::int64_t kPiecesAtOnce = 16;

/// What one thread needs to sum up systems.
struct Worker {
  Worker(const NormalEquationsArgs& args, Workspace::Scope& scratch)
      : adder(args, scratch.take<float>(EntryAdder::memory_floats(system_size(args))).data),
        system(system_size(args),
               scratch.take<float>(NormalSystem::memory_floats(system_size(args))).data) {}

  EntryAdder adder;
  NormalSystem system;
};

void add_prior(const NormalEquationsArgs& args, std::int64_t entries, NormalSystem& system) {
  if (!args.add_ridge) return;
  if (args.base.rows) system.add_symmetric(args.base);
  system.add_diagonal(ridge(args.model, entries));
}

std::int64_t entries_of(const NormalEquationsArgs& args, std::int64_t row) {
  return args.ratings.offsets[row + 1] - args.ratings.offsets[row];
}

/// A heavy row's system: pieces by all threads, a few at a time, added in order.
void sum_heavy_row(const Context& ctx, const NormalEquationsArgs& args, std::int64_t row,
                   std::vector<Worker>& workers, NormalSystem& total) {
  Workspace::Scope scratch(ctx);
  std::vector<NormalSystem> pieces;
  for (std::int64_t p = 0; p < kPiecesAtOnce; ++p)
    pieces.emplace_back(total.size(),
                        scratch.take<float>(NormalSystem::memory_floats(total.size())).data);
  const std::int64_t begin = args.ratings.offsets[row], end = args.ratings.offsets[row + 1];
  total.clear();
  add_prior(args, end - begin, total);
  for (std::int64_t wave = begin; wave < end; wave += kPiecesAtOnce * kPieceEntries) {
    const std::int64_t count =
        std::min(kPiecesAtOnce, (end - wave + kPieceEntries - 1) / kPieceEntries);
    ctx.threads().parallel_for(count, 1, [&](std::int64_t piece, std::int64_t, int thread) {
      NormalSystem& part = pieces[static_cast<std::size_t>(piece)];
      const std::int64_t first = wave + piece * kPieceEntries;
      part.clear();
      workers[static_cast<std::size_t>(thread)].adder.add(
          first, std::min(first + kPieceEntries, end), part);
    });
    for (std::int64_t piece = 0; piece < count; ++piece)
      total.add(pieces[static_cast<std::size_t>(piece)]);
  }
}
}  // namespace

void for_each_system(const Context& ctx, const NormalEquationsArgs& args,
                     const std::function<void(std::int64_t, NormalSystem&, int)>& finish) {
  if (args.ratings.rows == 0) return;
  Workspace::Scope scratch(ctx);
  std::vector<Worker> workers;
  workers.reserve(static_cast<std::size_t>(ctx.threads().size()));
  for (int t = 0; t < ctx.threads().size(); ++t) workers.emplace_back(args, scratch);

  for (std::int64_t row = 0; row < args.ratings.rows; ++row) {
    if (entries_of(args, row) <= kPieceEntries) continue;
    sum_heavy_row(ctx, args, row, workers, workers[0].system);
    finish(row, workers[0].system, 0);
  }
  const std::int64_t size = system_size(args);
  const auto ranges = row_ranges(args.ratings, size / 3 + 16, ctx.threads().size());
  ctx.threads().parallel_for(static_cast<std::int64_t>(ranges.size()) - 1, 1,
                             [&](std::int64_t range, std::int64_t, int thread) {
                               Worker& worker = workers[static_cast<std::size_t>(thread)];
                               const auto r = static_cast<std::size_t>(range);
                               for (std::int64_t row = ranges[r]; row < ranges[r + 1]; ++row) {
                                 const std::int64_t entries = entries_of(args, row);
                                 if (entries > kPieceEntries) continue;
                                 worker.system.clear();
                                 add_prior(args, entries, worker.system);
                                 worker.adder.add(args.ratings.offsets[row],
                                                  args.ratings.offsets[row + 1], worker.system);
                                 finish(row, worker.system, thread);
                               }
                             });
}

}  // namespace gradmill::cpu
