// How this process came to be: alone, or one rank of an mpirun. Owns MPI's start and end.
#pragma once

#include <memory>
#include <string>

#include "dist/communicator.h"

namespace gradmill {

class World {
 public:
  /// Starts MPI if the environment says that a launcher (mpirun, srun with PMIx or PMI) started
  /// this process; otherwise the world is this process alone and MPI is not touched. An MPI that
  /// runs already is used and left running. timeout_seconds: deadline of every wait for other
  /// ranks, and of the start (or GRADMILL_START_TIMEOUT_S): if not all ranks come, the process ends with
  /// a message and the exit code of a lost peer. Errors: ErrorKind::usage if the launcher started more ranks than MPI finds (another
  /// MPI's mpirun).
  static std::unique_ptr<World> start(double timeout_seconds = 600);
  /// Finalizes MPI when all ranks got here; not while an exception is in flight, since other ranks
  /// may be waiting for this one elsewhere: call abort() then.
  virtual ~World() = default;

  virtual int rank() const = 0;
  virtual int world_size() const = 0;
  virtual int local_rank() const = 0;  // among the ranks of this host
  virtual int local_size() const = 0;
  /// Cores that this rank may use: those of its affinity mask, each divided among the ranks of this
  /// host that may use it too, at most this rank's share of the host's quota; at least 1.
  virtual int cores() const = 0;

  /// The communicator for contexts of this kind; collective. ctx must outlive it, as must the
  /// world. With a CUDA context and more than one rank: NCCL, one device a rank (ctx's).
  virtual std::unique_ptr<Communicator> communicator(const Context& ctx) = 0;

  /// Ends all ranks now with this exit code, after an error that other ranks do not know of.
  [[noreturn]] virtual void abort(int exit_code) = 0;
};

/// Threads for this process's kernels: `asked` if positive, else world.cores().
int threads_per_rank(int asked, const World& world);

/// The launcher that started this process as the environment tells it: "Open MPI's mpirun, 4
/// ranks", or "none".
std::string launcher();

/// "Open MPI 4.1.4, MPI 3.1" of the library that is loaded.
std::string mpi_version();

/// "2.28.9", or why there is none ("not in this build").
std::string nccl_version();

}  // namespace gradmill
