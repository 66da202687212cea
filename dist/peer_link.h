// Small messages between rank 0 and every other rank over TCP, beside MPI: from a thread of its own and
// without waiting for anybody, which MPI does not promise. A connection also tells at once when a process
// has ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "dist/communicator.h"
#include "dist/flight_recorder.h"

namespace gradmill {

/// A rank as the others know it.
struct RankStatus {
  std::int32_t rank = -1, process = 0;
  char host[64] = {};
  FlightStatus now;
};
/// "rank 3 (host n07, process 4711)"
std::string describe_rank(const RankStatus& status);
/// "phase train, step 12, in all_reduce_sum #1042 (4000 bytes, cpu) for 2.1 s"
std::string describe_state(const RankStatus& status);

struct PeerMessage {
  enum class Kind : std::uint8_t { hello, beat, failed, verdict, bye };
  Kind kind = Kind::beat;
  std::int32_t code = 0;    // failed, verdict: the exit code
  bool own_cause = false;   // failed, verdict: the rank ends for a reason of its own
  std::uint64_t token = 0;  // hello: proves that the sender is of this run
  RankStatus status;        // of the sender; verdict: of the rank that is lost
  RankStatus last;          // beat of rank 0: the rank that all wait for
  char text[512] = {};      // failed, verdict
};

class PeerLink {
 public:
  /// Collective. nullptr, on all ranks alike, if some rank cannot reach rank 0; `problem` then says which.
  static std::unique_ptr<PeerLink> connect(const Context& ctx, Communicator& comm,
                                           std::string& problem);
  ~PeerLink();
  PeerLink(PeerLink&&) = delete;

  struct Arrival {
    int rank;
    bool closed;  // the connection ended; no message then
    PeerMessage message;
  };
  /// What has come from connected peers within so many seconds; returns with the first, or on wake().
  std::vector<Arrival> receive(double seconds);
  /// Never waits: what a peer does not take is dropped.
  void send(int rank, const PeerMessage& message);
  /// Ends a receive() of another thread.
  void wake();

 private:
  struct Impl;
  explicit PeerLink(std::unique_ptr<Impl> impl);  // NOLINT
  std::unique_ptr<Impl> impl_;
};

}  // namespace gradmill
