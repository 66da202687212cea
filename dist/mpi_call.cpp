#include "dist/mpi_call.h"

#include <sched.h>

#include <array>
#include <chrono>
#include <exception>
#include <string>
#include <thread>

#include "runtime/expect.h"

namespace gradmill {

void mpi_check(int status, std::string_view doing) {
  if (status == MPI_SUCCESS) [[likely]]
    return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0, what = 0;
  if (MPI_Error_string(status, text.data(), &length) != MPI_SUCCESS) length = 0;
  (void)MPI_Error_class(status, &what);
  // A message that is longer than its buffer: the ranks do not make the same calls.
  fail(what == MPI_ERR_TRUNCATE ? ErrorKind::internal : ErrorKind::peer_lost,
       "MPI could not {}: {}", doing,
       std::string_view(text.data(), static_cast<std::size_t>(length)));
}

MpiComm::MpiComm(MPI_Comm raw) : raw_(raw) {
  mpi_check(MPI_Comm_set_errhandler(raw_, MPI_ERRORS_RETURN), "set up error handling");
}

MpiComm MpiComm::duplicate(MPI_Comm of) {
  MPI_Comm raw = MPI_COMM_NULL;
  mpi_check(MPI_Comm_dup(of, &raw), "duplicate a communicator");
  return MpiComm(raw);
}

MpiComm MpiComm::of_this_host(MPI_Comm of) {
  MPI_Comm raw = MPI_COMM_NULL;
  mpi_check(MPI_Comm_split_type(of, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &raw),
            "find the ranks of this host");
  return MpiComm(raw);
}

MpiComm::~MpiComm() {
  if (raw_ == MPI_COMM_NULL || std::uncaught_exceptions() > 0) return;
  int finalized = 0;
  if (MPI_Finalized(&finalized) == MPI_SUCCESS && !finalized) (void)MPI_Comm_free(&raw_);
}

int MpiComm::rank() const {
  int rank = 0;
  mpi_check(MPI_Comm_rank(raw_, &rank), "read the rank");
  return rank;
}

int MpiComm::size() const {
  int size = 0;
  mpi_check(MPI_Comm_size(raw_, &size), "read the world size");
  return size;
}

namespace {
[[noreturn]] void fail_in_status(int status, std::span<const MPI_Status> statuses) {
  constexpr std::string_view doing = "move messages";
  if (status == MPI_ERR_IN_STATUS)
    for (const MPI_Status& each : statuses)
      if (each.MPI_ERROR != MPI_ERR_PENDING) mpi_check(each.MPI_ERROR, doing);
  mpi_check(status, doing);
  fail(ErrorKind::internal, "MPI reported a failure without an error");
}
}  // namespace

bool mpi_wait(std::span<MPI_Request> requests, std::span<MPI_Status> statuses, double seconds,
              CollectiveObserver* observer) {
  using Clock = std::chrono::steady_clock;
  // Most waits are short, and a message in pieces moves only while MPI is asked: so first spin,
  // then give the core away between questions, and sleep only when the peer is clearly at other
  // work.
  constexpr int kSpins = 100;
  constexpr std::chrono::milliseconds kYielding{5};
  constexpr std::chrono::microseconds kSleep{50};
  const auto start = Clock::now();
  for (int polls = 0;; ++polls) {
    int done = 0;
    const int status =
        MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done, statuses.data());
    if (status != MPI_SUCCESS) [[unlikely]]
      fail_in_status(status, statuses);
    if (done) return true;
    if (polls < kSpins) continue;
    if (observer) observer->waiting();
    const auto waited = Clock::now() - start;
    if (waited > std::chrono::duration<double>(seconds)) return false;
    if (waited < kYielding)
      sched_yield();
    else
      std::this_thread::sleep_for(kSleep);
  }
}

}  // namespace gradmill
