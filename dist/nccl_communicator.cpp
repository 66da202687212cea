#include "dist/nccl_communicator.h"

#include <cuda_runtime_api.h>
#include <nccl.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <numeric>
#include <thread>
#include <vector>

#include "runtime/cuda_check.h"
#include "runtime/expect.h"
#include "runtime/handle.h"

namespace gradmill {
namespace {

using Stream = Handle<cudaStream_t, cudaStreamDestroy>;
using Event = Handle<cudaEvent_t, cudaEventDestroy>;
using Clock = std::chrono::steady_clock;

ncclDataType_t nccl_type(ElementType type) {
  switch (type) {
    case ElementType::f32:
      return ncclFloat32;
    case ElementType::f64:
      return ncclFloat64;
    case ElementType::i32:
      return ncclInt32;
    case ElementType::i64:
      return ncclInt64;
    case ElementType::byte:
      return ncclUint8;
  }
  fail(ErrorKind::internal, "element type {} is not known to NCCL", static_cast<int>(type));
}

Stream make_stream() {
  int least = 0, greatest = 0;
  cuda_check(cudaDeviceGetStreamPriorityRange(&least, &greatest), "read stream priorities");
  cudaStream_t stream = nullptr;  // first: a collective that starts late stops every rank
  cuda_check(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, greatest),
             "create the communication stream");
  return Stream(stream);
}

Event make_event() {
  cudaEvent_t event = nullptr;
  cuda_check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "create an event");
  return Event(event);
}

/// One collective as errors name it.
struct Call {
  std::string_view name;
  std::int64_t sequence = 0;
  std::int64_t bytes = 0;
};

class NcclCommunicator final : public Communicator, private StreamWatch {
 public:
  NcclCommunicator(const Context& ctx, std::unique_ptr<MpiCommunicator> host,
                   double timeout_seconds)
      : ctx_(ctx), host_(std::move(host)), timeout_seconds_(timeout_seconds) {
    const ncclUniqueId id = share_id();
    make_current();
    stream_ = make_stream();
    before_ = make_event();
    after_ = make_event();
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;  // so that the wait for the other ranks has a deadline
    last_ = {"NCCL's start"};
    settle(ncclCommInitRankConfig(&comm_, world_size(), id, rank(), &config));
    ctx_.watch(this);
  }

  ~NcclCommunicator() override {
    ctx_.watch(nullptr);
    if (!comm_) return;
    if (std::uncaught_exceptions() > 0 || !finished()) {
      (void)ncclCommAbort(comm_);  // ends the kernels that wait for a peer
    } else {
      (void)ncclCommDestroy(comm_);
    }
  }

  int rank() const override { return host_->rank(); }
  int world_size() const override { return host_->world_size(); }
  std::string_view name() const override { return "nccl"; }
  void observe(CollectiveObserver* observer) override {
    Communicator::observe(observer);
    host_->observe(observer);
  }

 protected:
  void wait_for_all() override { host().wait_for_all(); }
  void all_reduce_sum(const Context& ctx, void* values, std::int64_t count, ElementType type,
                      Device device) override {
    if (device.kind == DeviceKind::cpu)
      return host().all_reduce_sum(ctx, values, count, type, device);
    run(ctx, device, {"all_reduce_sum", 0, count * element_size(type)}, [&] {
      return ncclAllReduce(values, values, size(count), nccl_type(type), ncclSum, comm_,
                           stream_.get());
    });
  }

  void broadcast(const Context& ctx, void* values, std::int64_t count, ElementType type,
                 Device device, int root) override {
    require(root >= 0 && root < world_size(), "broadcast from rank {} of {}", root, world_size());
    if (device.kind == DeviceKind::cpu)
      return host().broadcast(ctx, values, count, type, device, root);
    run(ctx, device, {"broadcast", 0, count * element_size(type)}, [&] {
      return ncclBroadcast(values, values, size(count), nccl_type(type), root, comm_,
                           stream_.get());
    });
  }

  void all_gather(const Context& ctx, const void* mine, Counts counts, void* all, ElementType type,
                  Device device) override {
    if (device.kind == DeviceKind::cpu)
      return host().all_gather(ctx, mine, counts, all, type, device);
    run(ctx, device, {"all_gather", 0, total_bytes(counts, type)}, [&] {
      if (all_equal(counts))
        return ncclAllGather(mine, all, size(counts[0]), nccl_type(type), comm_, stream_.get());
      return for_each_part(counts, type, [&](int root, std::int64_t offset, std::int64_t count) {
        return ncclBroadcast(mine, static_cast<std::byte*>(all) + offset, size(count),
                             nccl_type(type), root, comm_, stream_.get());
      });
    });
  }

  void reduce_scatter_sum(const Context& ctx, const void* all, Counts counts, void* mine,
                          ElementType type, Device device) override {
    if (device.kind == DeviceKind::cpu)
      return host().reduce_scatter_sum(ctx, all, counts, mine, type, device);
    run(ctx, device, {"reduce_scatter_sum", 0, total_bytes(counts, type)}, [&] {
      if (all_equal(counts))
        return ncclReduceScatter(all, mine, size(counts[0]), nccl_type(type), ncclSum, comm_,
                                 stream_.get());
      return for_each_part(counts, type, [&](int root, std::int64_t offset, std::int64_t count) {
        return ncclReduce(static_cast<const std::byte*>(all) + offset, mine, size(count),
                          nccl_type(type), ncclSum, root, comm_, stream_.get());
      });
    });
  }

  void all_to_all(const Context& ctx, const void* send, Counts send_counts, void* receive,
                  Counts receive_counts, ElementType type, Device device) override {
    if (device.kind == DeviceKind::cpu)
      return host().all_to_all(ctx, send, send_counts, receive, receive_counts, type, device);
    require(send_counts[size(rank())] == receive_counts[size(rank())],
            "all_to_all: rank {} sends itself {} elements but expects {}", rank(),
            send_counts[size(rank())], receive_counts[size(rank())]);
    run(ctx, device, {"all_to_all", 0, total_bytes(send_counts, type)}, [&] {
      return in_group([&] {
        std::int64_t sent = 0, received = 0;
        ncclResult_t result = ncclSuccess;
        for (int r = 0; r < world_size() && result == ncclSuccess; ++r) {
          const std::int64_t out = send_counts[size(r)], in = receive_counts[size(r)];
          if (out)
            result = ncclSend(static_cast<const std::byte*>(send) + sent, size(out),
                              nccl_type(type), r, comm_, stream_.get());
          if (in && result == ncclSuccess)
            result = ncclRecv(static_cast<std::byte*>(receive) + received, size(in),
                              nccl_type(type), r, comm_, stream_.get());
          sent += out * element_size(type);
          received += in * element_size(type);
        }
        return result;
      });
    });
  }

 private:
  MpiCommunicator& host() {
    host_->number_next(call().sequence);
    return *host_;
  }
  static std::size_t size(std::int64_t count) { return static_cast<std::size_t>(count); }
  static bool all_equal(Counts counts) {
    return std::all_of(counts.begin(), counts.end(), [&](auto c) { return c == counts[0]; });
  }
  static std::int64_t total_bytes(Counts counts, ElementType type) {
    return std::accumulate(counts.begin(), counts.end(), std::int64_t{0}) * element_size(type);
  }

  void make_current() const {
    cuda_check(cudaSetDevice(ctx_.device().ordinal), "select the device");
  }

  /// Rank 0's id, and if it has none, its error on every rank.
  ncclUniqueId share_id() {
    struct {
      ncclUniqueId id{};
      ncclResult_t result = ncclSuccess;
    } shared;
    if (rank() == 0) shared.result = ncclGetUniqueId(&shared.id);
    host_->Communicator::broadcast(
        ctx_, VectorView<std::byte>{reinterpret_cast<std::byte*>(&shared), sizeof shared}, 0);
    expect(
        shared.result == ncclSuccess, ErrorKind::device,
        "NCCL could not make an id on rank 0: {}; check NCCL_SOCKET_IFNAME and `gradmill doctor`",
        ncclGetErrorString(shared.result));
    return shared.id;
  }

  /// Enqueues a collective on the communication stream, between what ctx's stream holds and what it
  /// gets next.
  template <class Start>
  void run(const Context& ctx, Device device, Call call, Start&& start) {
    require(&ctx == &ctx_ && device == ctx_.device(),
            "{}: memory of another device than the communicator's", call.name);
    if (!failure_.empty()) fail(ErrorKind::peer_lost, failure_);
    call.sequence = this->call().sequence;
    last_ = call;
    if (call.bytes == 0 && call.name != "all_to_all") return;
    make_current();
    cuda_check(cudaEventRecord(before_.get(), ctx.stream()), "mark the stream");
    cuda_check(cudaStreamWaitEvent(stream_.get(), before_.get(), 0), "order the streams");
    settle(start());
    cuda_check(cudaEventRecord(after_.get(), stream_.get()), "mark the communication stream");
    cuda_check(cudaStreamWaitEvent(ctx.stream(), after_.get(), 0), "order the streams");
  }

  template <class Calls>
  static ncclResult_t in_group(Calls&& calls) {
    if (const ncclResult_t begun = ncclGroupStart(); begun != ncclSuccess) return begun;
    const ncclResult_t inside = calls();
    const ncclResult_t ended = ncclGroupEnd();  // also after a failure: a group must not stay open
    return inside == ncclSuccess || inside == ncclInProgress ? ended : inside;
  }

  /// Parts of different sizes, without padding: a grouped call for each part that is not empty.
  template <class Part>
  static ncclResult_t for_each_part(Counts counts, ElementType type, Part&& part) {
    return in_group([&] {
      std::int64_t offset = 0;
      ncclResult_t result = ncclSuccess;
      for (std::size_t r = 0; r < counts.size() && result == ncclSuccess; ++r) {
        if (counts[r]) result = part(static_cast<int>(r), offset, counts[r]);
        offset += counts[r] * element_size(type);
      }
      return result;
    });
  }

  /// A non-blocking communicator takes a call at once and works on it; the next call may only come
  /// when it is done with that (the collective itself then is on the stream).
  void settle(ncclResult_t result) {
    const auto start = Clock::now();
    while (result == ncclInProgress) {
      const std::chrono::duration<double> waited = Clock::now() - start;
      if (waited.count() > timeout_seconds_)
        lost(fmt::format("not started after {} s", timeout_seconds_));
      sched_yield();
      if (const ncclResult_t asked = ncclCommGetAsyncError(comm_, &result); asked != ncclSuccess)
        result = asked;
    }
    if (result != ncclSuccess) broken(result);
  }

  /// While the host waits for ctx's stream, and once more after that.
  void waiting(double seconds) override {
    if (!failure_.empty()) fail(ErrorKind::peer_lost, failure_);
    if (observer()) observer()->waiting();
    ncclResult_t result = ncclSuccess;
    if (ncclCommGetAsyncError(comm_, &result) != ncclSuccess) result = ncclInternalError;
    if (result != ncclSuccess && result != ncclInProgress) broken(result);
    if (seconds <= timeout_seconds_) return;
    const std::string last = observer() ? observer()->whom_all_wait_for() : "";
    lost(fmt::format("the device has not finished it after {} s; {}", timeout_seconds_,
                     last.empty()
                         ? "a rank has ended, hangs or is slower than the deadline: see the "
                           "other ranks' logs"
                         : last));
  }

  bool finished() const {
    const auto start = Clock::now();
    for (;;) {
      if (cudaStreamQuery(stream_.get()) != cudaErrorNotReady) return true;
      const std::chrono::duration<double> waited = Clock::now() - start;
      if (waited.count() > timeout_seconds_) return false;
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }

  [[noreturn]] void broken(ncclResult_t result) {
    const char* detail = ncclGetLastError(comm_);
    const std::string text = fmt::format("{}{}{}", ncclGetErrorString(result),
                                         detail && *detail ? ": " : "", detail ? detail : "");
    if (result == ncclInvalidUsage && call().sequence == 0)
      end(ErrorKind::usage,
          text + "; every rank needs a device of its own: start fewer ranks on this host");
    switch (result) {
      case ncclUnhandledCudaError:
        end(ErrorKind::device, text);
      case ncclRemoteError:
      case ncclSystemError:
        end(ErrorKind::peer_lost, text);
      default:
        end(ErrorKind::internal, text);
    }
  }
  [[noreturn]] void lost(const std::string& why) { end(ErrorKind::peer_lost, why); }

  /// Gives up for good: kernels that wait for a peer end, later calls fail at once.
  [[noreturn]] void end(ErrorKind kind, const std::string& why) {
    failure_ =
        fmt::format("{} #{} ({} bytes) on rank {} of {} (cuda:{}): {}", last_.name, last_.sequence,
                    last_.bytes, rank(), world_size(), ctx_.device().ordinal, why);
    if (comm_) (void)ncclCommAbort(comm_);
    comm_ = nullptr;
    fail(kind, failure_);
  }

  const Context& ctx_;
  std::unique_ptr<MpiCommunicator> host_;
  const double timeout_seconds_;
  Stream stream_;
  Event before_, after_;
  ncclComm_t comm_ = nullptr;
  Call last_;
  std::string failure_;  // of the first call that failed
};

}  // namespace

std::unique_ptr<Communicator> make_nccl_communicator(const Context& ctx,
                                                     std::unique_ptr<MpiCommunicator> host,
                                                     double timeout_seconds) {
  // config.blocking, on which every deadline rests, came with 2.14.
  int version = 0;
  expect(ncclGetVersion(&version) == ncclSuccess && version >= NCCL_VERSION(2, 14, 0),
         ErrorKind::usage, "NCCL {} is too old: 2.14 or later is needed", nccl_library_version());
  return std::make_unique<NcclCommunicator>(ctx, std::move(host), timeout_seconds);
}

std::string nccl_library_version() {
  int version = 0;
  if (const ncclResult_t result = ncclGetVersion(&version); result != ncclSuccess)
    return fmt::format("unknown ({})", ncclGetErrorString(result));
  const std::string loaded =
      fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
  if (version / 100 == NCCL_VERSION_CODE / 100) return loaded;
  return fmt::format("{} (built with {}.{}.{})", loaded, NCCL_MAJOR, NCCL_MINOR, NCCL_PATCH);
}

}  // namespace gradmill
