// The kernels to measure, at shapes of real training.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "runtime/context.h"

namespace gradmill::bench {

/// One kernel at one shape. `bytes` and `flops` are those that its contract says must be moved and
/// done; an implementation may do more. `unique_bytes` (0: the same) counts a factor row that many
/// ratings gather once: what must come from memory if the caches keep the rest.
struct Case {
  std::string kernel, shape;
  double bytes = 0, flops = 0, unique_bytes = 0;
  std::function<void()> prepare;  // not timed, before every run; may be empty
  std::function<void()> run;      // enqueues the work
};

struct Sizes {
  std::int64_t users = 138'000, items = 27'000, ratings = 20'000'000, solves = 100'000,
               queries = 4'096, samples = 500'000;
  static Sizes quick() { return {600, 400, 20'000, 500, 64, 500}; }
  /// Large enough that counters of a run mean something, small enough to count in a
  /// simulator; 140 ratings a user, as in MovieLens 20M.
  static Sizes counted() { return {3'600, 2'700, 500'000, 2'000, 256, 20'000}; }
  /// As counted, six times as many ratings.
  static Sizes counted_large() { return {21'600, 6'750, 3'000'000, 8'000, 1'024, 120'000}; }
};

/// Makes the data of each case when asked for, so that only one case's memory is in use at a time.
struct NamedCase {
  std::string kernel;
  std::function<Case(const Context& ctx, const Sizes& sizes, std::int64_t factors)> make;
  bool takes_factors = true;
};
std::vector<NamedCase> all_cases();
std::vector<NamedCase> linear_cases();  // among all_cases()

}  // namespace gradmill::bench
