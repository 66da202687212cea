// What the training loop needs of a linear model's optimizer. One object on each rank.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dist/communicator.h"
#include "kernels/losses.h"
#include "models/epoch_observer.h"
#include "models/linear/config.h"
#include "models/linear/samples.h"
#include "models/state_tensor.h"

namespace gradmill {

struct LinearShape {
  std::int64_t num_features = 0;
  int outputs = 1;      // C: 1, or the number of classes (softmax, one against the rest)
  int num_classes = 0;  // 0: regression
};

/// What "auto" means for this many classes (0: regression): the loss, the number of outputs.
/// Errors: ErrorKind::usage if the loss does not fit the labels.
Loss linear_loss(const LinearConfig& config, int num_classes);
LinearShape linear_shape(const LinearConfig& config, std::int64_t num_features, int num_classes);

/// On the solver's device; the same on every rank.
struct LinearParameters {
  MatrixView<float> coefficients;  // [C, n]
  VectorView<float> intercepts;    // [C]
};

class LinearSolver {
 public:
  virtual ~LinearSolver() = default;
  LinearSolver() = default;
  LinearSolver(LinearSolver&&) = delete;

  /// To be told of progress within the epochs that follow: of mini-batches.
  void observe(EpochObserver observer) { observer_ = std::move(observer); }
  /// Full batch: one iteration; mini-batch: one pass over all samples. Collective. False once it has
  /// converged (no later call changes the parameters).
  virtual bool run_epoch(std::int64_t epoch) = 0;
  /// The whole objective after the last epoch (full batch), or the mean loss seen during it (mini-batch).
  virtual double loss() = 0;
  /// Further values of the last epoch to log: {"gradient_norm", …}, {"duality_gap", …}, {"passes", …}.
  virtual std::vector<std::pair<std::string, double>> progress() const = 0;
  /// "gradient norm 3.1e-07 of 1.2e-06 reached", once run_epoch gave false.
  virtual std::string why_stopped() const = 0;

  virtual LinearParameters parameters() = 0;
  /// Everything that decides the next epoch; parameters() are "coefficients" and "intercepts" of it. Some of
  /// it may be in host memory. After the caller has overwritten all of it (resume): restored().
  virtual std::vector<StateTensor> state() = 0;
  virtual void restored() = 0;
  /// After the caller has overwritten parameters() only (warm start, the same values on every rank).
  virtual void warm_started() = 0;
  /// "logistic regression, L-BFGS"
  virtual std::string describe() const = 0;

 protected:
  /// Before a step of an epoch: tells of it about a hundred times.
  void tell(std::int64_t step, std::int64_t steps) const {
    if (observer_ && step > 0 && step % std::max<std::int64_t>(steps / 100, 1) == 0)
      observer_(static_cast<double>(step) / static_cast<double>(steps));
  }

 private:
  EpochObserver observer_;
};

/// ctx: the device to train on; host: a CPU context with this rank's threads.
/// Collective; takes this rank's samples. The shape and config (with_defaults) are equal on all ranks.
/// Errors: ErrorKind::usage if the optimizer cannot do the loss or l1.
std::unique_ptr<LinearSolver> make_linear_solver(const Context& ctx, const Context& host,
                                                 Communicator& comm, const LinearConfig& config,
                                                 std::uint64_t seed, const LinearShape& shape,
                                                 Samples mine);

}  // namespace gradmill
