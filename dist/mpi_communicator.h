// Collectives on host memory over MPI point-to-point messages.
#pragma once

#include <memory>
#include <string_view>

#include "dist/communicator.h"

namespace gradmill {

struct MpiOptions {
  double timeout_seconds = 600;                        // deadline of every wait
  std::int64_t message_bytes = std::int64_t{1} << 30;  // longer messages are sent in pieces
  std::int64_t small_bytes = std::int64_t{32} << 10;   // sums of so few bytes take one round
  /// A rank's share of one round of a longer sum; 0: 32 MiB / ranks, at least 256 KiB, at most 4 MiB.
  std::int64_t window_bytes = 0;
};

/// Bytes sent by each of P ranks, N = all bytes: all_gather, all_to_all (P-1) x own part;
/// reduce_scatter_sum N (P-1)/P; all_reduce_sum 2 N (P-1)/P, or (P-1) N if N <= small_bytes / P.
/// Scratch memory: P x window_bytes.
class MpiCommunicator final : public Communicator {
 public:
  /// Collective over MPI_COMM_WORLD, which it duplicates.
  explicit MpiCommunicator(const MpiOptions& options);
  ~MpiCommunicator() override;

  int rank() const override;
  int world_size() const override;
  std::string_view name() const override { return "mpi"; }
  void wait_for_all() override;
  void observe(CollectiveObserver* observer) override;
  /// The next call is number `sequence`: of a communicator that makes its calls through this one.
  void number_next(std::int64_t sequence);

  using Communicator::all_gather;
  using Communicator::all_reduce_sum;
  using Communicator::all_to_all;
  using Communicator::broadcast;
  using Communicator::reduce_scatter_sum;
  void all_reduce_sum(const Context& ctx, void* values, std::int64_t count, ElementType type,
                      Device device) override;
  void all_gather(const Context& ctx, const void* mine, Counts counts, void* all, ElementType type,
                  Device device) override;
  void reduce_scatter_sum(const Context& ctx, const void* all, Counts counts, void* mine,
                          ElementType type, Device device) override;
  void broadcast(const Context& ctx, void* values, std::int64_t count, ElementType type,
                 Device device, int root) override;
  void all_to_all(const Context& ctx, const void* send, Counts send_counts, void* receive,
                  Counts receive_counts, ElementType type, Device device) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gradmill
