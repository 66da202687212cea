// What the full-batch optimizers share: a table of long vectors, a point that moves, a rule to stop.
#pragma once

#include <array>

#include "kernels/vector_ops/vector_ops.h"
#include "models/linear/objective.h"
#include "models/linear/parameters.h"

namespace gradmill {

class FullBatchSolver : public LinearSolver {
 public:
  bool run_epoch(std::int64_t epoch) final;
  double loss() final { return progress_.value; }
  std::vector<std::pair<std::string, double>> progress() const final;
  std::string why_stopped() const final { return why_; }
  LinearParameters parameters() final { return user_.view(); }
  std::vector<StateTensor> state() final;
  void restored() final;
  void warm_started() final;

 protected:
  /// The first rows of the table are the point and its gradient.
  enum : std::int32_t { kPoint = 0, kGradient = 1, kFirstFree = 2 };

  FullBatchSolver(const Context& ctx, const Context& host, Communicator& comm,
                  const LinearConfig& config, const LinearShape& shape, const Loss& loss,
                  Samples mine, std::vector<std::int32_t> order, bool curvatures,
                  std::int32_t rows);

  /// Moves the point and evaluates there: value, gradient row. False: no step lowers the objective.
  virtual bool iterate() = 0;
  /// A new point was set from outside: what was learned on the way is void.
  virtual void forget() {}
  /// The gradient whose norm decides when to stop: row of the table, kGradient unless l1.
  virtual std::int32_t stop_gradient() { return kGradient; }

  MatrixView<double> table() {
    return table_.matrix(rows_, objective_.size(), objective_.stride());
  }
  double evaluate(std::int32_t point, std::int32_t gradient) {
    return objective_.evaluate(table(), point, gradient);
  }
  std::vector<double> dots(std::initializer_list<VectorPair> pairs) {
    return dots(std::vector<VectorPair>(pairs));
  }
  std::vector<double> dots(const std::vector<VectorPair>& pairs);
  /// table[into] = sum of terms; rounded: what the objective reads next.
  void combine(std::int32_t into, const std::vector<VectorTerm>& terms, bool rounded = false);

  /// What an optimizer remembers beside the table, as numbers: saved with the state.
  static constexpr std::size_t kMemory = 1024;
  std::array<double, kMemory> memory_{};

  const Context& ctx_;
  const LinearConfig config_;
  LinearObjective objective_;
  struct Progress {
    double value = 0, gradient_norm = 0, first_norm = -1, started = 0;
  } progress_;

 private:
  void start();
  bool small_enough();

  UserParameters user_;
  std::int32_t rows_;
  Buffer<double> table_, results_;
  std::string why_;
  bool stopped_ = false;
};

}  // namespace gradmill
