#include "dist/watchdog.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "dist/gather_strings.h"
#include "dist/peer_link.h"
#include "runtime/exit_codes.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;
constexpr double kBeat = 0.1;
/// A rank that failed for its own reason ends everybody by itself; the others wait so long for that.
constexpr double kCauseSeconds = 2;
/// So long a rank's own thread has to notice that the run is over.
constexpr double kGraceSeconds = 5;

double since(Clock::time_point then) { return Seconds(Clock::now() - then).count(); }

/// Why the run is over.
struct Verdict {
  ErrorKind kind = ErrorKind::peer_lost;
  std::string text;
  bool own_cause = false;  // of the rank that failed
  Clock::time_point at = Clock::now();
};

struct Peer {
  RankStatus status;
  Clock::time_point heard = Clock::now();
  bool gone = false;  // said goodbye
};

/// Position in the sequence of calls: entering n comes after leaving n - 1.
std::int64_t position(const RankStatus& status) {
  return 2 * status.now.last.sequence + (status.now.waiting ? 0 : 1);
}

/// The earliest number under which two ranks made different calls, as far as they remember; 0: none.
std::int64_t first_difference(const FlightStatus& a, const FlightStatus& b) {
  std::int64_t found = 0;
  for (std::int64_t i = 0; i < FlightStatus::kCalls; ++i) {
    const std::int64_t sequence = a.last.sequence - i, j = b.last.sequence - sequence;
    if (j < 0 || j >= FlightStatus::kCalls || !a.calls[i] || !b.calls[j]) continue;
    if (a.calls[i] != b.calls[j]) found = sequence;
  }
  return found;
}

std::string describe_call(const RankStatus& status, std::int64_t sequence) {
  const std::uint64_t call = status.now.calls[status.now.last.sequence - sequence];
  return fmt::format("{} made {} #{} ({} bytes) and is in {}", describe_rank(status),
                     collective_name(static_cast<Collective>(call >> 56)), sequence,
                     call & (~std::uint64_t{0} >> 8), describe_state(status));
}

template <std::size_t Size>
void copy_text(char (&to)[Size], std::string_view text) {
  const std::size_t size = std::min(text.size(), Size - 1);
  std::memcpy(to, text.data(), size);
  to[size] = '\0';
}

RankStatus status_of(int rank, const FlightRecorder& recorder) {
  RankStatus status;
  const FlightOrigin& origin = recorder.origin();
  status.rank = rank;
  status.process = origin.process;
  std::memcpy(status.host, origin.host, sizeof status.host);
  status.now = recorder.status();
  return status;
}

/// Who all ranks are, before any of them is lost. Collective.
std::vector<Peer> introduce(const Context& ctx, Communicator& comm,
                            const FlightRecorder& recorder) {
  const RankStatus mine = status_of(comm.rank(), recorder);
  std::vector<Peer> peers;
  for (const std::string& bytes :
       all_gather_strings(ctx, comm, {reinterpret_cast<const char*>(&mine), sizeof mine})) {
    require(bytes.size() == sizeof(RankStatus), "watchdog: {} bytes of a rank", bytes.size());
    std::memcpy(&peers.emplace_back().status, bytes.data(), bytes.size());
  }
  return peers;
}

}  // namespace

/// The thread and what it shares with the rank's own thread.
class Watchdog::Thread {
 public:
  Thread(std::unique_ptr<PeerLink> link, std::vector<Peer> peers, int rank,
         FlightRecorder& recorder, WatchdogOptions options)
      : link_(std::move(link)),
        rank_(rank),
        recorder_(recorder),
        options_(std::move(options)),
        peers_(std::move(peers)),
        thread_([this] { run(); }) {}

  ~Thread() {
    stopping_ = true;
    link_->wake();
    thread_.join();
  }

  void failed(ErrorKind kind, const std::string& text) {
    const std::lock_guard lock(mutex_);
    if (!verdict_) farewell_ = Verdict{kind, text, kind != ErrorKind::peer_lost, Clock::now()};
  }

  void check() {
    if (!over_.load(std::memory_order_acquire)) [[likely]]
      return;
    const std::lock_guard lock(mutex_);
    if (verdict_->own_cause && since(verdict_->at) < kCauseSeconds) return;
    fail(verdict_->kind, verdict_->text);
  }

  std::string last() {
    const std::lock_guard lock(mutex_);
    if (last_.rank < 0 || last_.rank == rank_) return {};
    return fmt::format("all wait for {}: {}", describe_rank(last_), describe_state(last_));
  }

 private:
  void run();
  RankStatus own() const { return status_of(rank_, recorder_); }
  void beat();
  void take(const PeerLink::Arrival& arrival);
  void judge(ErrorKind kind, std::string text, bool own_cause, const RankStatus& whom);
  void lost(const RankStatus& whom, std::string_view how);
  void look_for_silence();
  void look_at_calls();
  void look_at_own_thread();
  void say_goodbye();
  bool zero() const { return rank_ == 0; }
  bool is_over() const { return over_.load(std::memory_order_acquire); }

  std::unique_ptr<PeerLink> link_;
  const int rank_;
  FlightRecorder& recorder_;
  const WatchdogOptions options_;
  std::vector<Peer> peers_;  // by rank; on ranks other than 0 only that of 0 is heard
  Clock::time_point beaten_ = Clock::now();
  std::int64_t warned_ = -1;  // sequence number of the last warning

  std::mutex mutex_;  // of what follows
  std::optional<Verdict> verdict_, farewell_;
  RankStatus last_;
  std::atomic<bool> over_ = false, stopping_ = false;
  std::thread thread_;
};

void Watchdog::Thread::run() {
  while (!stopping_) {
    for (const PeerLink::Arrival& arrival : link_->receive(kBeat)) take(arrival);
    const double gap = since(beaten_);
    if (gap < kBeat) continue;
    beaten_ = Clock::now();
    // Who slept itself (a stopped process, a suspended machine) cannot judge the others yet.
    if (gap > std::max(1.0, options_.silent_seconds / 4))
      for (Peer& peer : peers_) peer.heard = Clock::now();
    beat();
    look_for_silence();
    if (zero()) look_at_calls();
    look_at_own_thread();
  }
  say_goodbye();
}

void Watchdog::Thread::beat() {
  PeerMessage message;
  message.status = own();
  if (!zero()) return link_->send(0, message);
  peers_[0].status = message.status;
  {
    const std::lock_guard lock(mutex_);
    message.last = last_;
  }
  for (std::size_t r = 1; r < peers_.size(); ++r) link_->send(static_cast<int>(r), message);
}

void Watchdog::Thread::take(const PeerLink::Arrival& arrival) {
  const auto r = static_cast<std::size_t>(arrival.rank);
  if (r >= peers_.size()) return;
  Peer& peer = peers_[r];
  peer.heard = Clock::now();
  const PeerMessage& message = arrival.message;
  if (arrival.closed) {
    if (!peer.gone) lost(peer.status, "has ended without a word");
    peer.gone = true;
    return;
  }
  if (message.kind != PeerMessage::Kind::hello) peer.status = message.status;
  peer.status.rank = arrival.rank;
  switch (message.kind) {
    case PeerMessage::Kind::hello:
    case PeerMessage::Kind::beat:
      if (!zero()) {
        const std::lock_guard lock(mutex_);
        last_ = message.last;
      }
      return;
    case PeerMessage::Kind::bye:
      peer.gone = true;
      return;
    case PeerMessage::Kind::failed:
      peer.gone = true;
      return judge(error_kind(message.code),
                   fmt::format("{} has failed: {}", describe_rank(peer.status), message.text),
                   message.own_cause, peer.status);
    case PeerMessage::Kind::verdict:
      return judge(error_kind(message.code), message.text, message.own_cause, peer.status);
  }
}

/// The first verdict holds; rank 0 tells it to everybody.
void Watchdog::Thread::judge(ErrorKind kind, std::string text, bool own_cause,
                             const RankStatus& whom) {
  {
    const std::lock_guard lock(mutex_);
    if (verdict_) return;
    verdict_ = Verdict{kind, text, own_cause, Clock::now()};
  }
  over_.store(true, std::memory_order_release);
  if (!zero()) return;
  PeerMessage message;
  message.kind = PeerMessage::Kind::verdict;
  message.code = exit_code(kind);
  message.own_cause = own_cause;
  message.status = own();
  message.last = whom;
  copy_text(message.text, text);
  for (std::size_t r = 1; r < peers_.size(); ++r) link_->send(static_cast<int>(r), message);
}

void Watchdog::Thread::lost(const RankStatus& whom, std::string_view how) {
  judge(ErrorKind::peer_lost,
        fmt::format("{} {}; last seen in {}", describe_rank(whom), how, describe_state(whom)),
        false, whom);
}

void Watchdog::Thread::look_for_silence() {
  for (std::size_t r = 0; r < peers_.size(); ++r) {
    Peer& peer = peers_[r];
    const bool heard_here = zero() ? r > 0 : r == 0;
    if (!heard_here || peer.gone || is_over()) continue;
    const double silence = since(peer.heard);
    if (silence < options_.silent_seconds) continue;
    peer.status.rank = static_cast<int>(r);
    lost(peer.status,
         fmt::format("has given no sign of life for {:.1f} s: it is stopped, or its host or "
                     "network is down",
                     silence));
  }
}

/// Rank 0: who is behind, and whether all make the same calls.
void Watchdog::Thread::look_at_calls() {
  const Peer* last = nullptr;
  bool all_alive = true;
  for (const Peer& peer : peers_) {
    all_alive = all_alive && !peer.gone && peer.status.rank >= 0;
    if (peer.status.rank >= 0 && (!last || position(peer.status) < position(last->status)))
      last = &peer;
  }
  if (!last) return;
  {
    const std::lock_guard lock(mutex_);
    last_ = last->status;
  }
  if (!all_alive || is_over()) return;
  const FlightStatus& behind = last->status.now;
  const auto waits = [&](const Peer& peer) {
    return &peer == last ||
           (peer.status.now.waiting && position(peer.status) > position(last->status));
  };
  if (!behind.waiting && behind.idle_seconds > options_.slow_seconds &&
      behind.last.sequence != warned_ && std::all_of(peers_.begin(), peers_.end(), waits)) {
    warned_ = behind.last.sequence;
    if (options_.warn)
      options_.warn(fmt::format("all ranks wait for {}: {}", describe_rank(last->status),
                                describe_state(last->status)));
  }
  for (const Peer& peer : peers_) {
    const RankStatus& zero = peers_[0].status;
    if (const std::int64_t at = first_difference(zero.now, peer.status.now))
      return judge(ErrorKind::internal,
                   fmt::format("the ranks do not make the same calls: {}; {}",
                               describe_call(zero, at), describe_call(peer.status, at)),
                   false, peer.status);
  }
}

/// Ends the process if its own thread does not: nothing else would.
void Watchdog::Thread::look_at_own_thread() {
  const FlightStatus now = recorder_.status();
  std::optional<Verdict> verdict;
  if (is_over()) {
    const std::lock_guard lock(mutex_);
    if (since(verdict_->at) > kGraceSeconds + kCauseSeconds) verdict = verdict_;
  } else if (now.waiting && now.idle_seconds > options_.collective_seconds + kGraceSeconds) {
    const RankStatus me = own();
    verdict = Verdict{ErrorKind::peer_lost, fmt::format("{} does not come back from its wait: {}",
                                                        describe_rank(me), describe_state(me))};
  }
  if (!verdict || stopping_) return;
  if (options_.last_words) options_.last_words(verdict->kind, verdict->text);
  recorder_.end(FlightOrigin::End::failed, exit_code(verdict->kind));
  std::_Exit(exit_code(verdict->kind));
}

void Watchdog::Thread::say_goodbye() {
  PeerMessage message;
  message.kind = PeerMessage::Kind::bye;
  message.status = own();
  {
    const std::lock_guard lock(mutex_);
    if (farewell_ && !verdict_) {
      message.kind = PeerMessage::Kind::failed;
      message.code = exit_code(farewell_->kind);
      message.own_cause = farewell_->own_cause;
      copy_text(message.text, farewell_->text);
    }
  }
  if (!zero()) return link_->send(0, message);
  for (std::size_t r = 1; r < peers_.size(); ++r) link_->send(static_cast<int>(r), message);
}

Watchdog::Watchdog(const Context& ctx, Communicator& comm, FlightRecorder& recorder,
                   WatchdogOptions options)
    : comm_(comm), recorder_(recorder) {
  comm.observe(this);
  if (comm.world_size() == 1 || options.silent_seconds <= 0) return;
  std::string problem;
  auto link = PeerLink::connect(ctx, comm, problem);
  if (link) {
    thread_ = std::make_unique<Thread>(std::move(link), introduce(ctx, comm, recorder), comm.rank(),
                                       recorder, std::move(options));
  } else if (options.warn) {
    options.warn(fmt::format(
        "no heartbeats between ranks: {}; a lost rank is found after {} s (train.timeout_s)",
        problem, options.collective_seconds));
  }
}

Watchdog::~Watchdog() { comm_.observe(nullptr); }

void Watchdog::failed(ErrorKind kind, const std::string& text) noexcept {
  try {
    if (thread_) thread_->failed(kind, text);
  } catch (const std::exception&) {
    // The others then hear that the connection has ended.
  }
}

void Watchdog::waiting() {
  if (thread_) thread_->check();
}

std::string Watchdog::whom_all_wait_for() { return thread_ ? thread_->last() : std::string(); }

}  // namespace gradmill
