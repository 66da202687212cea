// `gradmill launch`: starts a training run on one or many hosts, hands requests to stop on to it, and starts
// it again from its newest checkpoint after failures that can pass. Uses no MPI itself.
#pragma once

#include <string>
#include <vector>

#include "runtime/log.h"

namespace gradmill {

struct LaunchOptions {
  int nproc = 0;           // ranks in all; 0: nproc_per_node on each host
  int nproc_per_node = 0;  // 0: one
  int nnodes = 0;          // 0: all hosts that are given
  int max_restarts = 3;    // in a row without a newer checkpoint
  double grace_s = 600;    // to save and stop, when asked to
  double stall_s = 0;      // no rank records anything for so long: killed; 0: never
  std::string hosts;       // "a,b,c"
  std::string hostfile;    // one a line; what follows a space (slots=4) is left out
  std::string mpirun = "mpirun";
  bool dry_run = false;              // prints the command only
  std::vector<std::string> command;  // train …
};

/// Names of a comma-separated list or a file's lines. Errors: ErrorKind::input_missing, usage.
std::vector<std::string> host_list(const LaunchOptions& options);

/// The words that start the ranks: the program alone (one rank), mpirun, or srun within a Slurm job.
std::vector<std::string> start_command(const LaunchOptions& options, const std::string& program,
                                       const std::vector<std::string>& hosts,
                                       const std::vector<std::string>& excluded, bool slurm);

/// Supervises until the run is done or given up; the exit code.
int supervise(const LaunchOptions& options, Log& log);

}  // namespace gradmill
