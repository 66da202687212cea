// Worker threads of one process. Work is cut into items that any thread may take, so results must
// not depend on which thread ran an item: then they do not depend on the number of threads either.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace gradmill {

/// Cores this process may use: affinity mask and cgroup quota, at least 1.
int available_cores();

class ThreadPool {
 public:
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(ThreadPool&&) = delete;

  int size() const;

  /// Calls body(first, last, thread) for ranges of at most `grain` items that cover [0, count) once
  /// each; thread in [0, size()). Returns when all are done; the first exception is rethrown.
  /// The caller works too. Not reentrant: a body must not call parallel_for of its own pool.
  void parallel_for(
      std::int64_t count, std::int64_t grain,
      const std::function<void(std::int64_t first, std::int64_t last, int thread)>& body);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gradmill
