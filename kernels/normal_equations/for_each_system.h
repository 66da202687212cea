// The loop over rows that normal_equations and als_solve share on the CPU.
#pragma once

#include <functional>

#include "kernels/normal_equations/normal_equations.h"
#include "kernels/normal_system/normal_system.h"

namespace gradmill::cpu {

/// Sums up the system of every row, with base and ridge if args.add_ridge, and calls finish(row,
/// system, thread) for it on that thread; it may leave another system of the same size. args.systems and args.rhs are not used. Rows with many ratings
/// are cut into fixed pieces that threads share and that are added in order, so the bits of a
/// system depend on the arguments alone.
void for_each_system(
    const Context& ctx, const NormalEquationsArgs& args,
    const std::function<void(std::int64_t row, NormalSystem& system, int thread)>& finish);

}  // namespace gradmill::cpu
