#include "models/mf/solver.h"

#include "models/mf/als.h"
#include "models/mf/sgd.h"

namespace gradmill {

std::unique_ptr<MfSolver> make_mf_solver(const Context& ctx, const Context& host,
                                         Communicator& comm, const MfConfig& given,
                                         std::uint64_t seed, MfSize size, Ratings mine) {
  const MfConfig config = with_defaults(given);
  if (config.algorithm == "sgd")
    return std::make_unique<SgdSolver>(ctx, host, comm, config, seed, size, std::move(mine));
  return std::make_unique<AlsSolver>(ctx, host, comm, config, seed, size, std::move(mine));
}

}  // namespace gradmill
