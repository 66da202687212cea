// How this process came to be: alone, or one rank of an mpirun. Owns MPI's start and end.
#pragma once

#include <memory>
#include <string>

#include "dist/communicator.h"

namespace gradmill {

class World {
 public:
  /// Starts MPI if the environment says that a launcher (mpirun, srun with PMI) started this process;
  /// otherwise the world is this process alone and MPI is not touched.
  /// timeout_seconds: deadline of every wait for other ranks.
  static std::unique_ptr<World> start(double timeout_seconds = 600);
  virtual ~World() = default;  // finalizes MPI

  virtual int rank() const = 0;
  virtual int world_size() const = 0;
  virtual int local_rank() const = 0;  // among the ranks of this host
  virtual int local_size() const = 0;

  /// The communicator for contexts of this kind; collective. ctx must outlive it. With a CUDA context
  /// and more than one rank: NCCL, one device a rank (ctx's).
  virtual std::unique_ptr<Communicator> communicator(const Context& ctx) = 0;

  /// Ends all ranks now with this exit code, after an error that other ranks do not know of.
  [[noreturn]] virtual void abort(int exit_code) = 0;
};

/// Threads for this process's kernels: `asked` if positive, else the cores it may use divided by the
/// ranks of this host.
int threads_per_rank(int asked, int local_size);

}  // namespace gradmill
