#include "dist/peer_link.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <random>
#include <sstream>
#include <system_error>
#include <type_traits>

#include "dist/gather_strings.h"
#include "runtime/expect.h"
#include "runtime/handle.h"

namespace gradmill {
namespace {

static_assert(std::is_trivially_copyable_v<PeerMessage>);

int close_socket(int descriptor) { return ::close(descriptor); }
using Socket = Handle<int, close_socket, -1>;
using Clock = std::chrono::steady_clock;
constexpr int kConnectMs = 3000;

std::string this_host() {
  char name[256] = "unknown";
  ::gethostname(name, sizeof name - 1);
  return name;
}

std::string error_text(int error) { return std::generic_category().message(error); }

/// Where rank 0 listens: "port token host address address …".
struct Meeting {
  int port = 0;
  std::uint64_t token = 0;
  std::string host;
  std::vector<std::string> addresses;
};

std::vector<std::string> own_addresses() {
  std::vector<std::string> found;
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return found;
  for (const ifaddrs* each = all; each; each = each->ifa_next) {
    if (!each->ifa_addr || each->ifa_addr->sa_family != AF_INET) continue;
    char text[INET_ADDRSTRLEN];
    const auto* in = reinterpret_cast<const sockaddr_in*>(each->ifa_addr);
    if (::inet_ntop(AF_INET, &in->sin_addr, text, sizeof text) &&
        !std::string_view(text).starts_with("127."))
      found.emplace_back(text);
  }
  ::freeifaddrs(all);
  return found;
}

Socket tcp_socket() {
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  expect(static_cast<bool>(socket), ErrorKind::io, "no socket for heartbeats: {}",
         error_text(errno));
  return socket;
}

void send_at_once(int socket) {
  const int on = 1;
  (void)::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

Socket listen_anywhere(int ranks, Meeting& meeting) {
  Socket socket = tcp_socket();
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_ANY);
  socklen_t size = sizeof any;
  auto* address = reinterpret_cast<sockaddr*>(&any);
  expect(::bind(socket.get(), address, size) == 0 && ::listen(socket.get(), ranks) == 0 &&
             ::getsockname(socket.get(), address, &size) == 0,
         ErrorKind::io, "cannot listen for heartbeats: {}", error_text(errno));
  std::random_device random;
  meeting = {ntohs(any.sin_port), std::uint64_t{random()} << 32 | random(), this_host(),
             own_addresses()};
  return socket;
}

/// An empty socket, and the reason in `problem`, if this address does not answer.
Socket try_connect(const std::string& address, int port, std::string& problem) {
  Socket socket = tcp_socket();
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(port));
  int error = 0;
  if (::inet_pton(AF_INET, address.c_str(), &to.sin_addr) != 1) error = EINVAL;
  if (!error && ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
    error = errno;
  if (error == EINPROGRESS) {
    pollfd ready{socket.get(), POLLOUT, 0};
    socklen_t size = sizeof error;
    error = ETIMEDOUT;
    if (::poll(&ready, 1, kConnectMs) == 1)
      (void)::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  }
  if (!error) return socket;
  problem = fmt::format("{}{}{}:{}: {}", problem, problem.empty() ? "" : ", ", address, port,
                        error_text(error));
  return Socket();
}

/// One peer: its socket and what has come of its next message.
struct Connection {
  Socket socket;
  int rank = -1;  // -1: has not said yet
  std::size_t have = 0;
  PeerMessage incoming;
};

}  // namespace

std::string describe_rank(const RankStatus& status) {
  return fmt::format("rank {} (host {}, process {})", status.rank, status.host, status.process);
}

std::string describe_state(const RankStatus& status) {
  const FlightEvent& last = status.now.last;
  const std::string device = last.device_kind == DeviceKind::cuda
                                 ? fmt::format("cuda:{}", last.device_ordinal)
                                 : std::string("cpu");
  std::string text = fmt::format("phase {}, step {}, ", phase_name(last.phase), last.step);
  if (last.collective == Collective::none)
    text += "before any collective";
  else
    text += fmt::format("{} {} #{} ({} bytes, {})", status.now.waiting ? "in" : "after",
                        collective_name(last.collective), last.sequence, last.bytes, device);
  return text + fmt::format(" for {:.1f} s", status.now.idle_seconds);
}

struct PeerLink::Impl {
  int rank = 0;
  std::uint64_t token = 0;
  Socket listener, waker;
  std::vector<Connection> peers;

  Connection* find(int of) {
    for (Connection& peer : peers)
      if (peer.rank == of && peer.socket) return &peer;
    return nullptr;
  }

  void accept_all() {
    for (;;) {
      Socket socket(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!socket) return;
      send_at_once(socket.get());
      peers.push_back({std::move(socket), -1, 0, {}});
    }
  }

  /// Reads what is there; adds whole messages, and the end.
  void read_from(Connection& peer, std::vector<Arrival>& arrivals) {
    for (;;) {
      auto* to = reinterpret_cast<char*>(&peer.incoming);
      const ssize_t got =
          ::recv(peer.socket.get(), to + peer.have, sizeof(PeerMessage) - peer.have, 0);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (got <= 0) {
        peer.socket = Socket();
        if (peer.rank >= 0) arrivals.push_back({peer.rank, true, {}});
        return;
      }
      peer.have += static_cast<std::size_t>(got);
      if (peer.have < sizeof(PeerMessage)) continue;
      peer.have = 0;
      peer.incoming.text[sizeof peer.incoming.text - 1] = '\0';
      for (RankStatus* status : {&peer.incoming.status, &peer.incoming.last})
        status->host[sizeof status->host - 1] = '\0';
      if (peer.rank < 0) {  // a stranger must first prove that it is of this run
        if (peer.incoming.kind == PeerMessage::Kind::hello && peer.incoming.token == token)
          peer.rank = peer.incoming.status.rank;
        else
          peer.socket = Socket();
        if (!peer.socket) return;
      }
      arrivals.push_back({peer.rank, false, peer.incoming});
    }
  }
};

PeerLink::PeerLink(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PeerLink::~PeerLink() = default;

std::unique_ptr<PeerLink> PeerLink::connect(const Context& ctx, Communicator& comm,
                                            std::string& problem) {
  auto impl = std::make_unique<Impl>();
  impl->rank = comm.rank();
  impl->waker = Socket(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  const std::string told = on_every_rank(ctx, comm, [&] {
    if (comm.rank() != 0) return std::string();
    Meeting meeting;
    impl->listener = listen_anywhere(comm.world_size(), meeting);
    impl->token = meeting.token;
    return fmt::format("{} {} {} {}", meeting.port, meeting.token, meeting.host,
                       fmt::join(meeting.addresses, " "));
  })[0];
  std::string mine;
  if (comm.rank() != 0) {
    Meeting meeting;
    std::istringstream in(told);
    in >> meeting.port >> meeting.token >> meeting.host;
    for (std::string address; in >> address;) meeting.addresses.push_back(address);
    if (meeting.host == this_host())
      meeting.addresses.insert(meeting.addresses.begin(), "127.0.0.1");
    Connection zero;
    zero.rank = 0;
    for (const std::string& address : meeting.addresses)
      if (!zero.socket) zero.socket = try_connect(address, meeting.port, mine);
    if (zero.socket) {
      mine.clear();
      send_at_once(zero.socket.get());
      impl->token = meeting.token;
    } else if (mine.empty()) {
      mine = "rank 0 has no network address";
    }
    impl->peers.push_back(std::move(zero));
  }
  const auto problems = all_gather_strings(ctx, comm, mine);
  for (std::size_t r = 0; r < problems.size(); ++r)
    if (!problems[r].empty() && problem.empty())
      problem = fmt::format("rank {} cannot reach rank 0 ({})", r, problems[r]);
  if (!problem.empty()) return nullptr;
  std::unique_ptr<PeerLink> link(new PeerLink(std::move(impl)));
  if (comm.rank() != 0) {
    PeerMessage hello;
    hello.kind = PeerMessage::Kind::hello;
    hello.token = link->impl_->token;
    hello.status.rank = comm.rank();
    link->send(0, hello);
  }
  return link;
}

std::vector<PeerLink::Arrival> PeerLink::receive(double seconds) {
  std::vector<pollfd> ready{{impl_->waker.get(), POLLIN, 0}, {impl_->listener.get(), POLLIN, 0}};
  for (const Connection& peer : impl_->peers) ready.push_back({peer.socket.get(), POLLIN, 0});
  std::vector<Arrival> arrivals;
  if (::poll(ready.data(), ready.size(), static_cast<int>(seconds * 1000)) <= 0) return arrivals;
  std::uint64_t wakes = 0;
  (void)!::read(impl_->waker.get(), &wakes, sizeof wakes);
  for (Connection& peer : impl_->peers)
    if (peer.socket) impl_->read_from(peer, arrivals);
  std::erase_if(impl_->peers, [](const Connection& peer) { return !peer.socket; });
  if (impl_->listener) impl_->accept_all();
  return arrivals;
}

void PeerLink::send(int rank, const PeerMessage& message) {
  Connection* peer = impl_->find(rank);
  if (!peer) return;
  const char* from = reinterpret_cast<const char*>(&message);
  std::size_t sent = 0;
  while (sent < sizeof message) {
    const ssize_t put =
        ::send(peer->socket.get(), from + sent, sizeof message - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put > 0) {
      sent += static_cast<std::size_t>(put);
      continue;
    }
    if (put < 0 && errno == EINTR) continue;
    // A peer that takes nothing is stopped, and found out by its silence; half a message cannot be
    // taken back, so its connection is of no more use.
    if (sent > 0) (void)::shutdown(peer->socket.get(), SHUT_WR);
    return;
  }
}

void PeerLink::wake() {
  const std::uint64_t one = 1;
  (void)!::write(impl_->waker.get(), &one, sizeof one);
}

}  // namespace gradmill
