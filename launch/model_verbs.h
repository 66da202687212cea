// What verbs do with a stored model, by its kind.
#pragma once

#include "dist/world.h"
#include "launch/options.h"
#include "runtime/log.h"

namespace gradmill {

int evaluate_mf(const Options& options, World& world, Log& log);
int predict_mf(const Options& options, World& world, Log& log);
int export_mf(const Options& options, World& world, Log& log);

int evaluate_linear(const Options& options, World& world, Log& log);
int predict_linear(const Options& options, World& world, Log& log);
int export_linear(const Options& options, World& world, Log& log);

int evaluate_mlp(const Options& options, World& world, Log& log);
int predict_mlp(const Options& options, World& world, Log& log);
int export_mlp(const Options& options, World& world, Log& log);

}  // namespace gradmill
