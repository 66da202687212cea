// The ranks of a program of *_mpi_test.cpp files: MPI is started once.
#pragma once

#include <memory>

#include "dist/world.h"

namespace gradmill::testing {

inline World& test_world() {
  static const std::unique_ptr<World> instance = World::start(60);
  return *instance;
}

}  // namespace gradmill::testing
