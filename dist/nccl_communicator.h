// Collectives on device memory over NCCL; host memory goes through an MPI communicator.
#pragma once

#include <memory>
#include <string>

#include "dist/communicator.h"
#include "dist/mpi_communicator.h"

namespace gradmill {

/// Collective. Only in a build with CUDA. ctx is a CUDA context, another device on every rank.
std::unique_ptr<Communicator> make_nccl_communicator(const Context& ctx,
                                                     std::unique_ptr<MpiCommunicator> host,
                                                     double timeout_seconds);

std::string nccl_library_version();

}  // namespace gradmill
