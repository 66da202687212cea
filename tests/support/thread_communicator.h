// Ranks as threads of one process, for tests of what needs only gathering: no mpirun, and a rank
// may fail.
#pragma once

#include <barrier>
#include <cstring>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#include "dist/communicator.h"

namespace gradmill::testing {

class ThreadCommunicator : public Communicator {
 public:
  struct World {
    explicit World(int size) : sync(size), mine(static_cast<std::size_t>(size)) {}
    std::barrier<> sync;
    std::vector<const void*> mine;
  };
  ThreadCommunicator(World& world, int rank) : world_(world), rank_(rank) {}

  int rank() const override { return rank_; }
  int world_size() const override { return static_cast<int>(world_.mine.size()); }
  std::string_view name() const override { return "threads"; }

 protected:
  void wait_for_all() override { world_.sync.arrive_and_wait(); }
  void all_gather(const Context&, const void* mine, std::span<const std::int64_t> counts, void* all,
                  ElementType type, Device) override {
    world_.mine[static_cast<std::size_t>(rank_)] = mine;
    wait_for_all();
    auto* out = static_cast<char*>(all);
    for (std::size_t r = 0; r < counts.size(); ++r) {
      const auto bytes = static_cast<std::size_t>(counts[r] * element_size(type));
      if (bytes) std::memcpy(out, world_.mine[r], bytes);
      out += bytes;
    }
    wait_for_all();
  }
  void all_reduce_sum(const Context&, void*, std::int64_t, ElementType, Device) override {
    refuse();
  }
  void reduce_scatter_sum(const Context&, const void*, std::span<const std::int64_t>, void*,
                          ElementType, Device) override {
    refuse();
  }
  void broadcast(const Context&, void*, std::int64_t, ElementType, Device, int) override {
    refuse();
  }
  void all_to_all(const Context&, const void*, std::span<const std::int64_t>, void*,
                  std::span<const std::int64_t>, ElementType, Device) override {
    refuse();
  }

 private:
  [[noreturn]] static void refuse() { throw std::logic_error("ThreadCommunicator only gathers"); }
  World& world_;
  int rank_;
};

/// Runs body(communicator) on `ranks` threads; a body must not throw.
inline void run_ranks(int ranks, const std::function<void(Communicator&)>& body) {
  ThreadCommunicator::World world(ranks);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      ThreadCommunicator comm(world, rank);
      body(comm);
    });
  }
  for (std::thread& t : threads) t.join();
}

}  // namespace gradmill::testing
