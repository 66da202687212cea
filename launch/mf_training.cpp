#include "launch/mf_training.h"

#include <limits>
#include <optional>

#include "launch/mf_data.h"
#include "launch/mf_model.h"
#include "launch/mf_warm_start.h"
#include "models/mf/evaluate.h"
#include "runtime/expect.h"
#include "runtime/trace.h"

namespace gradmill {
namespace {
std::string ranked(const std::string& name, int cut_off) {
  return fmt::format("{}@{}", name, cut_off);
}

class MfTrainee final : public Trainee {
 public:
  explicit MfTrainee(const TrainingSite& site);

  const TraineeData& data() const override { return summary_; }
  DecidingMetric deciding_metric() const override;
  void observe(EpochObserver observer) override { solver_->observe(std::move(observer)); }
  bool run_epoch(std::int64_t epoch) override;
  Metrics progress() override { return {{"loss", solver_->loss()}}; }
  void evaluate(Metrics& metrics) override;
  std::vector<StateTensor> state() override { return solver_->state(); }
  void restored() override { solver_->restored(); }
  void warm_start(const std::string& path) override;
  void write(const std::string& parent, const std::string& name, const CheckpointInfo& info,
             bool final) override;
  std::string kind() const override { return "mf-" + config_.mf.algorithm; }
  std::string describe() const override {
    return fmt::format("{}, {} factors", solver_->describe(), config_.mf.num_factors);
  }
  std::string unit() const override { return "ratings"; }
  std::string if_diverged() const override {
    return "lower model.learning_rate or raise model.regularization";
  }

 private:
  bool implicit() const { return config_.mf.algorithm == "ials"; }

  TrainingSite site_;
  const Config& config_;
  MfData data_;
  TraineeData summary_;
  std::unique_ptr<MfSolver> solver_;
  std::optional<HeldOut> held_out_;
};

MfTrainee::MfTrainee(const TrainingSite& site) : site_(site), config_(site.config) {
  const auto& [config, ctx, host, comm, log] = site_;
  const std::int64_t begin = monotonic_ns();
  data_ = load_mf_data(host, comm, config, log);
  summary_ = {
      data_.train_rows,
      data_.valid_rows,
      data_.skipped,
      data_.digest,
      fmt::format("{} ratings to train on, {} held out, {} users, {} items", data_.train_rows,
                  data_.valid_rows, data_.users.size(), data_.items.size()),
      static_cast<double>(monotonic_ns() - begin) / 1e9};
  solver_ = make_mf_solver(ctx, host, comm, config.mf, config.run.seed,
                           {data_.users.size(), data_.items.size()}, std::move(data_.train));
  if (data_.valid_rows == 0) return;
  held_out_.emplace(ctx, host, comm, solver_->user_boundaries(),
                    to_solver_rows(*solver_, std::move(data_.valid)));
  if (held_out_->unknown())
    log.info(fmt::format("{} held-out ratings have a user or item that is not in the training data",
                         held_out_->unknown()));
}

DecidingMetric MfTrainee::deciding_metric() const {
  if (data_.valid_rows == 0 || config_.train.metric == "none") return {};
  std::string metric = config_.train.metric;
  if (metric == "auto") metric = implicit() ? "ndcg" : "rmse";
  if (metric == "rmse" || metric == "mae") return {metric, true};
  return {ranked(metric, config_.train.cut_off), false};
}

bool MfTrainee::run_epoch(std::int64_t epoch) {
  solver_->run_epoch(epoch);
  return true;
}

void MfTrainee::evaluate(Metrics& metrics) {
  if (!held_out_) return;
  const FactorsView factors = solver_->factors();
  if (!implicit()) {
    constexpr float kNoLimit = std::numeric_limits<float>::max();
    const bool clip = config_.train.clip;
    const RatingMetrics ratings = held_out_->rating_metrics(factors, clip ? data_.low : -kNoLimit,
                                                            clip ? data_.high : kNoLimit);
    metrics.emplace_back("rmse", ratings.rmse);
    metrics.emplace_back("mae", ratings.mae);
  }
  const DecidingMetric deciding = deciding_metric();
  if (implicit() || (!deciding.name.empty() && !deciding.smaller_is_better)) {
    const int k = config_.train.cut_off;
    const RankingMetrics ranking = held_out_->ranking_metrics(factors, solver_->seen().view, k);
    metrics.emplace_back(ranked("precision", k), ranking.precision);
    metrics.emplace_back(ranked("recall", k), ranking.recall);
    metrics.emplace_back(ranked("ndcg", k), ranking.ndcg);
    metrics.emplace_back(ranked("map", k), ranking.map);
  }
}

void MfTrainee::warm_start(const std::string& path) {
  const auto taken = gradmill::warm_start(site_.ctx, site_.host, site_.comm, *solver_, data_.users,
                                          data_.items, path);
  site_.log.info(fmt::format("factors of {} users and {} items taken over from {}", taken.users,
                             taken.items, path));
}

void MfTrainee::write(const std::string& parent, const std::string& name,
                      const CheckpointInfo& info, bool final) {
  const FactorsView factors = solver_->factors();
  write_mf_model(site_.ctx, site_.host, site_.comm, parent, name, info, *solver_,
                 {data_.users, data_.items, factors.mean, data_.low, data_.high, final});
}
}  // namespace

std::unique_ptr<Trainee> make_mf_trainee(const TrainingSite& site) {
  return std::make_unique<MfTrainee>(site);
}

}  // namespace gradmill
