// The contexts that a test runs on.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "runtime/context.h"

/// In a test with "Cuda" in its name: contexts of all visible devices, or a loud skip (a failure if
/// GRADMILL_REQUIRE_CUDA=1).
#define GRADMILL_CUDA_CONTEXTS(gpus)                                           \
  const auto gpus = gradmill::Context::all_cuda();                             \
  if (gpus.empty()) {                                                          \
    if (std::getenv("GRADMILL_REQUIRE_CUDA"))                                  \
      FAIL() << "GRADMILL_REQUIRE_CUDA is set, but no CUDA device is visible"; \
    GTEST_SKIP() << "no CUDA device on this machine";                          \
  }
