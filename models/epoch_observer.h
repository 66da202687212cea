// How a model tells, within an epoch, how far it has come.
#pragma once

#include <functional>

namespace gradmill {

/// Called by every rank now and then with the fraction (0 .. 1) of the epoch that is done (on a GPU: that
/// was handed to it). Must not call collectives: ranks call it at different times.
using EpochObserver = std::function<void(double fraction)>;

}  // namespace gradmill
