// One function a verb. Each returns the exit code, or throws Error.
#pragma once

#include "dist/world.h"
#include "launch/options.h"
#include "runtime/log.h"

namespace gradmill {

int train_verb(const Options& options, World& world, Log& log);
int evaluate_verb(const Options& options, World& world, Log& log);
int predict_verb(const Options& options, World& world, Log& log);
int recommend_verb(const Options& options, World& world, Log& log);
int export_verb(const Options& options, World& world, Log& log);
int convert_verb(const Options& options, World& world, Log& log);
int inspect_verb(const Options& options, World& world, Log& log);
int validate_verb(const Options& options, World& world, Log& log);
int diagnose_verb(const Options& options, World& world, Log& log);
int doctor_verb(const Options& options, World& world, Log& log);
int version_verb(const Options& options, World& world, Log& log);

/// The verb that the options name. Throws usage if it runs as one process and there are several ranks.
int run_verb(const Options& options, World& world, Log& log);

}  // namespace gradmill
