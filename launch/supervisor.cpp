#include "launch/supervisor.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "data/files.h"
#include "launch/checkpoint.h"
#include "launch/diagnose.h"
#include "launch/environment.h"
#include "launch/options.h"
#include "launch/process_tree.h"
#include "launch/restart_policy.h"
#include "launch/run_directory.h"
#include "runtime/exit_codes.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
constexpr double kPoll = 1;
constexpr double kLockSeconds = 60;

double since(Clock::time_point then) {
  return std::chrono::duration<double>(Clock::now() - then).count();
}

std::string joined(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, " "));
}

class Supervisor {
 public:
  Supervisor(const LaunchOptions& options, Log& log);
  int run();
  std::vector<std::string> command(int attempt) const;

 private:
  ProcessEnd run_once(ProcessTree& child);
  void handle(int signal, ProcessTree& child);
  bool stalls();
  void tell_why(ProcessEnd end);
  void exclude_hosts(const Diagnosis& diagnosis);
  void wait_for_lock() const;
  bool in_slurm() const { return std::getenv("SLURM_JOB_ID") && hosts_.empty(); }
  std::int64_t newest_step() const {
    const auto steps = checkpoint_steps(folder_ + "/checkpoints");
    return steps.empty() ? -1 : steps.back();
  }

  const LaunchOptions& options_;
  Log& log_;
  SignalQueue signals_;
  std::vector<std::string> hosts_, excluded_;
  std::string folder_, name_, resume_;
  int stop_signal_ = 0;  // that this process was sent
  Clock::time_point stop_at_;
  bool killed_ = false;  // by this process, because it took too long to stop or was told twice
  bool stalled_ = false;
  Clock::time_point changed_;
  std::string records_;  // what the ranks had recorded then
};

Supervisor::Supervisor(const LaunchOptions& options, Log& log)
    : options_(options), log_(log), hosts_(host_list(options)) {
  std::vector<const char*> words{"gradmill"};
  for (const std::string& word : options.command) words.push_back(word.c_str());
  expect(words.size() > 1 && options.command.front() == "train", ErrorKind::usage,
         "launch starts `train`: gradmill launch --nproc 4 -- train mf --data ratings.csv");
  const auto parsed = parse_command_line(static_cast<int>(words.size()), words.data());
  expect(!parsed.exit, ErrorKind::usage, "launch: a training command is expected");
  const RunConfig& run = parsed.options.config.run;
  resume_ = run.resume;
  name_ = run.name;
  if (name_.empty() && !options.dry_run)
    name_ = claim_run_name(run.dir, parsed.options.config.kind);
  folder_ = run.dir + "/" + name_;
}

std::vector<std::string> Supervisor::command(int attempt) const {
  std::error_code error;
  const std::string program = fs::read_symlink("/proc/self/exe", error).string();
  auto words = start_command(options_, program, hosts_, excluded_, in_slurm());
  words.insert(words.end(), options_.command.begin(), options_.command.end());
  if (!name_.empty()) words.insert(words.end(), {"--set", "run.name=" + name_});
  // A path to start from holds until the run has a checkpoint of its own.
  const bool from_path = resume_ != "no" && resume_ != "auto" && newest_step() < 0;
  if (attempt > 0 && !from_path) words.insert(words.end(), {"--set", "run.resume=auto"});
  return words;
}

void Supervisor::handle(int signal, ProcessTree& child) {
  if (signal == 0 || signal == SIGCHLD) return;
  if (stop_signal_ == 0) {
    stop_signal_ = signal;
    stop_at_ = Clock::now();
    log_.info(fmt::format("launch: {}: the run saves and stops", ::strsignal(signal)));
    return child.signal(SIGUSR1);  // mpirun would kill the ranks two seconds after a SIGTERM
  }
  if (signal == SIGUSR1) return child.signal(SIGUSR1);
  log_.warning(fmt::format("launch: {} again: the run is killed", ::strsignal(signal)));
  killed_ = true;
  child.kill_all();
}

/// Whether no rank has recorded anything for too long.
bool Supervisor::stalls() {
  if (options_.stall_s <= 0) return false;
  std::string records;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_ + "/flight", error)) {
    try {
      const FlightRecord record = FlightRecorder::read(entry.path().string());
      if (!record.events.empty())
        records += fmt::format("{} {} {};", record.origin.rank, record.origin.process,
                               record.events.back().time_ns);
    } catch (const Error&) {
      // It is just being made.
    }
  }
  if (records != records_) {
    records_ = records;
    changed_ = Clock::now();
  }
  return since(changed_) > options_.stall_s;
}

ProcessEnd Supervisor::run_once(ProcessTree& child) {
  changed_ = Clock::now();
  stalled_ = false;
  for (;;) {
    if (const auto end = child.ended()) return *end;
    handle(signals_.wait(kPoll), child);
    if (stop_signal_ && !killed_ && since(stop_at_) > options_.grace_s) {
      log_.warning(
          fmt::format("launch: the run did not stop within {} s: it is killed", options_.grace_s));
      killed_ = true;
      child.kill_all();
    } else if (stalls()) {
      log_.warning(fmt::format("launch: no rank has recorded anything for {} s: the run is killed",
                               options_.stall_s));
      stalled_ = true;
      child.kill_all();
    }
  }
}

void Supervisor::exclude_hosts(const Diagnosis& diagnosis) {
  for (const RankReport& rank : diagnosis.ranks) {
    const ExitCode* code = rank.error ? find_exit_code(rank.error->code) : nullptr;
    const std::string host = rank.origin.host;
    if (!code || code->retry != Retry::elsewhere) continue;
    if (std::find(excluded_.begin(), excluded_.end(), host) != excluded_.end()) continue;
    const bool named = std::find(hosts_.begin(), hosts_.end(), host) != hosts_.end();
    if (named ? hosts_.size() == 1 : !in_slurm()) continue;  // there is no other
    std::erase(hosts_, host);
    excluded_.push_back(host);
    log_.warning(
        fmt::format("launch: host {} is left out from now on: {}", host, rank.error->message));
  }
}

void Supervisor::tell_why(ProcessEnd end) {
  if (end.code == 0 && end.signal == 0) return;
  try {
    const Diagnosis diagnosis = diagnose(folder_);
    for (const std::string& finding : diagnosis.findings) log_.info("launch: " + finding);
    exclude_hosts(diagnosis);
  } catch (const Error& error) {
    log_.debug(error.what());  // it did not come so far
  }
}

/// Ranks of other hosts may need a moment to end.
void Supervisor::wait_for_lock() const {
  const auto start = Clock::now();
  while (RunLock::is_held(folder_)) {
    expect(since(start) < kLockSeconds, ErrorKind::permission,
           "{}: a rank of the last start still holds the folder after {} s; end it first", folder_,
           kLockSeconds);
    (void)signals_.wait(0.2);
  }
}

int Supervisor::run() {
  RestartPolicy policy(options_.max_restarts);
  for (int attempt = 0;; ++attempt) {
    const auto words = command(attempt);
    log_.debug("launch: " + joined(words));
    ProcessEnd end;
    {
      ProcessTree child(words);
      end = run_once(child);
      if (const int left = child.kill_all())
        log_.debug(fmt::format("launch: {} processes were left and are killed", left));
    }
    tell_why(end);
    const auto decision = policy.after(end, newest_step(), stop_signal_ != 0);
    if (!decision.restart) {
      if (decision.code) log_.error(fmt::format("launch: ended: {}", decision.why));
      return decision.code;
    }
    log_.warning(fmt::format("launch: {}; restart {} in {} s, from {}", decision.why,
                             policy.restarts(), decision.wait_seconds,
                             newest_step() < 0 ? "the beginning" : checkpoint_name(newest_step())));
    const auto start = Clock::now();
    while (since(start) < decision.wait_seconds) {
      const int signal = signals_.wait(decision.wait_seconds - since(start));
      if (signal && signal != SIGCHLD) return exit_code(ErrorKind::preempted);
    }
    wait_for_lock();
  }
}

}  // namespace

std::vector<std::string> host_list(const LaunchOptions& options) {
  std::string text = options.hosts;
  if (!options.hostfile.empty()) text = read_file(options.hostfile, 1 << 20);
  std::replace(text.begin(), text.end(), ',', '\n');
  std::vector<std::string> hosts;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::string name;
    std::istringstream(line) >> name;
    if (!name.empty() && name.front() != '#') hosts.push_back(name);
  }
  expect(options.hostfile.empty() || !hosts.empty(), ErrorKind::usage, "{}: names no host",
         options.hostfile);
  const auto wanted = static_cast<std::size_t>(options.nnodes);
  expect(hosts.empty() || hosts.size() >= wanted, ErrorKind::usage,
         "--nnodes {}, but only {} hosts are given", options.nnodes, hosts.size());
  return hosts;
}

std::vector<std::string> start_command(const LaunchOptions& options, const std::string& program,
                                       const std::vector<std::string>& hosts,
                                       const std::vector<std::string>& excluded, bool slurm) {
  const int per_node = std::max(1, options.nproc_per_node);
  if (slurm) {
    std::vector<std::string> words{"srun", "--mpi=pmix", "--kill-on-bad-exit=1"};
    if (options.nnodes) words.push_back(fmt::format("--nodes={}", options.nnodes));
    if (options.nproc) words.push_back(fmt::format("--ntasks={}", options.nproc));
    if (options.nproc_per_node) words.push_back(fmt::format("--ntasks-per-node={}", per_node));
    if (!excluded.empty()) words.push_back(fmt::format("--exclude={}", fmt::join(excluded, ",")));
    words.push_back(program);
    return words;
  }
  std::vector<std::string> used = hosts;
  if (options.nnodes && used.size() > static_cast<std::size_t>(options.nnodes))
    used.resize(static_cast<std::size_t>(options.nnodes));
  const int nodes = std::max<int>(1, static_cast<int>(used.size()));
  const int ranks = options.nproc ? options.nproc : per_node * nodes;
  if (used.empty() && ranks == 1) return {program};
  std::vector<std::string> words{options.mpirun, "-n", std::to_string(ranks)};
  if (::geteuid() == 0) words.push_back("--allow-run-as-root");
  if (used.empty()) {
    if (ranks > available_cores()) words.push_back("--oversubscribe");
  } else {
    const int slots = (ranks + nodes - 1) / nodes;
    std::string list;
    for (const std::string& host : used)
      list += fmt::format("{}{}:{}", list.empty() ? "" : ",", host, slots);
    words.insert(words.end(), {"--host", list});
  }
  words.push_back(program);
  return words;
}

int supervise(const LaunchOptions& options, Log& log) {
  Supervisor supervisor(options, log);
  if (options.dry_run) {
    fmt::print("{}\n", joined(supervisor.command(0)));
    return 0;
  }
  return supervisor.run();
}

}  // namespace gradmill
