// Dual coordinate descent for support vector machines, on the CPU of one process.
#pragma once

#include <array>

#include "models/linear/parameters.h"

namespace gradmill {

/// Hsieh, Chang, Lin, Keerthi, Sundararajan, "A dual coordinate descent method for large-scale linear SVM",
/// ICML'08, with its shrinking. With C_i = s_i / (W l2), the objective over l2 is
///   P(w) = |w|^2 / 2 + sum_i C_i L(y_i w.x_i),      D(a) = sum_i (a_i - a_i^2 d_i / 2) - |w|^2 / 2,
///   w = sum_i a_i y_i x_i;   hinge: 0 <= a_i <= C_i, d_i = 0;   squared hinge: 0 <= a_i, d_i = 1 / (2 C_i).
/// An epoch visits the samples that are not shrunk, in an order that depends on seed and epoch. Stops when
/// (P - D) <= tolerance * P(0). Without intercept: an unregularized one would tie all a_i together.
class CoordinateDescentSolver final : public LinearSolver {
 public:
  CoordinateDescentSolver(const Context& ctx, const Context& host, Communicator& comm,
                          const LinearConfig& config, std::uint64_t seed, const LinearShape& shape,
                          const Loss& loss, Samples mine, std::vector<std::int32_t> order,
                          std::string what);
  bool run_epoch(std::int64_t epoch) override;
  double loss() override { return progress_.primal; }
  std::vector<std::pair<std::string, double>> progress() const override;
  std::string why_stopped() const override { return why_; }
  LinearParameters parameters() override { return user_.view(); }
  std::vector<StateTensor> state() override;
  void restored() override;
  void warm_started() override;
  std::string describe() const override { return what_; }

 private:
  void visit_class(std::int64_t c, std::int64_t epoch);
  void visit(std::int64_t c, std::int64_t row, double& highest, double& lowest);
  void reset_shrinking();
  bool check_gap();
  float label(std::int64_t c, std::int64_t row) const;

  const Context& ctx_;
  const LinearConfig config_;
  const std::uint64_t seed_;
  const LinearShape shape_;
  const bool squared_;
  const std::string what_;
  const double total_weight_;
  UserParameters user_;
  Samples samples_;
  std::vector<float> squares_;  // |x_i|^2
  std::vector<float> costs_;    // C_i
  std::vector<float> weights_;  // [C, n], then intercepts [C] of zeros
  std::vector<float> alphas_;   // [C, N]
  std::vector<float> active_;   // [C, N]: 1, or 0 for shrunk
  std::vector<double> bounds_;  // [C, 2]: beyond which a sample is shrunk
  struct Progress {
    double primal = 0, gap = 0, start = 0, shrunk = 0;
  } progress_;
  std::string why_;
  bool stopped_ = false;
};

}  // namespace gradmill
