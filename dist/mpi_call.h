// MPI's handles, checked calls and bounded waits; the only place of dist/ whose header needs mpi.h.
#pragma once

#include <mpi.h>

#include <span>
#include <string_view>
#include <vector>

#include "dist/collective_observer.h"
#include "runtime/handle.h"

namespace gradmill {

/// Throws ErrorKind::peer_lost with MPI's text if the status is not MPI_SUCCESS.
void mpi_check(int status, std::string_view doing);

/// A communicator of its own: its messages never meet another's, and its errors are returned.
class MpiComm {
 public:
  MpiComm() = default;
  static MpiComm duplicate(MPI_Comm of);
  static MpiComm of_this_host(MPI_Comm of);
  MpiComm(MpiComm&& o) noexcept : raw_(std::exchange(o.raw_, MPI_COMM_NULL)) {}
  MpiComm& operator=(MpiComm&& o) noexcept {
    std::swap(raw_, o.raw_);
    return *this;
  }
  ~MpiComm();  // leaves it alone after MPI_Finalize and while an exception is in flight
  MPI_Comm get() const { return raw_; }
  int rank() const;
  int size() const;

 private:
  explicit MpiComm(MPI_Comm raw);
  MPI_Comm raw_ = MPI_COMM_NULL;
};

/// Polls until all requests are complete; false if they are not after so many seconds. The statuses
/// (one a request) are filled in on success. The observer is asked meanwhile, and may throw.
bool mpi_wait(std::span<MPI_Request> requests, std::span<MPI_Status> statuses, double seconds,
              CollectiveObserver* observer = nullptr);

}  // namespace gradmill
