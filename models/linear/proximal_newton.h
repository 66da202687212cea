// Coordinate descent for smooth losses, with or without l1, on the CPU of one process.
#pragma once

#include "models/linear/parameters.h"
#include "models/linear/transpose.h"

namespace gradmill {

/// newGLMNET: Yuan, Ho, Lin, "An improved GLMNET for l1-regularized logistic regression", JMLR 13, 2012.
/// An epoch makes a quadratic model around the point from the gradient and all samples' curvatures, goes
/// over its columns one at a time (coefficients that are 0 and want to stay there are left out), and takes
/// the step by a line search on the objective. Columns that stay at 0 by a margin are shrunk: left out
/// until the others have converged. Stops when the norm of the minimum-norm subgradient over all columns is
/// <= tolerance * that at 0. Losses: logistic, squared, squared hinge; one class against the rest.
/// The bits do not depend on the number of threads: a column's sums are one thread's, columns are visited
/// one after the other, in an order that depends on seed, epoch and pass, and losses are summed by fixed blocks of rows.
class ProximalNewtonSolver final : public LinearSolver {
 public:
  ProximalNewtonSolver(const Context& ctx, const Context& host, Communicator& comm,
                       const LinearConfig& config, std::uint64_t seed, const LinearShape& shape,
                       const Loss& loss, Samples mine, std::string what);
  bool run_epoch(std::int64_t epoch) override;
  double loss() override;
  std::vector<std::pair<std::string, double>> progress() const override;
  std::string why_stopped() const override { return why_; }
  LinearParameters parameters() override { return user_.view(); }
  std::vector<StateTensor> state() override;
  void restored() override;
  void warm_started() override;
  std::string describe() const override { return what_; }

 private:
  struct Sums {
    double gradient = 0, curvature = 0;
  };
  /// Of a sample: of its loss at the point, and how far its margin is moved by the step.
  struct Bend {
    float curvature = 0, moved = 0;
  };
  struct Coordinate {
    std::int64_t column;  // num_features: the intercept
    double gradient, curvature, step;
  };
  /// What is saved of an output beside its point, as numbers.
  static constexpr double kNever = 1e300;
  struct Progress {
    double first_norm = -1, norm = 0, most_violation = 0, loss = 0, by_rounding = 0, forced = -1,
           close = 0, stuck_at = kNever, done = 0;
  };

  std::int64_t width() const { return shape_.num_features + 1; }
  double* point(std::int64_t c) { return points_.data() + c * width(); }
  float* shrunk(std::int64_t c) { return shrunk_.data() + c * width(); }
  template <class Body>
  void for_entries(std::int64_t column, const Body& body) const;
  template <class Each>
  void combine_columns(double* sums, const Each& each) const;
  double* margins(std::int64_t c) { return margins_.data() + c * columns_.samples; }
  void compute_margins(std::int64_t c);
  double compute_losses(std::int64_t c, const double* margins);
  void evaluate(std::int64_t c);
  Sums column_sums(std::int64_t column) const;
  double compute_gradients(std::int64_t c);
  double violation(std::int64_t column, double gradient, double weight) const;
  double visit(const double* point, Coordinate& k);
  void minimize_model(std::int64_t c, std::int64_t epoch);
  bool search(std::int64_t c);
  bool unshrink(std::int64_t c);
  void iterate(std::int64_t c, std::int64_t epoch);
  double penalty(const double* point) const;
  void publish();

  const Context& ctx_;
  const LinearConfig config_;
  const std::uint64_t seed_;
  const LinearShape shape_;
  const Loss loss_;
  const std::string what_;
  const double total_weight_;
  std::vector<float> labels_, weights_;
  SampleColumns columns_;
  UserParameters user_;
  std::vector<double> points_;      // [C, n + 1]: coefficients, intercept
  std::vector<double> margins_;     // [C, N]: at the points
  std::vector<float> shrunk_;       // [C, n + 1]: 1 for what is left out
  std::vector<Progress> progress_;  // [C]
  // Of the output at hand.
  std::int64_t evaluated_ = -1;  // whose point the derivatives are at
  std::vector<double> next_, next_margins_, moves_;
  std::vector<float> slopes_;  // by sample
  std::vector<Bend> bends_;    // by sample
  std::vector<Sums> sums_;     // [n + 1]
  std::vector<Coordinate> model_;
  std::string why_;
  bool stopped_ = false;
};

}  // namespace gradmill
