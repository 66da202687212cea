// Dual coordinate descent for logistic regression, on the CPU of one process.
#pragma once

#include "models/linear/parameters.h"

namespace gradmill {

/// Yu, Huang, Lin, "Dual coordinate descent methods for logistic regression and maximum entropy models",
/// Machine Learning 85, 2011, algorithm 5. With C_i = s_i / (W l2), the objective over l2 is
///   P(w) = |w|^2 / 2 + sum_i C_i log(1 + exp(-y_i w.x_i)),      w = sum_i a_i y_i x_i,
///   D(a) = sum_i (C_i log C_i - a_i log a_i - (C_i - a_i) log(C_i - a_i)) - |w|^2 / 2,   0 < a_i < C_i.
/// a_i and C_i - a_i are both kept, as each may be far smaller than the other. An epoch visits all samples, in
/// an order that depends on seed and epoch; a visit is some Newton steps in one a_i. Everything is in double
/// precision. Stops when (P - D) <= tolerance * P(0). Without intercept: an unregularized one would
/// tie all a_i together.
class DualLogisticSolver final : public LinearSolver {
 public:
  DualLogisticSolver(const Context& ctx, const Context& host, Communicator& comm,
                     const LinearConfig& config, std::uint64_t seed, const LinearShape& shape,
                     Samples mine, std::vector<std::int32_t> order, std::string what);
  bool run_epoch(std::int64_t epoch) override;
  double loss() override { return primal_; }
  std::vector<std::pair<std::string, double>> progress() const override;
  std::string why_stopped() const override { return why_; }
  LinearParameters parameters() override { return user_.view(); }
  std::vector<StateTensor> state() override;
  void restored() override;
  void warm_started() override;
  std::string describe() const override { return what_; }

 private:
  double margin(std::int64_t c, std::int64_t row) const;
  void add_row(std::int64_t c, std::int64_t row, double factor);
  double label(std::int64_t c, std::int64_t row) const;
  void start();
  int visit(std::int64_t c, std::int64_t row);
  bool check_gap();
  void publish();

  const Context& ctx_;
  const LinearConfig config_;
  const std::uint64_t seed_;
  const LinearShape shape_;
  const std::string what_;
  const double total_weight_;
  UserParameters user_;
  Samples samples_;
  std::vector<double> squares_, costs_;  // |x_i|^2, C_i
  std::vector<double> weights_;          // [C, n]
  std::vector<double> alphas_;           // [C, N, 2]: a_i, C_i - a_i
  std::vector<double> accuracy_;         // [C]: of the Newton steps in one a_i
  double primal_ = 0, gap_ = 0, at_zero_ = 0;
  std::string why_;
  bool stopped_ = false;
};

}  // namespace gradmill
