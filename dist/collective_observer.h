// What watches the collectives of a rank: a flight recorder, a watchdog.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/view.h"

namespace gradmill {

enum class Collective : std::uint8_t {
  none,
  all_reduce_sum,
  all_gather,
  reduce_scatter_sum,
  broadcast,
  all_to_all,
  barrier
};
std::string_view collective_name(Collective collective);

/// One collective as errors and records name it. sequence: 1, 2, … in each communicator, the same on every
/// rank if all make the same calls.
struct CollectiveCall {
  Collective what = Collective::none;
  std::int64_t sequence = 0;
  std::int64_t bytes = 0;
  Device device{};
};

/// Called by the thread that calls the collectives.
class CollectiveObserver {
 public:
  virtual void entered(const CollectiveCall& call) = 0;
  virtual void left() = 0;
  /// Again and again while this rank waits for others. Throws if it waits in vain.
  virtual void waiting() = 0;
  /// What is known of the rank that the others wait for; empty: nothing.
  virtual std::string whom_all_wait_for() = 0;

 protected:
  ~CollectiveObserver() = default;
};

}  // namespace gradmill
