// Collectives over the ranks of a run. Three implementations: self (one rank, the identity), MPI
// (CPU memory) and NCCL (GPU memory; host memory goes through the MPI communicator beneath it).
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>

#include "dist/collective_observer.h"
#include "runtime/context.h"
#include "runtime/element_type.h"
#include "runtime/view.h"

namespace gradmill {

/// Every rank calls the same collectives in the same order with matching counts. Counts are in
/// elements and may exceed 2^31; per-rank counts have one entry a rank and may be 0.
/// On device memory a call is enqueued, ordered after what ctx's stream holds and before what it
/// gets next; on host memory the result is there when the call returns.
/// Order    sums have one fixed order, so they are the same on every rank and in every run of the
///          same world size: MPI and self add in rank order ((x0 + x1) + x2) + ..., NCCL in the
///          order of the algorithm that it picks by topology and size. Integers wrap.
/// Errors   ErrorKind::peer_lost, with collective, sequence number and bytes, if it does not
///          complete within the deadline or a peer is gone; a communicator that has failed once
///          fails every later call. ErrorKind::internal if sizes or devices disagree.
class Communicator {
 public:
  virtual ~Communicator() = default;
  Communicator() = default;
  Communicator(Communicator&&) = delete;

  virtual int rank() const = 0;
  virtual int world_size() const = 0;
  virtual std::string_view name() const = 0;  // "self", "mpi", "nccl"

  /// Time of this rank in collectives since the start, waiting for others included. Collectives on device
  /// memory count only as long as their call takes: they run on the stream.
  double seconds() const { return seconds_; }

  /// This observer is told of every call from now on; nullptr: none.
  virtual void observe(CollectiveObserver* observer) { observer_ = observer; }

  template <class T>
  using Input = std::type_identity_t<VectorView<const T>>;  // converts from VectorView<T>
  using Counts = std::span<const std::int64_t>;

  template <class T>
  void all_reduce_sum(const Context& ctx, VectorView<T> values) {
    static_assert(element_type<T>() != ElementType::byte, "bytes have no sum");
    const Scope scope(*this, Collective::all_reduce_sum, values.size * std::int64_t{sizeof(T)},
                      values.device);
    all_reduce_sum(ctx, values.data, values.size, element_type<T>(), values.device);
  }
  /// mine [counts[rank]] of every rank, in rank order, into all [sum of counts]. `mine` may be its
  /// own place within `all`.
  template <class T>
  void all_gather(const Context& ctx, Input<T> mine, Counts counts, VectorView<T> all) {
    check_parts("all_gather", counts, mine.size, all.size, mine.device == all.device);
    const Scope scope(*this, Collective::all_gather, all.size * std::int64_t{sizeof(T)},
                      all.device);
    all_gather(ctx, mine.data, counts, all.data, element_type<T>(), all.device);
  }
  /// The sum over ranks of all [sum of counts]; rank r gets its r-th part in mine [counts[r]],
  /// which may be its own place within `all`.
  template <class T>
  void reduce_scatter_sum(const Context& ctx, Input<T> all, Counts counts, VectorView<T> mine) {
    static_assert(element_type<T>() != ElementType::byte, "bytes have no sum");
    check_parts("reduce_scatter_sum", counts, mine.size, all.size, mine.device == all.device);
    const Scope scope(*this, Collective::reduce_scatter_sum, all.size * std::int64_t{sizeof(T)},
                      all.device);
    reduce_scatter_sum(ctx, all.data, counts, mine.data, element_type<T>(), all.device);
  }
  template <class T>
  void broadcast(const Context& ctx, VectorView<T> values, int root) {
    const Scope scope(*this, Collective::broadcast, values.size * std::int64_t{sizeof(T)},
                      values.device);
    broadcast(ctx, values.data, values.size, element_type<T>(), values.device, root);
  }
  /// send [sum of send_counts]: the parts for rank 0, 1, ...; receive [sum of receive_counts]: the
  /// parts from rank 0, 1, ...; send_counts[r] here equals receive_counts[this rank] on rank r.
  /// The two may not overlap.
  template <class T>
  void all_to_all(const Context& ctx, Input<T> send, Counts send_counts, VectorView<T> receive,
                  Counts receive_counts) {
    check_parts("all_to_all", send_counts, -1, send.size, send.device == receive.device);
    check_parts("all_to_all", receive_counts, -1, receive.size, true);
    const Scope scope(*this, Collective::all_to_all, send.size * std::int64_t{sizeof(T)},
                      receive.device);
    all_to_all(ctx, send.data, send_counts, receive.data, receive_counts, element_type<T>(),
               receive.device);
  }
  /// Returns when every rank has called it (host side).
  void barrier() {
    const Scope scope(*this, Collective::barrier, 0, Device{});
    wait_for_all();
  }

 protected:
  virtual void wait_for_all() = 0;
  virtual void all_reduce_sum(const Context& ctx, void* values, std::int64_t count,
                              ElementType type, Device device) = 0;
  virtual void all_gather(const Context& ctx, const void* mine, Counts counts, void* all,
                          ElementType type, Device device) = 0;
  virtual void reduce_scatter_sum(const Context& ctx, const void* all, Counts counts, void* mine,
                                  ElementType type, Device device) = 0;
  virtual void broadcast(const Context& ctx, void* values, std::int64_t count, ElementType type,
                         Device device, int root) = 0;
  virtual void all_to_all(const Context& ctx, const void* send, Counts send_counts, void* receive,
                          Counts receive_counts, ElementType type, Device device) = 0;

  const CollectiveCall& call() const { return call_; }  // the current or the last one
  CollectiveObserver* observer() const { return observer_; }

 private:
  /// One call: numbered, timed, and told to the observer.
  class Scope {
   public:
    Scope(Communicator& comm, Collective what, std::int64_t bytes, Device device) : comm_(comm) {
      comm_.call_ = {what, comm_.call_.sequence + 1, bytes, device};
      if (comm_.observer_) comm_.observer_->entered(comm_.call_);
    }
    ~Scope() {
      comm_.seconds_ += std::chrono::duration<double>(Clock::now() - start_).count();
      // A call that fails is not left: the record shows what the rank waited for.
      if (comm_.observer_ && std::uncaught_exceptions() == 0) comm_.observer_->left();
    }

   private:
    using Clock = std::chrono::steady_clock;
    Communicator& comm_;
    Clock::time_point start_ = Clock::now();
  };

  /// One count a rank, none negative; they add up to `all`, and this rank's is `mine` (-1: any).
  void check_parts(std::string_view collective, Counts counts, std::int64_t mine, std::int64_t all,
                   bool same_device) const;
  double seconds_ = 0;
  CollectiveCall call_;
  CollectiveObserver* observer_ = nullptr;
};

/// World size 1: every collective is the identity.
std::unique_ptr<Communicator> make_self_communicator();

}  // namespace gradmill
