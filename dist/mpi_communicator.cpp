#include "dist/mpi_communicator.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "dist/mpi_call.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

struct Message {
  int peer;
  std::byte* data;  // a send's is only read
  std::int64_t bytes;
};

/// One collective as errors name it.
struct Call {
  std::string_view name;
  std::int64_t sequence;
  std::int64_t bytes;
};

/// out[i] = ((parts[0][i] + parts[1][i]) + parts[2][i]) + ...; out may be one of the parts.
template <class T>
void sum_in_order(std::byte* out, std::span<const std::byte* const> parts, std::int64_t count) {
  constexpr std::int64_t kTile = 2048;  // stays in the L1 cache
  std::array<T, kTile> sum;
  for (std::int64_t first = 0; first < count; first += kTile) {
    const std::int64_t n = std::min(kTile, count - first);
    std::memcpy(sum.data(), reinterpret_cast<const T*>(parts[0]) + first, n * sizeof(T));
    for (const std::byte* part : parts.subspan(1)) {
      const T* values = reinterpret_cast<const T*>(part) + first;
      for (std::int64_t i = 0; i < n; ++i) sum[i] += values[i];
    }
    std::memcpy(reinterpret_cast<T*>(out) + first, sum.data(), n * sizeof(T));
  }
}

void sum_in_order(ElementType type, std::byte* out, std::span<const std::byte* const> parts,
                  std::int64_t count) {
  switch (type) {
    case ElementType::f32:
      return sum_in_order<float>(out, parts, count);
    case ElementType::f64:
      return sum_in_order<double>(out, parts, count);
    case ElementType::i32:
      return sum_in_order<std::uint32_t>(out, parts, count);  // unsigned: wraps
    case ElementType::i64:
      return sum_in_order<std::uint64_t>(out, parts, count);
    case ElementType::byte:
      break;
  }
  fail(ErrorKind::internal, "bytes have no sum");
}

std::byte* bytes_of(const void* data) {
  return const_cast<std::byte*>(static_cast<const std::byte*>(data));
}

std::string host_name() {
  std::array<char, MPI_MAX_PROCESSOR_NAME> name{};
  int length = 0;
  mpi_check(MPI_Get_processor_name(name.data(), &length), "read the host's name");
  return std::string(name.data(), static_cast<std::size_t>(length));
}

}  // namespace

struct MpiCommunicator::Impl {
  explicit Impl(const MpiOptions& o)
      : options(o), comm(MpiComm::duplicate(MPI_COMM_WORLD)), rank(comm.rank()), size(comm.size()) {
    // Large rounds wait less often for each other; their scratch memory is bounded.
    if (options.window_bytes == 0)
      options.window_bytes =
          std::clamp(std::int64_t{32 << 20} / size, std::int64_t{256 << 10}, std::int64_t{4 << 20});
    gather_hosts();
  }

  void gather_hosts() {
    constexpr std::size_t kLength = 64;
    std::string mine = host_name(), all(kLength * static_cast<std::size_t>(size), '\0');
    mine.resize(kLength, '\0');
    const Call call = begin("gather the hosts' names", kLength * static_cast<std::size_t>(size));
    std::vector<Message> receives, sends;
    for (int r = 0; r < size; ++r) {
      receives.push_back(
          {r, bytes_of(all.data() + kLength * static_cast<std::size_t>(r)), kLength});
      sends.push_back({r, bytes_of(mine.data()), kLength});
    }
    exchange(call, receives, sends);
    for (int r = 0; r < size; ++r)
      hosts.emplace_back(all.substr(kLength * static_cast<std::size_t>(r), kLength).c_str());
  }

  Call begin(std::string_view name, std::int64_t bytes) {
    if (!failure.empty()) fail(ErrorKind::peer_lost, failure);
    return {name, ++sequence, bytes};
  }

  std::string describe(const Call& call) const {
    return fmt::format("{} #{} ({} bytes) on rank {} of {}", call.name, call.sequence, call.bytes,
                       rank, size);
  }

  [[noreturn]] void lost(const Call& call, std::string_view whom) {
    const std::string last = observer ? observer->whom_all_wait_for() : "";
    failure = fmt::format(
        "{}: no answer from {} within {} s; {}", describe(call), whom, options.timeout_seconds,
        last.empty()
            ? "a rank has ended, hangs or is slower than the deadline: see the other ranks' logs"
            : last);
    fail(ErrorKind::peer_lost, failure);
  }

  /// Runs until all messages have gone and come. Both sides name them in the same order.
  void exchange(const Call& call, std::span<const Message> receives,
                std::span<const Message> sends) {
    requests.clear();
    pieces.clear();
    // Tags tell collectives apart, so ranks that call different ones never take each other's data.
    const int tag = static_cast<int>(call.sequence % 32768);
    const auto post = [&](const Message& m, auto&& start) {
      for (std::int64_t done = 0; done < m.bytes; done += options.message_bytes) {
        const int bytes = static_cast<int>(std::min(options.message_bytes, m.bytes - done));
        pieces.push_back({m.peer, m.data + done, bytes});
        mpi_check(start(m.data + done, bytes, m.peer, &requests.emplace_back()), "start a message");
      }
    };
    for (const Message& m : receives)
      post(m, [&](void* data, int bytes, int peer, MPI_Request* request) {
        return MPI_Irecv(data, bytes, MPI_BYTE, peer, tag, comm.get(), request);
      });
    const std::size_t received = requests.size();
    for (const Message& m : sends)
      post(m, [&](void* data, int bytes, int peer, MPI_Request* request) {
        return MPI_Isend(data, bytes, MPI_BYTE, peer, tag, comm.get(), request);
      });
    statuses.resize(requests.size());
    if (!wait(call)) lost(call, silent_ranks());
    for (std::size_t i = 0; i < received; ++i) {
      int bytes = 0;
      mpi_check(MPI_Get_count(&statuses[i], MPI_BYTE, &bytes), "read a message's size");
      require(bytes == pieces[i].bytes, [&] {
        return fmt::format("{}: rank {} sent {} bytes where {} were expected", describe(call),
                           pieces[i].peer, bytes, pieces[i].bytes);
      });
    }
  }

  bool wait(const Call& call) {
    try {
      return mpi_wait(requests, statuses, options.timeout_seconds, observer);
    } catch (const Error& error) {
      failure = fmt::format("{}: {}", describe(call), error.what());
      throw Error(error.kind(), failure);
    }
  }

  /// After a timeout: "rank 3 (host a), rank 5 (host b)", those whose messages are missing.
  std::string silent_ranks() {
    std::vector<bool> silent(static_cast<std::size_t>(size));
    for (std::size_t i = 0; i < requests.size(); ++i) {
      int done = 0;
      if (MPI_Test(&requests[i], &done, MPI_STATUS_IGNORE) == MPI_SUCCESS && !done)
        silent[static_cast<std::size_t>(pieces[i].peer)] = true;
    }
    std::string text;
    for (std::size_t r = 0; r < hosts.size(); ++r)
      if (silent[r]) text += fmt::format("{}rank {} ({})", text.empty() ? "" : ", ", r, hosts[r]);
    return text.empty() ? "the other ranks" : text;
  }

  /// Every rank sends peer p its bytes [first(p), first(p) + bytes(p)) of `data`; what comes goes
  /// to scratch, then the sum in rank order to out. `own`: bytes of this rank's part.
  void reduce_round(const Call& call, std::span<const std::byte* const> parts,
                    std::span<const std::int64_t> bytes, ElementType type, std::byte* out) {
    const std::int64_t own = bytes[static_cast<std::size_t>(rank)];
    if (scratch.size() < static_cast<std::size_t>(own * size))
      scratch.resize(static_cast<std::size_t>(own * size));
    receives.clear();
    sends.clear();
    summands.assign(static_cast<std::size_t>(size), parts[static_cast<std::size_t>(rank)]);
    for (int step = 1; step < size; ++step) {
      const int from = (rank + size - step) % size, to = (rank + step) % size;
      std::byte* place = scratch.data() + own * from;
      receives.push_back({from, place, own});
      summands[static_cast<std::size_t>(from)] = place;
      const auto t = static_cast<std::size_t>(to);
      sends.push_back({to, bytes_of(parts[t]), bytes[t]});
    }
    exchange(call, receives, sends);
    if (own) sum_in_order(type, out, summands, own / element_size(type));
  }

  /// Sends part `rank` of `all` to everyone and takes theirs.
  void gather_round(const Call& call, std::span<std::byte* const> parts,
                    std::span<const std::int64_t> bytes) {
    receives.clear();
    sends.clear();
    const auto me = static_cast<std::size_t>(rank);
    for (int step = 1; step < size; ++step) {
      const auto from = static_cast<std::size_t>((rank + size - step) % size);
      receives.push_back({static_cast<int>(from), parts[from], bytes[from]});
      sends.push_back({(rank + step) % size, parts[me], bytes[me]});
    }
    exchange(call, receives, sends);
  }

  MpiOptions options;
  MpiComm comm;
  int rank, size;
  std::vector<std::string> hosts;
  CollectiveObserver* observer = nullptr;
  std::int64_t sequence = -1;  // gathering the hosts' names is number 0
  std::string failure;         // of the first call that failed
  std::vector<MPI_Request> requests;
  std::vector<MPI_Status> statuses;
  std::vector<Message> pieces, receives, sends;
  std::vector<std::byte> scratch;
  std::vector<const std::byte*> summands;
};

MpiCommunicator::MpiCommunicator(const MpiOptions& options)
    : impl_(std::make_unique<Impl>(options)) {}
MpiCommunicator::~MpiCommunicator() = default;

int MpiCommunicator::rank() const { return impl_->rank; }
int MpiCommunicator::world_size() const { return impl_->size; }

void MpiCommunicator::observe(CollectiveObserver* observer) {
  Communicator::observe(observer);
  impl_->observer = observer;
}

void MpiCommunicator::number_next(std::int64_t sequence) { impl_->sequence = sequence - 1; }

void MpiCommunicator::wait_for_all() {
  const Call call = impl_->begin("barrier", 0);
  impl_->requests.resize(1);
  impl_->pieces.clear();
  impl_->statuses.resize(1);
  mpi_check(MPI_Ibarrier(impl_->comm.get(), impl_->requests.data()), "start a barrier");
  if (!impl_->wait(call)) impl_->lost(call, "the other ranks");
}

void MpiCommunicator::broadcast(const Context&, void* values, std::int64_t count, ElementType type,
                                Device device, int root) {
  require(device.kind == DeviceKind::cpu, "broadcast: MPI takes host memory");
  require(root >= 0 && root < impl_->size, "broadcast from rank {} of {}", root, impl_->size);
  const std::int64_t bytes = count * element_size(type);
  const Call call = impl_->begin("broadcast", bytes);
  impl_->requests.resize(1);
  impl_->statuses.resize(1);
  for (std::int64_t done = 0; done < bytes; done += impl_->options.message_bytes) {
    const int piece = static_cast<int>(std::min(impl_->options.message_bytes, bytes - done));
    mpi_check(MPI_Ibcast(bytes_of(values) + done, piece, MPI_BYTE, root, impl_->comm.get(),
                         impl_->requests.data()),
              "start a broadcast");
    if (!impl_->wait(call)) impl_->lost(call, "the other ranks");
  }
}

void MpiCommunicator::all_gather(const Context&, const void* mine, Counts counts, void* all,
                                 ElementType type, Device device) {
  require(device.kind == DeviceKind::cpu, "all_gather: MPI takes host memory");
  std::vector<std::byte*> parts;
  std::vector<std::int64_t> bytes;
  std::int64_t total = 0;
  for (const std::int64_t count : counts) {
    parts.push_back(bytes_of(all) + total);
    bytes.push_back(count * element_size(type));
    total += bytes.back();
  }
  const Call call = impl_->begin("all_gather", total);
  const auto me = static_cast<std::size_t>(impl_->rank);
  if (bytes[me] && parts[me] != mine)
    std::memmove(parts[me], mine, static_cast<std::size_t>(bytes[me]));
  impl_->gather_round(call, parts, bytes);
}

void MpiCommunicator::reduce_scatter_sum(const Context&, const void* all, Counts counts, void* mine,
                                         ElementType type, Device device) {
  require(device.kind == DeviceKind::cpu, "reduce_scatter_sum: MPI takes host memory");
  const std::int64_t width = element_size(type);
  const std::int64_t window = std::max(impl_->options.window_bytes / width, std::int64_t{1});
  std::int64_t total = 0;
  for (const std::int64_t count : counts) total += count * width;
  const Call call = impl_->begin("reduce_scatter_sum", total);
  const std::int64_t longest = *std::max_element(counts.begin(), counts.end());
  std::vector<const std::byte*> parts(counts.size());
  std::vector<std::int64_t> bytes(counts.size());
  for (std::int64_t first = 0; first < longest; first += window) {
    std::int64_t offset = 0;
    for (std::size_t r = 0; r < counts.size(); offset += counts[r++]) {
      parts[r] = bytes_of(all) + (offset + std::min(first, counts[r])) * width;
      bytes[r] = std::clamp(counts[r] - first, std::int64_t{0}, window) * width;
    }
    impl_->reduce_round(call, parts, bytes, type, bytes_of(mine) + first * width);
  }
}

void MpiCommunicator::all_reduce_sum(const Context&, void* values, std::int64_t count,
                                     ElementType type, Device device) {
  require(device.kind == DeviceKind::cpu, "all_reduce_sum: MPI takes host memory");
  const std::int64_t width = element_size(type), ranks = impl_->size;
  const Call call = impl_->begin("all_reduce_sum", count * width);
  if (count == 0 || ranks == 1) return;
  std::byte* const data = bytes_of(values);
  std::vector<std::byte*> parts(static_cast<std::size_t>(ranks));
  std::vector<std::int64_t> bytes(parts.size());
  if (count * width * ranks <= impl_->options.small_bytes) {  // one round: everyone sums everything
    std::vector<const std::byte*> whole(parts.size(), data);
    std::fill(bytes.begin(), bytes.end(), count * width);
    return impl_->reduce_round(call, whole, bytes, type, data);
  }
  const std::int64_t round = std::max(impl_->options.window_bytes / width, std::int64_t{1}) * ranks;
  for (std::int64_t first = 0; first < count; first += round) {
    const std::int64_t n = std::min(round, count - first);
    for (std::int64_t r = 0; r < ranks; ++r) {
      const std::int64_t begin = first + n * r / ranks, end = first + n * (r + 1) / ranks;
      parts[static_cast<std::size_t>(r)] = data + begin * width;
      bytes[static_cast<std::size_t>(r)] = (end - begin) * width;
    }
    const std::vector<const std::byte*> inputs(parts.begin(), parts.end());
    impl_->reduce_round(call, inputs, bytes, type, parts[static_cast<std::size_t>(impl_->rank)]);
    impl_->gather_round(call, parts, bytes);
  }
}

void MpiCommunicator::all_to_all(const Context&, const void* send, Counts send_counts,
                                 void* receive, Counts receive_counts, ElementType type,
                                 Device device) {
  require(device.kind == DeviceKind::cpu, "all_to_all: MPI takes host memory");
  const std::int64_t width = element_size(type);
  const int ranks = impl_->size, me = impl_->rank;
  std::vector<Message> from(send_counts.size()), to(send_counts.size());
  std::int64_t sent = 0, received = 0;
  for (int r = 0; r < ranks; ++r) {
    const auto i = static_cast<std::size_t>(r);
    to[i] = {r, bytes_of(send) + sent, send_counts[i] * width};
    from[i] = {r, bytes_of(receive) + received, receive_counts[i] * width};
    sent += to[i].bytes;
    received += from[i].bytes;
  }
  const Call call = impl_->begin("all_to_all", sent);
  const Message own = to[static_cast<std::size_t>(me)];
  require(own.bytes == from[static_cast<std::size_t>(me)].bytes,
          "all_to_all: rank {} sends itself {} bytes but expects {}", me, own.bytes,
          from[static_cast<std::size_t>(me)].bytes);
  if (own.bytes) std::memcpy(from[static_cast<std::size_t>(me)].data, own.data, own.bytes);
  std::vector<Message> receives, sends;  // in the order of distance, so that no rank is flooded
  for (int step = 1; step < ranks; ++step) {
    receives.push_back(from[static_cast<std::size_t>((me + ranks - step) % ranks)]);
    sends.push_back(to[static_cast<std::size_t>((me + step) % ranks)]);
  }
  impl_->exchange(call, receives, sends);
}

}  // namespace gradmill
