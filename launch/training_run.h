// A training run, whatever it trains: devices, run directory, resume, epochs, metrics, best model,
// early stopping, checkpoints, report.
#pragma once

#include "dist/world.h"
#include "launch/options.h"
#include "launch/trainee.h"
#include "runtime/log.h"

namespace gradmill {

/// Collective; returns the exit code. family: of the run's name when it has none ("mf").
/// Errors: as its parts.
int run_training(const Options& options, World& world, Log& log, const std::string& family,
                 TraineeFactory make);

}  // namespace gradmill
