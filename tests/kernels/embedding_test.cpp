#include "kernels/embedding/embedding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

namespace gradmill {
namespace {

template <class T>
VectorView<T> view(std::vector<T>& v) {
  return {v.data(), static_cast<std::int64_t>(v.size()), {}};
}
std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

struct Case {
  std::int64_t samples, fields = 3, rows = 40, dim = 5;
  bool bags = false, weights = false, mean = false;
};

/// A batch with a padded table; some entries are -1, some bags are empty.
struct Problem {
  explicit Problem(const Case& c) : shape(c), stride(c.dim + 2), out_stride(c.fields * c.dim + 4) {
    std::mt19937 rng(static_cast<unsigned>(c.samples * 31 + c.dim));
    std::normal_distribution<float> normal;
    offsets.push_back(c.bags ? 7 : 0);  // need not start at 0
    for (std::int64_t b = 0; b < c.samples * c.fields; ++b) {
      const unsigned count = c.bags ? rng() % 4 : 1;
      for (unsigned i = 0; i < count; ++i) {
        ids.push_back(
            rng() % 9 == 0 ? -1 : static_cast<std::int32_t>(rng() % static_cast<unsigned>(c.rows)));
        weights.push_back(normal(rng));
      }
      offsets.push_back(offsets.back() + count);
    }
    for (std::int64_t i = 0; i < c.rows * stride; ++i) table.push_back(normal(rng));
    for (std::int64_t i = 0; i < c.samples * out_stride; ++i) gradient.push_back(normal(rng));
    const std::size_t entries = ids.size();
    sorted.resize(entries), order.resize(entries), bag_of.resize(entries);
    starts.resize(entries + 1);
  }
  EmbeddingBags bags() {
    EmbeddingBags b;
    b.samples = shape.samples, b.fields = shape.fields, b.mean = shape.mean;
    b.ids = view(ids);
    if (shape.bags) b.offsets = view(offsets);
    if (shape.weights) b.weights = view(weights);
    return b;
  }
  MatrixView<float> table_view() { return {table.data(), shape.rows, shape.dim, stride, {}}; }
  MatrixView<float> out_view(std::vector<float>& v) const {
    return {v.data(), shape.samples, shape.fields * shape.dim, out_stride, {}};
  }
  double factor(std::int64_t b, std::int64_t e) const {
    const double w = shape.weights ? weights[at(e)] : 1.0;
    return shape.mean ? w / static_cast<double>(offsets[at(b) + 1] - offsets[at(b)]) : w;
  }
  /// body(bag, entry, id) for all entries that have one.
  template <class Body>
  void each(Body&& body) const {
    for (std::int64_t b = 0; b < shape.samples * shape.fields; ++b)
      for (std::int64_t e = offsets[at(b)] - offsets[0]; e < offsets[at(b) + 1] - offsets[0]; ++e)
        if (ids[at(e)] >= 0) body(b, e, ids[at(e)]);
  }
  EmbeddingSortArgs sort_args() {
    return {bags(),       shape.rows,   view(sorted),   view(order),
            view(bag_of), view(starts), {&count, 1, {}}};
  }
  EmbeddingUpdateArgs update_args() {
    EmbeddingUpdateArgs args;
    args.bags = bags();
    args.ids = view(sorted), args.order = view(order), args.bag_of = view(bag_of);
    args.starts = view(starts);
    args.count = {&count, 1, {}};
    args.gradient = out_view(gradient);
    args.table = table_view();
    return args;
  }
  /// Sums of the gradients by id, in double.
  std::map<std::int32_t, std::vector<double>> gradients() const {
    std::map<std::int32_t, std::vector<double>> sums;
    each([&](std::int64_t b, std::int64_t e, std::int32_t id) {
      auto& g = sums[id];
      g.resize(at(shape.dim));
      const std::int64_t from = b / shape.fields * out_stride + b % shape.fields * shape.dim;
      for (std::int64_t i = 0; i < shape.dim; ++i)
        g[at(i)] += factor(b, e) * gradient[at(from + i)];
    });
    return sums;
  }

  Case shape;
  std::int64_t stride, out_stride, count = -1;
  std::vector<std::int64_t> offsets, starts;
  std::vector<std::int32_t> ids, sorted, order, bag_of;
  std::vector<float> weights, table, gradient;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const std::int64_t samples : {0, 1, 31, 32, 33, 257, 10000}) {
    all.push_back({samples});
    all.push_back({samples, 1, 5000, 16});
    all.push_back({samples, 2, 3, 33, true});
    all.push_back({samples, 4, 3000, 4, true, true, true});
    all.push_back({samples, 3, 100, 1, false, true});
  }
  return all;
}

TEST(EmbeddingTest, GatherAddsTheRowsOfBags) {
  for (const Case& c : cases()) {
    Problem p(c);
    std::vector<float> out(p.gradient.size(), 77.0f);
    embedding_gather(Context::cpu(2), {p.bags(), p.table_view(), p.out_view(out)});
    std::vector<double> expected(out.size(), 77.0);
    for (std::int64_t b = 0; b < c.samples; ++b)
      std::fill_n(expected.begin() + b * p.out_stride, c.fields * c.dim, 0.0);
    p.each([&](std::int64_t b, std::int64_t e, std::int32_t id) {
      for (std::int64_t i = 0; i < c.dim; ++i)
        expected[at(b / c.fields * p.out_stride + b % c.fields * c.dim + i)] +=
            p.factor(b, e) * p.table[at(id * p.stride + i)];
    });
    for (std::size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], expected[i], 1e-5) << i;
  }
}

TEST(EmbeddingTest, SortIsStableAndLeavesOutNone) {
  for (const Case& c : cases()) {
    Problem p(c);
    embedding_sort(Context::cpu(2), p.sort_args());
    std::map<std::int32_t, std::vector<std::pair<std::int64_t, std::int64_t>>> expected;
    p.each([&](std::int64_t b, std::int64_t e, std::int32_t id) {
      expected[id].push_back({e, b});
    });
    ASSERT_EQ(p.count, static_cast<std::int64_t>(expected.size()));
    std::int64_t u = 0, begin = 0;
    for (const auto& [id, entries] : expected) {
      ASSERT_EQ(p.sorted[at(u)], id);
      ASSERT_EQ(p.starts[at(u)], begin);
      for (const auto& [entry, bag] : entries) {
        ASSERT_EQ(p.order[at(begin)], entry);
        ASSERT_EQ(p.bag_of[at(begin++)], bag);
      }
      ++u;
    }
    ASSERT_EQ(p.starts[at(u)], begin);
  }
}

TEST(EmbeddingTest, RowWiseAdagrad) {
  for (const Case& c : cases()) {
    Problem p(c);
    const Context ctx = Context::cpu(2);
    embedding_sort(ctx, p.sort_args());
    std::vector<float> slots(at(c.rows), 0.25f), before = p.table;
    EmbeddingUpdateArgs args = p.update_args();
    args.optimizer.rate = 0.1f;
    args.slots = {slots.data(), c.rows, 1, 1, {}};
    embedding_update(ctx, args);
    std::vector<double> expected(before.begin(), before.end()), squares(at(c.rows), 0.25);
    for (const auto& [id, g] : p.gradients()) {
      double mean = 0;
      for (const double x : g) mean += x * x / static_cast<double>(c.dim);
      squares[at(id)] += mean;
      for (std::int64_t i = 0; i < c.dim; ++i)
        expected[at(id * p.stride + i)] -= 0.1 * g[at(i)] / (std::sqrt(squares[at(id)]) + 1e-8);
    }
    for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(p.table[i], expected[i], 2e-5);
    for (std::size_t i = 0; i < slots.size(); ++i)
      ASSERT_NEAR(slots[i], squares[i], 1e-5 * squares[i]);
  }
}

TEST(EmbeddingTest, LazyAdamDecaysForTheStepsThatARowMissed) {
  for (const Case& c : {Case{33}, Case{257, 2, 500, 16, true, true}}) {
    Problem p(c);
    const Context ctx = Context::cpu(2);
    embedding_sort(ctx, p.sort_args());
    std::vector<float> slots(at(c.rows * 2 * c.dim), 0.5f), before = p.table;
    std::vector<std::int32_t> seen(at(c.rows), 3);
    EmbeddingUpdateArgs args = p.update_args();
    args.row_wise = false;
    args.optimizer = {.kind = OptimizerKind::adam, .rate = 0.1f, .unbias1 = 2, .unbias2 = 3};
    args.step = 7;  // so the gap is 5
    args.slots = {slots.data(), c.rows, 2 * c.dim, 2 * c.dim, {}};
    args.seen = view(seen);
    embedding_update(ctx, args);
    const auto gradients = p.gradients();
    for (std::int32_t id = 0; id < c.rows; ++id) {
      const auto found = gradients.find(id);
      EXPECT_EQ(seen[at(id)], found == gradients.end() ? 3 : 8);
      for (std::int64_t i = 0; i < c.dim; ++i) {
        double m = 0.5, v = 0.5, w = before[at(id * p.stride + i)];
        if (found != gradients.end()) {
          const double g = found->second[at(i)];
          m = std::pow(0.9, 5) * m + 0.1 * g;
          v = std::pow(0.999, 5) * v + 0.001 * g * g;
          w -= 0.1 * 2 * m / (std::sqrt(3 * v) + 1e-8);
        }
        ASSERT_NEAR(p.table[at(id * p.stride + i)], w, 2e-5);
        ASSERT_NEAR(slots[at(id * 2 * c.dim + i)], m, 2e-5);
        ASSERT_NEAR(slots[at((id * 2 + 1) * c.dim + i)], v, 2e-5);
      }
    }
  }
}

TEST(EmbeddingTest, BitsDoNotDependOnThreads) {
  const Case c{1000, 4, 300, 16, true, true, true};
  Problem one(c), three(c);
  for (auto [p, threads] : {std::pair{&one, 1}, {&three, 3}}) {
    const Context ctx = Context::cpu(threads);
    std::vector<float> slots(at(c.rows));
    embedding_sort(ctx, p->sort_args());
    EmbeddingUpdateArgs args = p->update_args();
    args.slots = {slots.data(), c.rows, 1, 1, {}};
    embedding_update(ctx, args);
  }
  EXPECT_EQ(one.table, three.table);
}

TEST(EmbeddingTest, ShapesThatDisagreeAreRefused) {
  Problem p(Case{5});
  std::vector<float> out(p.gradient.size());
  EmbeddingGatherArgs args{p.bags(), p.table_view(), p.out_view(out)};
  args.out.cols += 1;
  EXPECT_ANY_THROW(embedding_gather(Context::cpu(1), args));
  EmbeddingSortArgs sort = p.sort_args();
  sort.starts.size -= 1;
  EXPECT_ANY_THROW(embedding_sort(Context::cpu(1), sort));
}
}  // namespace
}  // namespace gradmill
