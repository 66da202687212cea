#include "runtime/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace gradmill {
namespace {
int cgroup_quota_cores() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 0;
  try {
    return std::max(1, static_cast<int>(std::stod(quota) / period + 0.5));
  } catch (const std::exception&) {
    return 0;
  }
}
}  // namespace

int available_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int cores = sched_getaffinity(0, sizeof set, &set) == 0
                  ? CPU_COUNT(&set)
                  : static_cast<int>(std::thread::hardware_concurrency());
  if (const int quota = cgroup_quota_cores()) cores = std::min(cores, quota);
  return std::max(1, cores);
}

struct ThreadPool::State {
  using Body = std::function<void(std::int64_t, std::int64_t, int)>;

  void run(int thread) {
    for (;;) {
      const std::int64_t first = next.fetch_add(grain, std::memory_order_relaxed);
      if (first >= count) return;
      try {
        (*body)(first, std::min(first + grain, count), thread);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
        next.store(count, std::memory_order_relaxed);
      }
    }
  }

  void work(const std::stop_token& stop, int thread) {
    std::uint64_t seen = 0;
    for (;;) {
      {
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return stop.stop_requested() || generation != seen; });
        if (stop.stop_requested()) return;
        seen = generation;
      }
      run(thread);
      const std::lock_guard lock(mutex);
      if (--busy == 0) done.notify_one();
    }
  }

  std::mutex mutex;
  std::condition_variable wake, done;
  std::uint64_t generation = 0;
  int busy = 0;
  std::atomic<std::int64_t> next{0};
  std::int64_t count = 0, grain = 1;
  const Body* body = nullptr;
  std::exception_ptr error;
  std::vector<std::jthread> workers;
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()) {
  for (int t = 1; t < threads; ++t)
    state_->workers.emplace_back(
        [s = state_.get(), t](const std::stop_token& stop) { s->work(stop, t); });
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(state_->mutex);
    for (auto& worker : state_->workers) worker.request_stop();
  }
  state_->wake.notify_all();
  state_->workers.clear();
}

int ThreadPool::size() const { return static_cast<int>(state_->workers.size()) + 1; }

void ThreadPool::parallel_for(std::int64_t count, std::int64_t grain, const State::Body& body) {
  if (count <= 0) return;
  grain = std::max<std::int64_t>(grain, 1);
  if (state_->workers.empty() || count <= grain) {
    for (std::int64_t first = 0; first < count; first += grain)
      body(first, std::min(first + grain, count), 0);
    return;
  }
  State& s = *state_;
  {
    const std::lock_guard lock(s.mutex);
    s.count = count;
    s.grain = grain;
    s.body = &body;
    s.next.store(0, std::memory_order_relaxed);
    s.busy = static_cast<int>(s.workers.size());
    ++s.generation;
  }
  s.wake.notify_all();
  s.run(0);
  std::unique_lock lock(s.mutex);
  s.done.wait(lock, [&] { return s.busy == 0; });
  if (s.error) std::rethrow_exception(std::exchange(s.error, nullptr));
}

}  // namespace gradmill
