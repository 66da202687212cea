// `train.device` to contexts: decided once, at the start, and told.
#pragma once

#include <memory>
#include <string>

#include "dist/world.h"
#include "runtime/context.h"

namespace gradmill {

/// auto: the CUDA device of this rank if every rank of the host can have its own, else the CPU.
/// cuda: device local_rank; cuda:N: that one; check: CPU against CUDA. Errors: ErrorKind::usage.
std::unique_ptr<Context> make_context(const std::string& device, const World& world, int threads);

}  // namespace gradmill
