// Predictions of a matrix factorization for given (user, item) pairs, and their error sums.
#pragma once

#include "runtime/check.h"

namespace gradmill {

/// predictions[b] = offset + user_bias[u] + item_bias[i] + <users[u], items[i]>, clipped to [low, high].
/// An id of -1 (unknown) contributes neither bias nor factors: the prediction falls back to what is known.
/// error_sums [3] (if not empty) += sum w, sum w (r - p)^2, sum w |r - p| of the values given, in fp64
/// and in a fixed order.
/// Shapes   user_ids, item_ids [B]; users [U, k]; items [I, k]; biases [U], [I] or empty;
///          values, weights [B] or empty; predictions [B] or empty.
/// Bytes    8 B + 8 k B gathered + 4 B written.     FLOPs  2 k B.
struct MfPredictArgs {
  VectorView<const std::int32_t> user_ids;
  VectorView<const std::int32_t> item_ids;
  MatrixView<const float> users;
  MatrixView<const float> items;
  VectorView<const float> user_biases;
  VectorView<const float> item_biases;
  float offset = 0;
  float low = -3.4e38f;
  float high = 3.4e38f;
  VectorView<const float> values;
  VectorView<const float> weights;
  VectorView<float> predictions;
  VectorView<double> error_sums;

  static constexpr Tolerance tolerance{1e-3, 1e-3};
  template <class V>
  void visit(V& v) {
    v.in("user_ids", user_ids);
    v.in("item_ids", item_ids);
    v.in("users", users);
    v.in("items", items);
    v.in("user_biases", user_biases);
    v.in("item_biases", item_biases);
    v.in("values", values);
    v.in("weights", weights);
    v.out("predictions", predictions);
    v.out("error_sums", error_sums);
  }
};
void mf_predict(const Context& ctx, const MfPredictArgs& args);
namespace cpu {
void mf_predict(const Context& ctx, const MfPredictArgs& args);
}
namespace cuda {
void mf_predict(const Context& ctx, const MfPredictArgs& args);
}

}  // namespace gradmill
