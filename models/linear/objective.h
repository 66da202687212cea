// The regularized objective of a linear model over all ranks' samples, as full-batch optimizers see it:
// a function of one long vector.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "dist/communicator.h"
#include "kernels/losses.h"
#include "models/linear/sample_store.h"
#include "models/linear/solver.h"
#include "runtime/buffer.h"

namespace gradmill {

/// Points, gradients and directions are rows of a table of doubles with size() elements each: the
/// coefficients [C, n], class by class, then the intercepts [C].
class LinearObjective {
 public:
  LinearObjective(const Context& ctx, const Context& host, Communicator& comm,
                  const LinearConfig& config, const LinearShape& shape, const Loss& loss,
                  Samples mine, bool curvatures);

  std::int64_t size() const { return regularized() + shape_.outputs; }
  std::int64_t regularized() const { return shape_.outputs * shape_.num_features; }
  /// Floats between rows of a table: room behind a row for sums that travel with it.
  std::int64_t stride() const { return size() + kExtra; }
  /// The point or direction in single precision: what the next call reads; whoever makes the double
  /// vector writes it, too.
  VectorView<float> rounded() { return rounded_.view(); }

  /// F(x) and its gradient, without the kinks of l1 in the gradient; collective. Reads rounded().
  double evaluate(MatrixView<double> table, std::int32_t x, std::int32_t gradient);
  /// Hessian at the last point evaluated times a direction; collective. Reads rounded().
  void hessian_product(MatrixView<double> table, std::int32_t direction, std::int32_t product);
  /// The Hessian's diagonal at the last point evaluated; collective.
  void hessian_diagonal(MatrixView<double> table, std::int32_t into);

  std::int64_t passes() const { return passes_; }
  double l1() const { return config_.l1; }

 private:
  static constexpr std::int64_t kExtra = 8;
  struct Row {
    MatrixView<double> coefficients;
    VectorView<double> intercepts;
    VectorView<double> all;    // with one element behind
    VectorView<double> extra;  // the elements behind
  };
  Row row(MatrixView<double> table, std::int32_t r) const;
  void add_pieces(MatrixView<double> table, std::int32_t into,
                  const std::function<void(int, Row)>& compute);
  void finish(MatrixView<double> table, std::int32_t x, std::int32_t gradient, double l1);

  const Context& ctx_;
  Communicator& comm_;
  const LinearConfig config_;
  const LinearShape shape_;
  const Loss loss_;
  double total_weight_ = 0;
  SampleStore store_;
  std::int64_t passes_ = 0;
  Buffer<float> rounded_, slopes_, curvatures_;
  Buffer<double> partial_, zero_;
};

}  // namespace gradmill
