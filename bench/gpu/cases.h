// The kernels to measure, at shapes of real training.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "runtime/context.h"

namespace gradmill::bench {

/// One kernel at one shape. `bytes` and `flops` are those that its contract says must be moved and
/// done; an implementation may do more.
struct Case {
  std::string kernel, shape;
  double bytes = 0, flops = 0;
  std::function<void()> prepare;  // not timed, before every run; may be empty
  std::function<void()> run;      // enqueues the work
};

struct Sizes {
  std::int64_t users = 138'000, items = 27'000, ratings = 20'000'000, solves = 100'000,
               queries = 4'096;
  static Sizes quick() { return {600, 400, 20'000, 500, 64}; }
};

/// Makes the data of each case when asked for, so that only one case's memory is in use at a time.
using MakeCase = std::function<Case(const Context& ctx, const Sizes& sizes, std::int64_t factors)>;
std::vector<MakeCase> all_cases();

}  // namespace gradmill::bench
