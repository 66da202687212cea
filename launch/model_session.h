// What every verb that uses a stored model needs.
#pragma once

#include <memory>

#include "launch/device.h"
#include "launch/mf_model.h"
#include "launch/options.h"

namespace gradmill {

struct ModelSession {
  ModelSession(const Options& options, const World& world)
      : threads(threads_per_rank(options.config.train.threads, world)),
        cpu(Context::cpu(threads)),
        ctx(make_context(options.config.train.device, world, threads)),
        model(MfModel::load(*ctx, cpu, options.target)) {}

  int threads;
  Context cpu;
  std::unique_ptr<Context> ctx;
  MfModel model;
};

}  // namespace gradmill
