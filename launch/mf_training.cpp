#include "launch/mf_training.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "launch/device.h"
#include "launch/mf_model.h"
#include "launch/mf_warm_start.h"
#include "launch/version.h"
#include "models/mf/solver.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"
#include "runtime/trace.h"

namespace gradmill {
namespace {
bool smaller_is_better(const std::string& metric) { return metric == "rmse" || metric == "mae" || metric == "loss"; }

std::string resolve_metric(const Config& config, bool has_valid) {
  if (!has_valid) return {};
  if (config.train.metric != "auto") return config.train.metric;
  return config.model.algorithm == "ials" ? "ndcg" : "rmse";
}

/// One run on one rank, from data to model.
class MfRun {
 public:
  MfRun(const Options& options, World& world, Log& log);
  int run();

 private:
  void resume();
  void load_state(const Checkpoint& checkpoint);
  Metrics run_epoch(std::int64_t epoch);
  void evaluate(Metrics& metrics);
  bool wants_evaluation(std::int64_t epoch) const;
  void save(const std::string& parent, const std::string& name, const Metrics& metrics, std::int64_t epoch,
            bool with_seen);
  bool patience_is_over() const;

  const Options& options_;
  const Config& config_;
  Log& log_;
  std::unique_ptr<Context> ctx_, cpu_;
  std::unique_ptr<Communicator> comm_;
  MfData data_;
  std::unique_ptr<MfSolver> solver_;
  std::optional<HeldOut> held_out_;
  BestMetric best_;
  RunRecord record_;
  std::int64_t first_epoch_ = 0;

  const Context& host() const { return ctx_->is_cuda() ? *cpu_ : *ctx_; }
};
}  // namespace
