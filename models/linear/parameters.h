// A linear model's parameters as others see them: in single precision, columns in the user's order.
#pragma once

#include <vector>

#include "models/linear/solver.h"
#include "runtime/buffer.h"

namespace gradmill {

class UserParameters {
 public:
  /// order[j]: the user's column of the solver's column j; empty: the same.
  UserParameters(const Context& ctx, const LinearShape& shape,
                 const std::vector<std::int32_t>& order);

  LinearParameters view();
  std::vector<StateTensor> state();
  /// Between these and a solver's: coefficients of class c at inner(c) [n, outputs in it].
  void from(const MatrixView<float>& feature_major, VectorView<const float> intercepts);
  void from_classes(VectorView<const float> point);  // [C, n], then [C]
  void to(const MatrixView<float>& feature_major, VectorView<float> intercepts);
  void to_classes(VectorView<float> point);

 private:
  void reorder(const MatrixView<float>& inner, std::int64_t first_class, bool backward);
  const Context& ctx_;
  LinearShape shape_;
  Buffer<float> coefficients_, intercepts_;
  Buffer<std::int32_t> order_;
};

/// All ranks' columns, those with the most entries first. Collective.
std::vector<std::int32_t> columns_by_frequency(const Context& host, Communicator& comm,
                                               const Samples& mine);
/// Numbers the columns of all ranks' samples by how often they occur, most frequent first, so that what is
/// used together lies together. Returns the user's column of each new one; collective.
std::vector<std::int32_t> order_columns_by_frequency(const Context& host, Communicator& comm,
                                                     Samples& mine);

}  // namespace gradmill
