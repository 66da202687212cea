// The folder of one run: runs/<name>/{config.toml, env.json, log/, metrics.jsonl, checkpoints/, best, model/,
// report.html, error-rank-000.json, flight/, run.lock}.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "dist/communicator.h"
#include "dist/flight_recorder.h"
#include "launch/environment.h"
#include "launch/run_lock.h"
#include "runtime/error.h"

namespace gradmill {

/// Makes the first free folder of parent/<kind>-0001, <kind>-0002, …; its name. Errors:
/// ErrorKind::permission, cannot_write.
std::string claim_run_name(const std::string& parent, const std::string& kind);

/// Held by every rank while the run goes on; its lock keeps other runs out.
class RunDirectory {
 public:
  enum class If { absent, any, exists };  // what is accepted

  /// Collective. parent/name; an empty name becomes the first free of <kind>-0001, <kind>-0002, ….
  /// Errors: ErrorKind::usage if the folder holds a run already (absent), input_missing if it does not
  /// (exists), permission if another run is in it.
  static RunDirectory open(const Context& ctx, Communicator& comm, const std::string& parent,
                           std::string name, const std::string& kind, If accept);

  const std::string& path() const { return path_; }
  std::string name() const;
  bool resumed() const { return resumed_; }  // it was there before

  std::string config() const { return path_ + "/config.toml"; }
  std::string environment() const { return path_ + "/env.json"; }
  std::string metrics() const { return path_ + "/metrics.jsonl"; }
  std::string checkpoints() const { return path_ + "/checkpoints"; }
  std::string model() const { return path_ + "/model"; }
  std::string report() const { return path_ + "/report.html"; }
  std::string log() const;     // of this rank
  std::string error() const;   // of this rank
  std::string flight() const;  // of this rank
  std::int64_t generation() const { return generation_; }
  /// As RunLock::check_current. By rank 0.
  void check_current() const { lock_->check_current(); }

  /// best -> checkpoints/step-…, replaced in one step. By one rank.
  void set_best(std::int64_t step) const;
  /// -1: none. Errors: none; a link that leads elsewhere counts as none.
  std::int64_t best() const;

  /// What ended this rank, for supervisors: code, kind, message, rank, host, process, time, and what it
  /// was at. Never throws.
  void write_error(ErrorKind kind, const std::string& message,
                   const FlightStatus& status) const noexcept;

 private:
  RunDirectory(std::string path, int rank, bool resumed, std::unique_ptr<RunLock> lock)
      : path_(std::move(path)),
        rank_(rank),
        resumed_(resumed),
        lock_(std::move(lock)),
        generation_(lock_->generation()) {}
  std::string path_;
  int rank_;
  bool resumed_;
  std::unique_ptr<RunLock> lock_;
  std::int64_t generation_ = 0;
};

}  // namespace gradmill
