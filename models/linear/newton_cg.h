// Trust-region Newton method with preconditioned conjugate gradients.
#pragma once

#include "models/linear/full_batch.h"

namespace gradmill {

/// Lin, Weng, Keerthi, "Trust region Newton method for large-scale logistic regression", JMLR 9, 2008, with
/// the diagonal preconditioner of Hsia, Chiang, Lin, "Preconditioned conjugate gradient methods in truncated
/// Newton frameworks for large-scale linear classification", ACML'18.
class NewtonSolver final : public FullBatchSolver {
 public:
  NewtonSolver(const Context& ctx, const Context& host, Communicator& comm,
               const LinearConfig& config, const LinearShape& shape, const Loss& loss, Samples mine,
               std::vector<std::int32_t> order, std::string what);
  std::string describe() const override { return what_; }

 private:
  struct Step {
    double slope, predicted, length;  // g.d, -(g.d + d.H d / 2), |d| in the preconditioner's norm
    bool at_boundary;
  };
  bool iterate() override;
  void forget() override { curvatures_at_point_ = false; }
  Step conjugate_gradients(double radius);
  void update_radius(const Step& step, double actual);

  enum : std::int32_t {
    kNext = kFirstFree,
    kNextGradient,
    kStep,
    kResidual,
    kScaled,
    kConjugate,
    kProduct,
    kDiagonal,
    kRows
  };
  const std::string what_;
  bool curvatures_at_point_ = false;
};

}  // namespace gradmill
