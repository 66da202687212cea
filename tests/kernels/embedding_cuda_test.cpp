#include <fmt/format.h>
#include <gtest/gtest.h>

#include "kernels/embedding/embedding.h"
#include "tests/support/device_run.h"
#include "tests/support/devices.h"
#include "tests/support/embedding_problem.h"

namespace gradmill {
namespace {
using testing::EmbeddingCase;
using testing::EmbeddingProblem;

std::string name_of(const EmbeddingCase& c) {
  return fmt::format("{} samples of {} fields, {} rows of {}, bags {} weights {} mean {} hot {}",
                     c.samples, c.fields, c.rows, c.k, c.bags, c.weights, c.mean, c.hot);
}

const EmbeddingCase kCases[] = {{0, 3, 10, 4},
                                {1, 1, 1, 1},
                                {31, 2, 7, 16},
                                {33, 3, 50, 20},
                                {257, 4, 1000, 32, true},
                                {300, 2, 64, 33, true, true},
                                {300, 2, 64, 8, true, true, true},
                                {2000, 2, 3000, 16, false, false, false, true},
                                {500, 3, 40, 12, true, true, true, true}};

/// What embedding_sort gives, in host memory.
struct Sorted {
  std::vector<std::int32_t> ids, order, bag_of;
  std::vector<std::int64_t> starts, count{0};
  explicit Sorted(std::int64_t entries)
      : ids(static_cast<std::size_t>(entries)),
        order(ids),
        bag_of(ids),
        starts(static_cast<std::size_t>(entries) + 1) {}
  template <class T>
  static VectorView<T> view(std::vector<T>& v) {
    return {v.data(), static_cast<std::int64_t>(v.size()), {}};
  }
  EmbeddingSortArgs args(const EmbeddingBags& bags, std::int64_t rows) {
    return {bags, rows, view(ids), view(order), view(bag_of), view(starts), view(count)};
  }
};

TEST(EmbeddingCuda, Gather) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const EmbeddingCase& c : kCases) {
    EmbeddingProblem problem(c);
    std::vector<float> out(static_cast<std::size_t>(c.samples * c.fields * c.k));
    const EmbeddingGatherArgs args{problem.bags(), problem.view(problem.table(), c.rows, c.k),
                                   problem.view(out, c.samples, c.fields * c.k)};
    testing::expect_device_matches(*gpus[0], name_of(c), args, {1e-5, 1e-5}, embedding_gather,
                                   [&](const auto&) {
                                     const auto expected = problem.gathered();
                                     out.assign(expected.begin(), expected.end());
                                   });
  }
}

TEST(EmbeddingCuda, SortEqualsThatOfTheCpu) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const EmbeddingCase& c : kCases) {
    EmbeddingProblem problem(c);
    Sorted mine(problem.entries()), theirs(problem.entries());
    embedding_sort(Context::cpu(1), mine.args(problem.bags(), c.rows));
    EmbeddingSortArgs args = theirs.args(problem.bags(), c.rows);
    {
      ArgumentTwin twin(*gpus[0]);
      EmbeddingSortArgs device = args;
      device.visit(twin);
      embedding_sort(*gpus[0], device);
      const auto fetch = [&](auto& to, const auto& from) {
        copy_bytes(*gpus[0], to.data(), Device{}, from.data, from.device,
                   to.size() * sizeof(to[0]));
      };
      fetch(theirs.ids, device.ids);
      fetch(theirs.order, device.order);
      fetch(theirs.bag_of, device.bag_of);
      fetch(theirs.starts, device.starts);
      fetch(theirs.count, device.count);
      gpus[0]->synchronize();
    }
    ASSERT_EQ(mine.count, theirs.count) << name_of(c);
    const auto distinct = static_cast<std::ptrdiff_t>(mine.count[0]);
    const auto known = static_cast<std::ptrdiff_t>(mine.starts[static_cast<std::size_t>(distinct)]);
    const auto same = [&](const auto& a, const auto& b, std::ptrdiff_t count) {
      return std::equal(a.begin(), a.begin() + count, b.begin());
    };
    EXPECT_TRUE(same(mine.ids, theirs.ids, distinct)) << name_of(c);
    EXPECT_TRUE(same(mine.starts, theirs.starts, distinct + 1)) << name_of(c);
    EXPECT_TRUE(same(mine.order, theirs.order, known)) << name_of(c);
    EXPECT_TRUE(same(mine.bag_of, theirs.bag_of, known)) << name_of(c);
  }
}

TEST(EmbeddingCuda, UpdateByRowsAndByElements) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const EmbeddingCase& c : kCases)
    for (const bool row_wise : {true, false}) {
      EmbeddingProblem problem(c);
      Sorted sorted(problem.entries());
      embedding_sort(Context::cpu(1), sorted.args(problem.bags(), c.rows));
      std::vector<float> slots(static_cast<std::size_t>(c.rows * (row_wise ? 1 : 2 * c.k)), 0.5f);
      std::vector<std::int32_t> seen(static_cast<std::size_t>(c.rows), 2);
      std::vector<float> gradient = problem.gradient();
      EmbeddingUpdateArgs args;
      args.bags = problem.bags();
      args.ids = Sorted::view(sorted.ids);
      args.order = Sorted::view(sorted.order);
      args.bag_of = Sorted::view(sorted.bag_of);
      args.starts = Sorted::view(sorted.starts);
      args.count = Sorted::view(sorted.count);
      args.gradient = problem.view(gradient, c.samples, c.fields * c.k);
      args.row_wise = row_wise;
      args.optimizer.kind = OptimizerKind::adam;
      args.step = 4;
      args.table = problem.view(problem.table(), c.rows, c.k);
      args.slots = problem.view(slots, c.rows, row_wise ? 1 : 2 * c.k);
      args.seen = Sorted::view(seen);
      testing::expect_device_matches(*gpus[0], name_of(c), args, {1e-3, 1e-5}, embedding_update,
                                     [](const auto& a) { embedding_update(Context::cpu(1), a); });
    }
}
}  // namespace
}  // namespace gradmill
