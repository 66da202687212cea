// What the training loop needs of an MLP. One object on each rank.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dist/communicator.h"
#include "models/epoch_observer.h"
#include "models/linear/samples.h"
#include "models/mlp/config.h"
#include "models/mlp/samples.h"
#include "models/state_tensor.h"

namespace gradmill {

class MlpSolver {
 public:
  virtual ~MlpSolver() = default;
  MlpSolver() = default;
  MlpSolver(MlpSolver&&) = delete;

  /// To be told of progress within the epochs that follow.
  virtual void observe(EpochObserver observer) = 0;
  /// One pass over all samples, in an order that (seed, epoch) decide. Collective.
  virtual void run_epoch(std::int64_t epoch) = 0;
  virtual double loss() = 0;  // mean of the last epoch's batches
  virtual std::vector<std::pair<std::string, double>> progress()
      const = 0;  // gradient norm, skipped steps, …
  /// margins [N, outputs] (host memory) of any samples; dropout off, averaged weights if there are any.
  virtual void predict(const Samples& samples, MatrixView<float> margins) = 0;
  /// Everything that decides the next epoch. After the caller has overwritten it: restored().
  virtual std::vector<StateTensor> state() = 0;
  virtual void restored() = 0;
  /// What predictions are made with: the parameters of state(), or their averages under the same names.
  virtual std::vector<StateTensor> model() = 0;
  /// After the caller has overwritten some of the parameters of state() (warm start): averages begin there.
  virtual void warm_started() = 0;
  virtual std::string describe() const = 0;
};

/// Collective; takes this rank's samples.
std::unique_ptr<MlpSolver> make_mlp_solver(const Context& ctx, const Context& host,
                                           Communicator& comm, const MlpConfig& config,
                                           std::uint64_t seed, const MlpShape& shape, Samples mine);

}  // namespace gradmill
