// Embedding tables: gathering rows for a batch, and their update.
#pragma once

#include "kernels/step_state.h"
#include "runtime/check.h"

namespace gradmill {

/// Which rows of the tables each sample uses. All fields share one table: a field's ids begin where the ids of
/// the field before it end. Bag (b, f) holds the entries offsets[b F + f] .. offsets[b F + f + 1].
struct EmbeddingBags {
  std::int64_t samples = 0, fields = 0;
  VectorView<const std::int64_t>
      offsets;  // [B F + 1], need not start at 0; or empty: one entry a bag
  VectorView<const std::int32_t>
      ids;                          // [entries], entry e is ids[e - offsets[0]]; -1: a row of zeros
  VectorView<const float> weights;  // [entries] or empty: all 1
  bool mean = false;                // divide each bag by its number of entries
  template <class V>
  void visit(V& v) {
    v.in("offsets", offsets);
    v.in("ids", ids);
    v.in("bag_weights", weights);
  }
};

/// out[b, f K + k] = sum over the bag's entries of weight * table[id, k]  (mean: / entries).
/// Shapes   table [R, K], rows 128-byte aligned where K >= 32; out [B, F K], row stride >= F K.
/// Bytes    4 entries (8 with weights) + 4 K entries gathered + 4 B F K written.   FLOPs  2 K entries.
/// Order    of the entries.
struct EmbeddingGatherArgs {
  EmbeddingBags bags;
  MatrixView<const float> table;
  MatrixView<float> out;

  static constexpr Tolerance tolerance{1e-5, 1e-6};
  template <class V>
  void visit(V& v) {
    bags.visit(v);
    v.in("table", table);
    v.out("out", out);
  }
};
void embedding_gather(const Context& ctx, const EmbeddingGatherArgs& args);

/// The entries of a batch by id: ids [U] ascending and distinct, of id u the entries order[starts[u]] ..
/// order[starts[u + 1]] in ascending order; entries with id -1 are left out. U is written to count[0].
/// Shapes   ids, order [entries]; starts [entries + 1]; bag_of [entries]: the bag of each entry of `order`.
/// Order    exact. Independent of the tables, so it can run while the forward pass does.
struct EmbeddingSortArgs {
  EmbeddingBags bags;
  std::int64_t table_rows = 0;
  VectorView<std::int32_t> ids, order, bag_of;
  VectorView<std::int64_t> starts;
  VectorView<std::int64_t> count;

  static constexpr Tolerance tolerance{0, 0};
  template <class V>
  void visit(V& v) {
    bags.visit(v);
    v.out("ids", ids);
    v.out("order", order);
    v.out("bag_of", bag_of);
    v.out("starts", starts);
    v.out("count", count);
  }
};
void embedding_sort(const Context& ctx, const EmbeddingSortArgs& args);

/// For every distinct id u of the batch, with
///   g[k] = sum over its entries e of weight_e / (mean: entries of the bag) * gradient[b, f K + k]:
/// row-wise Adagrad (FBGEMM; Naumov et al., arXiv 1906.00091): slots[u, 0] += mean of g[k]^2;
///   table[u] -= rate g / (sqrt(slots[u, 0]) + epsilon);
/// other optimizers: optimizer_update of every element with gap = steps since its last (lazy);
/// `sums` with data: sums[u] = g instead, and nothing else.
/// With a state (StepState): its numbers of the step are used, g is multiplied by its scale, and nothing changes
/// unless it says so; sums are made regardless of it.
/// Shapes   gradient [B, F K]; table [R, K]; slots [R, 1] (row-wise) or [R, S K]; seen [R] or empty;
///          sums [>= count, K] or no data; state [StepState::count] or empty.
/// Bytes    4 K entries gathered + 8 K U + slots.
/// Order    g in the order of `order`; no atomics.
struct EmbeddingUpdateArgs {
  EmbeddingBags bags;
  VectorView<const std::int32_t> ids, order, bag_of;
  VectorView<const std::int64_t> starts;
  VectorView<const std::int64_t> count;
  MatrixView<const float> gradient;
  bool row_wise = true;
  OptimizerStep optimizer;
  std::int32_t step = 0;  // steps made before this one; with a state its own number is used
  VectorView<const double> state;
  MatrixView<float> table;
  MatrixView<float> slots;
  VectorView<std::int32_t> seen;
  MatrixView<float> sums;

  static constexpr Tolerance tolerance{1e-3, 1e-5};
  template <class V>
  void visit(V& v) {
    bags.visit(v);
    v.in("ids", ids);
    v.in("order", order);
    v.in("bag_of", bag_of);
    v.in("starts", starts);
    v.in("count", count);
    v.in("gradient", gradient);
    v.out("table", table);
    v.out("slots", slots);
    v.out("seen", seen);
    v.out("sums", sums);
  }
};
void embedding_update(const Context& ctx, const EmbeddingUpdateArgs& args);

/// The number of the step that is made, from 1: what `seen` gets.
GRADMILL_HD inline std::int32_t step_number(const EmbeddingUpdateArgs& args) {
  return args.state.size ? static_cast<std::int32_t>(args.state[StepState::made]) : args.step + 1;
}

namespace cpu {
void embedding_gather(const Context& ctx, const EmbeddingGatherArgs& args);
void embedding_sort(const Context& ctx, const EmbeddingSortArgs& args);
void embedding_update(const Context& ctx, const EmbeddingUpdateArgs& args);
}  // namespace cpu
namespace cuda {
void embedding_gather(const Context& ctx, const EmbeddingGatherArgs& args);
void embedding_sort(const Context& ctx, const EmbeddingSortArgs& args);
void embedding_update(const Context& ctx, const EmbeddingUpdateArgs& args);
}  // namespace cuda

}  // namespace gradmill
