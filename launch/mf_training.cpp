#include "launch/mf_training.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <optional>

#include "data/rating_source.h"
#include "launch/checkpoint.h"
#include "launch/device.h"
#include "launch/environment.h"
#include "launch/metrics_log.h"
#include "launch/mf_data.h"
#include "launch/mf_model.h"
#include "launch/mf_warm_start.h"
#include "launch/progress.h"
#include "launch/report.h"
#include "launch/run_directory.h"
#include "launch/version.h"
#include "models/mf/evaluate.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"
#include "runtime/trace.h"

namespace gradmill {
namespace {
bool smaller_is_better(const std::string& metric) { return metric == "rmse" || metric == "mae"; }

std::string ranked(const std::string& name, int cut_off) {
  return fmt::format("{}@{}", name, cut_off);
}

/// The name in Metrics of the metric that decides.
std::string deciding_metric(const Config& config, bool has_valid) {
  if (!has_valid) return {};
  std::string metric = config.train.metric;
  if (metric == "auto") metric = config.model.algorithm == "ials" ? "ndcg" : "rmse";
  return smaller_is_better(metric) ? metric : ranked(metric, config.train.cut_off);
}

/// The keys that a resumed run must share with its checkpoint.
std::string identity(const Config& config) {
  Config only_model;
  only_model.model = config.model;
  only_model.run.seed = config.run.seed;
  return to_toml(only_model);
}

void write_text(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  expect(file.good(), ErrorKind::cannot_write, "{}: cannot write", path);
}

double seconds_since(std::int64_t start_ns) {
  return static_cast<double>(monotonic_ns() - start_ns) / 1e9;
}

/// One run on one rank, from data to model.
class MfRun {
 public:
  MfRun(const Options& options, World& world, Log& log);
  int run();

 private:
  const Context& host() const { return cpu_ ? *cpu_ : *ctx_; }
  void open_run();
  void start();
  void resume(const Checkpoint& checkpoint);
  void train();
  Metrics run_epoch(std::int64_t epoch);
  void evaluate(Metrics& metrics);
  void show(std::int64_t epoch, const Metrics& metrics);
  void save(const std::string& parent, const std::string& name, std::int64_t epoch,
            const Metrics& metrics, bool with_seen);
  void keep(std::int64_t epoch, const Metrics& metrics, bool best);
  void finish();
  void write_report() const;

  const Options& options_;
  const Config& config_;
  World& world_;
  Log& log_;
  std::unique_ptr<Context> ctx_, cpu_;  // cpu_ only beside a CUDA context
  std::unique_ptr<Communicator> comm_;
  std::optional<RunDirectory> directory_;
  std::optional<MetricsLog> metrics_log_;
  std::optional<Progress> progress_;
  MfData data_;
  std::unique_ptr<MfSolver> solver_;
  std::optional<HeldOut> held_out_;
  std::optional<BestMetric> best_;
  std::int64_t done_epochs_ = 0;
  double seconds_ = 0;  // of training, over all parts of a resumed run
};

MfRun::MfRun(const Options& options, World& world, Log& log)
    : options_(options), config_(options.config), world_(world), log_(log) {
  const int threads = threads_per_rank(config_.train.threads, world);
  ctx_ = make_context(config_.train.device, world, threads);
  if (ctx_->is_cuda()) cpu_ = std::unique_ptr<Context>(new Context(Context::cpu(threads)));
  comm_ = world.communicator(*ctx_);
  if (!options.trace.empty()) ctx_->tracer().record(world.rank());
}

void MfRun::open_run() {
  const bool resume = config_.run.resume != "no";
  directory_.emplace(RunDirectory::open(host(), *comm_, config_.run.dir, config_.run.name, "mf",
                                        resume ? RunDirectory::If::any : RunDirectory::If::absent));
  log_.open_file(directory_->log());
  log_.info(fmt::format("run {}: {} rank{} on {}", directory_->path(), world_.world_size(),
                        world_.world_size() == 1 ? "" : "s", ctx_->describe()));
  if (world_.rank() == 0) {
    write_text(directory_->config(), to_toml(config_));
    Facts facts = host_facts();
    facts.emplace_back("device", ctx_->describe());
    facts.emplace_back("ranks", std::to_string(world_.world_size()));
    write_text(directory_->environment(), facts_json(facts));
  }
}

void MfRun::start() {
  const std::int64_t begin = monotonic_ns();
  data_ = load_mf_data(host(), *comm_, config_, log_);
  log_.info(fmt::format("{} ratings to train on, {} held out, {} users, {} items; read in {:.2f} s",
                        data_.train_rows, data_.valid_rows, data_.users.size(), data_.items.size(),
                        seconds_since(begin)));
  best_.emplace(deciding_metric(config_, data_.valid_rows > 0), config_.train.min_improvement);
  solver_ = make_mf_solver(*ctx_, host(), *comm_, config_.model, config_.run.seed,
                           {data_.users.size(), data_.items.size()}, std::move(data_.train));
  if (data_.valid_rows > 0) {
    held_out_.emplace(*ctx_, host(), *comm_, solver_->user_boundaries(),
                      to_solver_rows(*solver_, std::move(data_.valid)));
    if (held_out_->unknown())
      log_.info(
          fmt::format("{} held-out ratings have a user or item that is not in the training data",
                      held_out_->unknown()));
  }
  log_.info(fmt::format("{}, {} factors", solver_->describe(), config_.model.num_factors));

  std::int64_t metrics_bytes = 0;
  std::optional<Checkpoint> checkpoint;
  if (config_.run.resume == "auto")
    checkpoint = open_newest_checkpoint(host(), *comm_, directory_->checkpoints(), false, log_);
  else if (config_.run.resume != "no")
    checkpoint = Checkpoint::open(config_.run.resume);
  if (checkpoint) {
    resume(*checkpoint);
    metrics_bytes = checkpoint->info().metrics_bytes;
  } else if (!config_.run.init.empty()) {
    const auto taken =
        warm_start(*ctx_, host(), *comm_, *solver_, data_.users, data_.items, config_.run.init);
    log_.info(fmt::format("factors of {} users and {} items taken over from {}", taken.users,
                          taken.items, config_.run.init));
  }
  if (world_.rank() == 0) {
    remove_leftovers(directory_->checkpoints());
    metrics_log_.emplace(directory_->metrics(), metrics_bytes);
  }
  progress_.emplace(options_.quiet ? 1 : world_.rank());
}

void MfRun::resume(const Checkpoint& checkpoint) {
  const CheckpointInfo& info = checkpoint.info();
  Config before;
  load_config_text(before, info.config, checkpoint.path());
  expect(identity(before) == identity(config_), ErrorKind::checkpoint,
         "{}: the checkpoint is of another model or seed; its configuration is in {}/config.toml",
         checkpoint.path(), directory_->path());
  expect(info.data_digest == data_.digest, ErrorKind::checkpoint,
         "{}: the checkpoint was trained on other data (digest {}, now {}); start a new run with "
         "--init {}",
         checkpoint.path(), info.data_digest, data_.digest, checkpoint.path());
  restore_solver(*ctx_, *solver_, checkpoint);
  best_->restore(info.metrics);
  done_epochs_ = info.epoch;
  seconds_ = info.metrics.contains("seconds") ? info.metrics.at("seconds") : 0.0;
  log_.info(fmt::format("resumed after epoch {} from {}{}", info.epoch, checkpoint.path(),
                        info.world_size == world_.world_size()
                            ? ""
                            : fmt::format(" (written by {} ranks, now {}: not bit-exact)",
                                          info.world_size, world_.world_size())));
}

Metrics MfRun::run_epoch(std::int64_t epoch) {
  const std::int64_t begin = monotonic_ns();
  solver_->run_epoch(epoch);
  ctx_->synchronize();
  const double seconds = seconds_since(begin);
  seconds_ += seconds;
  Metrics metrics;
  metrics.emplace_back("loss", solver_->loss());
  metrics.emplace_back("epoch_seconds", seconds);
  metrics.emplace_back("ratings_per_second",
                       static_cast<double>(data_.train_rows) / std::max(seconds, 1e-9));
  expect(std::isfinite(metrics.front().second), ErrorKind::not_finite,
         "the loss is {} after epoch {}; lower model.learning_rate or raise model.regularization{}",
         metrics.front().second, epoch + 1,
         done_epochs_ > 0
             ? fmt::format("; the last good checkpoint is in {}", directory_->checkpoints())
             : "");
  return metrics;
}

void MfRun::evaluate(Metrics& metrics) {
  if (!held_out_) return;
  const TraceSpan span(ctx_->tracer(), "evaluate");
  const FactorsView factors = solver_->factors();
  const std::string& metric = best_->name();
  if (config_.model.algorithm != "ials") {
    const float low = config_.train.clip ? data_.low : -3.4e38f,
                high = config_.train.clip ? data_.high : 3.4e38f;
    const RatingMetrics ratings = held_out_->rating_metrics(factors, low, high);
    metrics.emplace_back("rmse", ratings.rmse);
    metrics.emplace_back("mae", ratings.mae);
  }
  if (config_.model.algorithm == "ials" || metric.find('@') != std::string::npos) {
    const RankingMetrics ranking =
        held_out_->ranking_metrics(factors, solver_->seen(), config_.train.cut_off);
    metrics.emplace_back(ranked("precision", config_.train.cut_off), ranking.precision);
    metrics.emplace_back(ranked("recall", config_.train.cut_off), ranking.recall);
    metrics.emplace_back(ranked("ndcg", config_.train.cut_off), ranking.ndcg);
    metrics.emplace_back(ranked("map", config_.train.cut_off), ranking.map);
  }
}

void MfRun::show(std::int64_t epoch, const Metrics& metrics) {
  ProgressState state;
  state.epoch = epoch + 1;
  state.epochs = config_.train.epochs;
  for (const auto& [name, value] : metrics) {
    if (name == "ratings_per_second")
      state.items_per_second = value;
    else if (name != "epoch_seconds")
      state.metrics.emplace_back(name, value);
  }
  state.ranks = world_.world_size();
  state.seconds_left = static_cast<double>(config_.train.epochs - epoch - 1) * seconds_ /
                       static_cast<double>(epoch + 1);
  progress_->epoch_end(state);
}

void MfRun::save(const std::string& parent, const std::string& name, std::int64_t epoch,
                 const Metrics& metrics, bool with_seen) {
  CheckpointInfo info;
  info.run_id = directory_->name();
  info.kind = "mf-" + config_.model.algorithm;
  info.step = info.epoch = epoch + 1;
  info.seed = config_.run.seed;
  info.world_size = world_.world_size();
  info.config = to_toml(config_);
  info.data_digest = data_.digest;
  info.versions = {{"gradmill", version_number()}};
  for (const auto& [key, value] : metrics)  // no times: the same run writes the same bytes
    if (key != "epoch_seconds" && key != "ratings_per_second") info.metrics[key] = value;
  best_->save(info.metrics);
  if (!with_seen) {
    info.metrics["seconds"] = seconds_;
    if (metrics_log_) info.metrics_bytes = metrics_log_->bytes();
  }
  const FactorsView factors = solver_->factors();
  write_mf_model(*ctx_, host(), *comm_, parent, name, info, *solver_,
                 {data_.users, data_.items, factors.mean, data_.low, data_.high, with_seen});
}

void MfRun::keep(std::int64_t epoch, const Metrics& metrics, bool best) {
  const TraceSpan span(ctx_->tracer(), "save");
  if (best) save(directory_->path(), "model", epoch, metrics, true);
  if (config_.checkpoint.every == 0 || (epoch + 1) % config_.checkpoint.every != 0) return;
  if (metrics_log_) metrics_log_->sync();
  save(directory_->checkpoints(), checkpoint_name(epoch + 1), epoch, metrics, false);
  if (world_.rank() != 0) return;
  if (best) directory_->set_best(epoch + 1);
  prune_checkpoints(directory_->checkpoints(), config_.checkpoint.keep, best_->epoch() + 1);
}

void MfRun::train() {
  for (std::int64_t epoch = done_epochs_; epoch < config_.train.epochs; ++epoch) {
    Metrics metrics = run_epoch(epoch);
    const bool last = epoch + 1 == config_.train.epochs;
    const bool evaluated = last || (epoch + 1) % config_.train.evaluate_every == 0;
    if (evaluated) evaluate(metrics);
    const bool best = evaluated && best_->update(epoch, metrics);
    if (metrics_log_) metrics_log_->append({epoch + 1, epoch + 1, seconds_, metrics});
    show(epoch, metrics);
    keep(epoch, metrics, best);
    done_epochs_ = epoch + 1;
    if (config_.train.patience > 0 && best_->since() >= config_.train.patience) {
      log_.info(fmt::format("stopped: {} has not improved for {} evaluations", best_->name(),
                            best_->since()));
      return;
    }
  }
}

void MfRun::write_report() const {
  ReportData report;
  report.title = directory_->name();
  report.subtitle = fmt::format("{}, {} factors, {} rank{} on {}, {}", solver_->describe(),
                                config_.model.num_factors, world_.world_size(),
                                world_.world_size() == 1 ? "" : "s", ctx_->describe(), utc_time());
  report.metrics = read_metrics(directory_->metrics());
  if (!best_->name().empty())
    report.results.emplace_back("best " + best_->name(), fmt::format("{:.5f}", best_->value()));
  report.results.emplace_back("best epoch", std::to_string(best_->epoch() + 1));
  report.results.emplace_back("training", short_time(seconds_));
  double fastest = 0;
  for (const MetricsRecord& record : report.metrics)
    for (const auto& [name, value] : record.values)
      if (name == "ratings_per_second") fastest = std::max(fastest, value);
  report.results.emplace_back("throughput", short_count(fastest) + " ratings/s");
  report.results.emplace_back("ratings", std::to_string(data_.train_rows));
  if (data_.skipped)
    report.warnings.push_back(fmt::format("{} records of the data were left out", data_.skipped));
  report.config = to_toml(config_);
  report.environment = host_facts();
  write_text(directory_->report(), report_html(report));
}

void MfRun::finish() {
  progress_->finish();
  if (metrics_log_) metrics_log_->sync();
  if (best_->epoch() >= 0 && !best_->name().empty())
    log_.info(fmt::format("best {} {:.5f} after epoch {}", best_->name(), best_->value(),
                          best_->epoch() + 1));
  if (world_.rank() == 0) {
    write_report();
    log_.info(fmt::format("report {}", directory_->report()));
  }
  log_.info(fmt::format("model {}  ({:.2f} s of training)", directory_->model(), seconds_));
  if (!options_.trace.empty())
    ctx_->tracer().write(world_.world_size() == 1
                             ? options_.trace
                             : fmt::format("{}.rank-{:03}", options_.trace, world_.rank()));
}

int MfRun::run() {
  for (const std::string& source : {config_.data.train, config_.data.valid})
    if (!source.empty()) (void)find_rating_files(source);  // before a folder is made for the run
  open_run();
  try {
    start();
    train();
    finish();
  } catch (const Error& error) {
    directory_->write_error(error.kind(), error.what());
    throw;
  }
  return 0;
}
}  // namespace

bool BestMetric::update(std::int64_t epoch, const Metrics& metrics) {
  if (name_.empty()) {
    epoch_ = epoch;
    return true;
  }
  const auto found =
      std::find_if(metrics.begin(), metrics.end(), [&](const auto& m) { return m.first == name_; });
  if (found == metrics.end()) return false;
  const double value = found->second, margin = min_improvement_ * std::abs(value_);
  const bool better =
      epoch_ < 0 || (smaller_is_better(name_) ? value < value_ - margin : value > value_ + margin);
  if (!better) {
    ++since_;
    return false;
  }
  epoch_ = epoch;
  value_ = value;
  since_ = 0;
  return true;
}

void BestMetric::save(std::map<std::string, double>& state) const {
  state["best_epoch"] = static_cast<double>(epoch_);
  state["best_value"] = value_;
  state["evaluations_since_best"] = since_;
}

void BestMetric::restore(const std::map<std::string, double>& state) {
  auto get = [&](const char* key, double otherwise) {
    return state.contains(key) ? state.at(key) : otherwise;
  };
  epoch_ = static_cast<std::int64_t>(get("best_epoch", -1));
  value_ = get("best_value", 0);
  since_ = static_cast<int>(get("evaluations_since_best", 0));
}

int train_mf(const Options& options, World& world, Log& log) {
  return MfRun(options, world, log).run();
}

}  // namespace gradmill
