// What a training run (launch/training_run.h) needs of the model that it trains: the seam between the two.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "launch/checkpoint.h"
#include "launch/config.h"
#include "launch/report.h"
#include "models/epoch_observer.h"
#include "models/state_tensor.h"
#include "runtime/log.h"

namespace gradmill {

/// Names and values of one epoch, in the order to show them: "loss", "rmse", "ndcg@10", …
using Metrics = std::vector<std::pair<std::string, double>>;

/// The name in Metrics of the metric that decides which model is best; empty: none does.
struct DecidingMetric {
  std::string name;
  bool smaller_is_better = false;
};

/// What a run lends to its trainee; outlives it.
struct TrainingSite {
  const Config& config;
  const Context& ctx;   // the device to train on
  const Context& host;  // a CPU context with this rank's threads
  Communicator& comm;
  Log& log;
};

/// What a trainee has found in its data, over all ranks.
struct TraineeData {
  std::int64_t rows = 0, valid_rows = 0;  // trained on in an epoch; held out
  std::int64_t skipped = 0;               // records that were left out
  std::string digest;                     // tells one training set from another
  std::string description;                // "100 ratings of 20 users and 30 items"
  double read_seconds = 0;                // of this rank, from files to rows
};

/// One object a rank: the model, its data and its optimizer. Made by a TraineeFactory, which reads the data.
/// Every call is collective unless it says otherwise.
class Trainee {
 public:
  virtual ~Trainee() = default;
  Trainee() = default;
  Trainee(Trainee&&) = delete;

  virtual const TraineeData& data() const = 0;         // local
  virtual DecidingMetric deciding_metric() const = 0;  // local

  /// To be told of progress within the epochs that follow; a model without steps to tell of may ignore it.
  virtual void observe(EpochObserver) {}  // local
  /// False if training has come to its end: no later call changes anything.
  virtual bool run_epoch(std::int64_t epoch) = 0;
  /// Of the last epoch: "loss" first; what is cheap to know. A loss that is not finite ends the run.
  virtual Metrics progress() = 0;
  /// Adds the metrics of the held-out rows; nothing if there are none.
  virtual void evaluate(Metrics& metrics) = 0;

  /// Everything that decides the next epoch. After the caller has overwritten it: restored().
  virtual std::vector<StateTensor> state() = 0;
  virtual void restored() = 0;
  /// Takes over what another model has learned, as far as it fits; says in the log what that is.
  virtual void warm_start(const std::string& path) = 0;
  /// Writes the folder parent/name: the state and what else a model needs. final: the run's model/,
  /// rather than a checkpoint of it.
  virtual void write(const std::string& parent, const std::string& name, const CheckpointInfo& info,
                     bool final) = 0;

  virtual std::string kind() const = 0;                   // local; of the manifest: "mf-als"
  virtual std::string describe() const = 0;               // local: "ALS, Cholesky, 64 factors"
  virtual std::string unit() const = 0;                   // local; of data().rows: "ratings"
  virtual std::string why_stopped() const { return {}; }  // local; once run_epoch gave false
  virtual std::string if_diverged() const = 0;  // local; what to do: "lower model.learning_rate"
  /// Adds to the report what only this kind of model has. By rank 0 alone.
  virtual void report(ReportData&) const {}
};

/// Collective: reads the data and makes the model.
using TraineeFactory = std::unique_ptr<Trainee> (*)(const TrainingSite& site);

}  // namespace gradmill
