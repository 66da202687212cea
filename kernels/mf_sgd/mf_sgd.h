// Stochastic gradient descent for biased matrix factorization, conflict-free and deterministic.
#pragma once

#include "runtime/check.h"

namespace gradmill {

/// Ratings cut into user_blocks x item_blocks; block (i, j) is entries offsets[i * item_blocks + j]
/// .. offsets[i * item_blocks + j + 1], in the order in which they are applied. Users of user block
/// i appear in no other user block, and items likewise.
/// If groups are given, block n is also cut into the groups block_groups[n] .. block_groups[n + 1]
/// - 1, which follow each other from the block's first entry on; group g has group_sizes[g] entries,
/// and no two of them share a user or an item: a group may be applied at once, with the same result
/// as in order.
struct SgdBlocks {
  VectorView<const std::int32_t> users, items;  // [ratings] rows of the tables
  VectorView<const float> values;               // [ratings]
  VectorView<const float> weights;              // [ratings] or empty: all 1
  VectorView<const std::int64_t> offsets;       // [user_blocks * item_blocks + 1]
  std::int32_t user_blocks = 0;
  std::int32_t item_blocks = 0;
  VectorView<const std::int64_t> block_groups;  // [user_blocks * item_blocks + 1] or empty
  VectorView<const std::uint8_t> group_sizes;   // [groups] or empty
};

struct SgdRates {
  float learning_rate = 0.1f;
  float l2_factors =
      0.05f;  // per rating, as in the objective sum (r - r')^2 + l2 (|p|^2 + |q|^2 + b^2)
  float l2_biases = 0.05f;
  bool adagrad = true;  // one accumulated squared gradient per row and one per bias
  float global_mean = 0;
};

/// A pass of SGD over the blocks (i, (i + shift) mod item_blocks) for all user blocks i: no two of them
/// share a user or an item, so they run at the same time, and each is applied in order.
///   e = r - (global_mean + bu + bi + <p, q>)
///   p += rate_p (e q - l2 p);  q += rate_q (e p - l2 q)
///   bu += rate_bu (e - l2_biases bu);  bi likewise
/// where every gradient, its penalty included, is multiplied by the rating's weight w, if there are
/// weights: a rating of weight 0 changes nothing, one of weight 2 counts like two.
/// all from the values before the rating. adagrad: rate = learning_rate / sqrt(accumulated), one per
/// row and one per bias, then accumulated += |gradient|^2 / k (row), += gradient^2 (bias) (Chin et
/// al., "A learning-rate schedule for stochastic gradient methods to matrix factorization",
/// PAKDD'15). |gradient|^2 = e^2 |q|^2 - 2 e l2 <p, q> + l2^2 |p|^2, and |p|^2 of the next rating
/// follows from the same three numbers, so a row's squared norm is part of its state and a rating
/// costs one dot product.
/// Shapes   users [U, k], items [I, k]; padding up to the stride is zero and stays zero.
///          user_state / item_state [rows, 4]: bias, its accumulator, the row's accumulator, the
///          row's squared norm. To start with: 0, 1, 1, |row|^2.
/// Effects  updates factors, states; adds the block's sum of w e^2 (before its updates) into
///          loss [user_blocks], one slot a block, so that the sum does not depend on timing.
/// Bytes    12 (16 with weights) + 16 k (two rows read and written) + 64 (states) per rating, less what stays in cache.
/// FLOPs    8 k + 60 per rating.
/// Order    bits depend on the arguments only: not on threads, nor on the grid.
struct MfSgdArgs {
  SgdBlocks blocks;
  std::int32_t shift = 0;
  SgdRates rates;
  MatrixView<float> users;
  MatrixView<float> items;
  MatrixView<float> user_state;
  MatrixView<float> item_state;
  VectorView<double> loss;

  static constexpr Tolerance tolerance{1e-2, 1e-3};
  template <class V>
  void visit(V& v);
};
void mf_sgd(const Context& ctx, const MfSgdArgs& args);
namespace cpu {
void mf_sgd(const Context& ctx, const MfSgdArgs& args);
}
namespace cuda {
void mf_sgd(const Context& ctx, const MfSgdArgs& args);
}

template <class V>
void MfSgdArgs::visit(V& v) {
  v.in("rating_users", blocks.users);
  v.in("rating_items", blocks.items);
  v.in("values", blocks.values);
  v.in("weights", blocks.weights);
  v.in("offsets", blocks.offsets);
  v.in("block_groups", blocks.block_groups);
  v.in("group_sizes", blocks.group_sizes);
  v.out("users", users);
  v.out("items", items);
  v.out("user_state", user_state);
  v.out("item_state", item_state);
  v.out("loss", loss);
}

}  // namespace gradmill
