#include "launch/training_run.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <optional>

#include "data/rating_source.h"
#include "launch/best_metric.h"
#include "launch/checkpoint.h"
#include "launch/device.h"
#include "launch/environment.h"
#include "launch/metrics_log.h"
#include "launch/model_state.h"
#include "launch/progress.h"
#include "launch/report.h"
#include "launch/run_directory.h"
#include "launch/run_watch.h"
#include "launch/stop_request.h"
#include "launch/version.h"
#include "runtime/expect.h"
#include "runtime/trace.h"

namespace gradmill {
namespace {
constexpr const char* kCommunication = "communication_share";

void write_text(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  expect(file.good(), ErrorKind::cannot_write, "{}: cannot write", path);
}

double seconds_since(std::int64_t start_ns) {
  return static_cast<double>(monotonic_ns() - start_ns) / 1e9;
}

std::string count_of(std::int64_t n, const char* what) {
  return fmt::format("{} {}{}", n, what, n == 1 ? "" : "s");
}

/// every 0: never.
bool is_due(std::int64_t epoch, std::int64_t every) { return every > 0 && epoch % every == 0; }

/// One run on one rank, from data to model.
class TrainingRun {
 public:
  TrainingRun(const Options& options, World& world, Log& log);
  int run(const std::string& family, TraineeFactory make);

 private:
  const Context& host() const { return cpu_ ? *cpu_ : *ctx_; }
  void open_run(const std::string& family);
  void start(TraineeFactory make);
  void resume(const Checkpoint& checkpoint);
  void train();
  bool run_epoch(std::int64_t epoch, Metrics& metrics);
  void show_within(std::int64_t epoch, double fraction);
  void show(std::int64_t epoch, const Metrics& metrics, bool evaluated);
  ProgressState progress_after(std::int64_t epoch, double fraction, const Metrics& metrics,
                               double seconds) const;
  void save(const std::string& parent, const std::string& name, std::int64_t epoch,
            const Metrics& metrics, bool final);
  bool checkpoint_due(std::int64_t epoch, bool last);
  void keep(std::int64_t epoch, const Metrics& metrics, bool best, bool last);
  int agreed_stop() const;
  void finish();
  void write_report() const;
  std::string rate() const { return trainee_->unit() + "_per_second"; }
  bool is_time(const std::string& name) const {
    return name == "epoch_seconds" || name == kCommunication || name == rate();
  }

  const Options& options_;
  const Config& config_;
  World& world_;
  Log& log_;
  std::unique_ptr<Context> ctx_, cpu_;  // cpu_ only beside a CUDA context
  std::unique_ptr<Communicator> comm_;
  std::optional<RunDirectory> directory_;
  std::optional<RunWatch> watch_;
  std::optional<MetricsLog> metrics_log_;  // rank 0
  std::optional<Progress> progress_;
  std::unique_ptr<Trainee> trainee_;
  std::optional<BestMetric> best_;
  std::int64_t done_epochs_ = 0;
  bool finished_ = false;  // the trainee has come to its end
  int stopped_by_ = 0;     // the signal that asked some rank to stop
  double seconds_ = 0;     // of training, over all parts of a resumed run
  std::int64_t epoch_begin_ns_ = 0;
  double communication_before_ = 0;  // seconds in collectives before this epoch
  Metrics shown_;                    // of the last epoch
  std::int64_t last_checkpoint_ns_ = 0;
};

TrainingRun::TrainingRun(const Options& options, World& world, Log& log)
    : options_(options), config_(options.config), world_(world), log_(log) {
  const int threads = threads_per_rank(config_.train.threads, world);
  ctx_ = make_context(config_.train.device, world, threads);
  if (ctx_->is_cuda()) cpu_ = std::unique_ptr<Context>(new Context(Context::cpu(threads)));
  comm_ = world.communicator(*ctx_);
  if (!options.trace.empty()) ctx_->tracer().record(world.rank());
}

void TrainingRun::open_run(const std::string& family) {
  const bool resume = config_.run.resume != "no";
  directory_.emplace(RunDirectory::open(host(), *comm_, config_.run.dir, config_.run.name, family,
                                        resume ? RunDirectory::If::any : RunDirectory::If::absent));
  watch_.emplace(host(), *comm_, *directory_, config_.train, log_);
  log_.open_file(directory_->log());
  log_.info(fmt::format("run {}: {} on {}", directory_->path(),
                        count_of(world_.world_size(), "rank"), ctx_->describe()));
  if (world_.rank() == 0) {
    write_text(directory_->config(), to_toml(config_));
    Facts facts = host_facts();
    facts.emplace_back("device", ctx_->describe());
    facts.emplace_back("ranks", std::to_string(world_.world_size()));
    write_text(directory_->environment(), facts_json(facts));
  }
}

void TrainingRun::start(TraineeFactory make) {
  const std::int64_t begin = monotonic_ns();
  watch_->phase(Phase::load);
  trainee_ = make({config_, *ctx_, host(), *comm_, log_});
  const double read = trainee_->data().read_seconds;
  log_.info(fmt::format("{}; read in {:.2f} s, prepared in {:.2f} s", trainee_->data().description,
                        read, seconds_since(begin) - read));
  best_.emplace(trainee_->deciding_metric(), config_.train.min_improvement);
  log_.info(trainee_->describe());

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
    trainee_->warm_start(config_.run.init);
  }
  if (world_.rank() == 0) {
    remove_leftovers(directory_->checkpoints());
    metrics_log_.emplace(directory_->metrics(), metrics_bytes);
  }
  progress_.emplace(options_.quiet ? 1 : world_.rank());
}

void TrainingRun::resume(const Checkpoint& checkpoint) {
  const CheckpointInfo& info = checkpoint.info();
  Config before;
  load_config_text(before, info.config, checkpoint.path());
  expect(model_toml(before) == model_toml(config_), ErrorKind::checkpoint,
         "{}: the checkpoint is of another model or seed; its configuration is in {}/config.toml",
         checkpoint.path(), directory_->path());
  expect(info.data_digest == trainee_->data().digest, ErrorKind::checkpoint,
         "{}: the checkpoint was trained on other data (digest {}, now {}); start a new run with "
         "--init {}",
         checkpoint.path(), info.data_digest, trainee_->data().digest, checkpoint.path());
  if (config_.checkpoint.strict) {
    expect(info.world_size == world_.world_size(), ErrorKind::checkpoint,
           "{}: the checkpoint was written by {} ranks, now there are {}; checkpoint.strict is set",
           checkpoint.path(), info.world_size, world_.world_size());
    expect(training_toml(before) == training_toml(config_), ErrorKind::checkpoint,
           "{}: the checkpoint's configuration differs beyond [run] and [checkpoint]; "
           "checkpoint.strict is set",
           checkpoint.path());
  }
  read_state(*ctx_, trainee_->state(), checkpoint);
  trainee_->restored();
  best_->restore(info.metrics);
  done_epochs_ = info.epoch;
  finished_ = info.metrics.contains("finished");
  seconds_ = info.metrics.contains("seconds") ? info.metrics.at("seconds") : 0.0;
  log_.info(fmt::format("resumed after epoch {} from {}", info.epoch, checkpoint.path()));
  if (info.world_size != world_.world_size())
    log_.warning(fmt::format("{} was written by {}, resumed by {}: not bit-exact",
                             checkpoint.path(), count_of(info.world_size, "rank"),
                             count_of(world_.world_size(), "rank")));
}

bool TrainingRun::run_epoch(std::int64_t epoch, Metrics& metrics) {
  epoch_begin_ns_ = monotonic_ns();
  communication_before_ = comm_->seconds();
  if (world_.rank() == 0)
    trainee_->observe([this, epoch](double fraction) { show_within(epoch, fraction); });
  const bool more = trainee_->run_epoch(epoch);
  ctx_->synchronize();
  const double seconds = seconds_since(epoch_begin_ns_);
  const double communication = comm_->seconds() - communication_before_;
  seconds_ += seconds;
  metrics = trainee_->progress();
  metrics.emplace_back("epoch_seconds", seconds);
  metrics.emplace_back(rate(),
                       static_cast<double>(trainee_->data().rows) / std::max(seconds, 1e-9));
  if (world_.world_size() > 1 && !ctx_->is_cuda())
    metrics.emplace_back(kCommunication, communication / std::max(seconds, 1e-9));
  const double loss = metrics.front().second;
  expect(std::isfinite(loss), ErrorKind::not_finite, "the loss is {} after epoch {}; {}{}", loss,
         epoch + 1, trainee_->if_diverged(),
         done_epochs_ > 0
             ? fmt::format("; the last good checkpoint is in {}", directory_->checkpoints())
             : "");
  return more;
}

/// `metrics` are the last known; `seconds`: of this epoch so far.
ProgressState TrainingRun::progress_after(std::int64_t epoch, double fraction,
                                          const Metrics& metrics, double seconds) const {
  ProgressState state;
  state.epoch = epoch + 1;
  state.epochs = config_.train.epochs;
  state.item = trainee_->unit();
  state.ranks = world_.world_size();
  for (const auto& [name, value] : metrics)
    if (!is_time(name)) state.metrics.emplace_back(name, value);
  state.items_per_second =
      fraction * static_cast<double>(trainee_->data().rows) / std::max(seconds, 1e-9);
  if (state.ranks > 1 && !ctx_->is_cuda())
    state.communication_share =
        std::min(1.0, (comm_->seconds() - communication_before_) / std::max(seconds, 1e-9));
  return state;
}

void TrainingRun::show_within(std::int64_t epoch, double fraction) {
  if (fraction <= 0 || fraction >= 1) return;
  const double seconds = seconds_since(epoch_begin_ns_);
  ProgressState state = progress_after(epoch, fraction, shown_, seconds);
  state.fraction = fraction;
  const double done = static_cast<double>(epoch) + fraction;
  state.seconds_left =
      (seconds_ + seconds) * (static_cast<double>(config_.train.epochs) - done) / done;
  progress_->update(state);
}

void TrainingRun::show(std::int64_t epoch, const Metrics& metrics, bool evaluated) {
  shown_ = metrics;
  double seconds = 0;
  for (const auto& [name, value] : metrics)
    if (name == "epoch_seconds") seconds = value;
  ProgressState state = progress_after(epoch, 1, metrics, seconds);
  for (const auto& [name, value] : metrics)
    if (name == kCommunication) state.communication_share = value;
  state.seconds_left = static_cast<double>(config_.train.epochs - epoch - 1) * seconds_ /
                       static_cast<double>(epoch + 1);
  if (evaluated)
    progress_->epoch_end(state);
  else
    progress_->update(state);
}

void TrainingRun::save(const std::string& parent, const std::string& name, std::int64_t epoch,
                       const Metrics& metrics, bool final) {
  CheckpointInfo info;
  info.run_id = directory_->name();
  info.kind = trainee_->kind();
  info.step = info.epoch = epoch + 1;
  info.seed = config_.run.seed;
  info.fence = [this] { directory_->check_current(); };
  info.world_size = world_.world_size();
  info.config = to_toml(config_);
  info.data_digest = trainee_->data().digest;
  info.versions = {{"gradmill", version_number()}};
  for (const auto& [key, value] : metrics)  // no times: the same run writes the same bytes
    if (!is_time(key)) info.metrics[key] = value;
  best_->save(info.metrics);
  if (!final) {
    info.generation = directory_->generation();
    info.metrics["seconds"] = seconds_;
    if (finished_) info.metrics["finished"] = 1;
    if (metrics_log_) info.metrics_bytes = metrics_log_->bytes();
  }
  trainee_->write(parent, name, info, final);
}

/// The signal that some rank was asked to stop with; 0: none. Collective, so that all stop after the same
/// step.
int TrainingRun::agreed_stop() const {
  std::vector<std::int64_t> all(static_cast<std::size_t>(world_.world_size()));
  const std::vector<std::int64_t> one_each(all.size(), 1);
  const std::int64_t mine = stop_signal();
  comm_->all_gather(host(), VectorView<const std::int64_t>{&mine, 1}, one_each,
                    VectorView<std::int64_t>{all.data(), world_.world_size(), {}});
  return static_cast<int>(*std::max_element(all.begin(), all.end()));
}

/// Whether this epoch gets a checkpoint, as rank 0 sees the clock; the run's last one does.
bool TrainingRun::checkpoint_due(std::int64_t epoch, bool last) {
  const CheckpointConfig& config = config_.checkpoint;
  if (config.every == 0) return false;
  if (last) return true;
  if (!is_due(epoch + 1, config.every)) return false;
  if (config.seconds == 0) return true;
  std::int64_t due = world_.rank() == 0 && seconds_since(last_checkpoint_ns_) >= config.seconds;
  comm_->all_reduce_sum(host(), VectorView<std::int64_t>{&due, 1, {}});
  return due != 0;
}

void TrainingRun::keep(std::int64_t epoch, const Metrics& metrics, bool best, bool last) {
  const TraceSpan span(ctx_->tracer(), "save");
  watch_->phase(Phase::save);
  const bool decided = !best_->name().empty();
  if (decided ? best : last) save(directory_->path(), "model", epoch, metrics, true);
  if (!stopped_by_ && !checkpoint_due(epoch, last)) return;
  if (metrics_log_) metrics_log_->sync();
  save(directory_->checkpoints(), checkpoint_name(epoch + 1), epoch, metrics, false);
  last_checkpoint_ns_ = monotonic_ns();
  if (world_.rank() != 0) return;
  if (best) directory_->set_best(epoch + 1);
  prune_checkpoints(directory_->checkpoints(), config_.checkpoint.keep, best_->epoch() + 1);
}

void TrainingRun::train() {
  const std::int64_t every = config_.train.evaluate_every > 0 ? config_.train.evaluate_every
                             : best_->name().empty()          ? 0
                                                              : 1;
  last_checkpoint_ns_ = monotonic_ns();
  stopped_by_ = agreed_stop();  // while the data was read
  for (std::int64_t epoch = done_epochs_;
       epoch < config_.train.epochs && !finished_ && !stopped_by_; ++epoch) {
    Metrics metrics;
    watch_->phase(Phase::train);
    watch_->step(epoch + 1);
    const bool more = run_epoch(epoch, metrics);
    bool last = !more || epoch + 1 == config_.train.epochs;
    const bool evaluated = last || is_due(epoch + 1, every);
    if (evaluated) {
      const TraceSpan span(ctx_->tracer(), "evaluate");
      watch_->phase(Phase::evaluate);
      trainee_->evaluate(metrics);
    }
    const bool decided = !best_->name().empty();
    const bool best = (evaluated || !decided) && best_->update(epoch, metrics);
    const bool patient = config_.train.patience == 0 || best_->since() < config_.train.patience;
    finished_ = !more;
    last = last || !patient;
    if (metrics_log_) metrics_log_->append({epoch + 1, epoch + 1, seconds_, metrics});
    show(epoch, metrics, evaluated);
    if (!last) stopped_by_ = agreed_stop();
    keep(epoch, metrics, best, last);
    done_epochs_ = epoch + 1;
    if (finished_)
      log_.info("stopped: " + trainee_->why_stopped());
    else if (!patient)
      return log_.info(fmt::format("stopped: {} has not improved for {} evaluations", best_->name(),
                                   best_->since()));
  }
}

void TrainingRun::write_report() const {
  ReportData report;
  const std::string unit = trainee_->unit();
  report.title = directory_->name();
  report.subtitle =
      fmt::format("{}, {} on {}, {}", trainee_->describe(), count_of(world_.world_size(), "rank"),
                  ctx_->describe(), utc_time());
  report.metrics = read_metrics(directory_->metrics());
  if (!best_->name().empty())
    report.results.emplace_back("best " + best_->name(), fmt::format("{:.5f}", best_->value()));
  report.results.emplace_back("best epoch", std::to_string(best_->epoch() + 1));
  report.results.emplace_back("training", short_time(seconds_));
  double fastest = 0;
  for (const MetricsRecord& record : report.metrics)
    for (const auto& [name, value] : record.values)
      if (name == rate()) fastest = std::max(fastest, value);
  report.results.emplace_back("throughput", fmt::format("{} {}/s", short_count(fastest), unit));
  report.results.emplace_back(unit, std::to_string(trainee_->data().rows));
  if (const auto skipped = trainee_->data().skipped)
    report.warnings.push_back(fmt::format("{} records of the data were left out", skipped));
  for (const std::string& warning : log_.warnings()) report.warnings.push_back(warning);
  report.config = to_toml(config_);
  report.environment = host_facts();
  trainee_->report(report);
  write_text(directory_->report(), report_html(report));
}

void TrainingRun::finish() {
  watch_->phase(Phase::finish);
  progress_->finish();
  if (metrics_log_) metrics_log_->sync();
  if (stopped_by_)
    return log_.info(
        fmt::format("stopped by {} after epoch {}, whose checkpoint is in {}; "
                    "--resume auto goes on from there",
                    ::strsignal(stopped_by_), done_epochs_, directory_->checkpoints()));
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

int TrainingRun::run(const std::string& family, TraineeFactory make) {
  for (const std::string& source : {config_.data.train, config_.data.valid})
    if (!source.empty()) (void)find_rating_files(source);  // before a folder is made for the run
  open_run(family);
  try {
    start(make);
    train();
    finish();
    watch_->done();
  } catch (const Error& error) {
    watch_->failed(error.kind(), error.what());
    throw;
  } catch (const std::bad_alloc&) {
    watch_->failed(ErrorKind::out_of_memory, "out of memory");
    throw;
  } catch (const std::exception& error) {
    watch_->failed(ErrorKind::internal, error.what());
    throw;
  }
  return stopped_by_ ? exit_code(ErrorKind::preempted) : 0;
}
}  // namespace

int run_training(const Options& options, World& world, Log& log, const std::string& family,
                 TraineeFactory make) {
  return TrainingRun(options, world, log).run(family, make);
}

}  // namespace gradmill
