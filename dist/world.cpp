#include "dist/world.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <optional>
#include <vector>

#include "dist/mpi_call.h"
#include "dist/mpi_communicator.h"
#include "dist/nccl_communicator.h"
#include "dist/start_deadline.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {

constexpr unsigned kCauseSeconds = 2;

/// What the environment says about our start.
struct Launcher {
  std::string_view name;
  int ranks = 0;  // 0: it does not say
  std::string rank = "?";

  std::string who() const { return fmt::format("rank {} of {} ({})", rank, ranks, name); }
};

int int_from_environment(const char* name) {
  const char* text = std::getenv(name);
  return text ? std::atoi(text) : 0;
}

std::optional<Launcher> find_launcher() {
  struct Sign {
    const char* variable;  // that only this launcher sets
    const char* size;
    const char* rank;
    std::string_view name;
  };
  constexpr std::array<Sign, 6> kSigns{{
      {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "Open MPI's mpirun"},
      {"MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK", "MVAPICH's mpirun"},
      {"PMI_SIZE", "PMI_SIZE", "PMI_RANK", "a PMI launcher (mpiexec or srun)"},
      {"PMI_RANK", "SLURM_STEP_NUM_TASKS", "PMI_RANK", "a PMI launcher (mpiexec or srun)"},
      {"PMIX_RANK", "SLURM_STEP_NUM_TASKS", "PMIX_RANK", "a PMIx launcher (srun --mpi=pmix)"},
      {"SLURM_STEP_NUM_TASKS", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "srun without PMI"},
  }};
  for (const Sign& sign : kSigns)
    if (std::getenv(sign.variable)) {
      Launcher found{sign.name, int_from_environment(sign.size)};
      if (const char* rank = std::getenv(sign.rank)) found.rank = rank;
      if (&sign == &kSigns.back() && found.ranks <= 1) return std::nullopt;
      return found;
    }
  return std::nullopt;
}

cpu_set_t affinity_mask() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  (void)sched_getaffinity(0, sizeof mask, &mask);
  return mask;
}

/// mpirun may bind each rank to cores of its own, or leave all cores to all ranks: the masks of a
/// host's ranks tell what is shared.
int cores_of_rank(const cpu_set_t& mine, const std::vector<cpu_set_t>& masks) {
  double cores = 0;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (!CPU_ISSET(core, &mine)) continue;
    const auto sharers = std::count_if(masks.begin(), masks.end(),
                                       [&](const cpu_set_t& m) { return CPU_ISSET(core, &m); });
    cores += 1.0 / static_cast<double>(std::max<std::ptrdiff_t>(1, sharers));
  }
  const int allowed = available_cores();
  if (allowed < CPU_COUNT(&mine))  // a quota, which holds for all ranks of the host together
    cores = std::min(cores, static_cast<double>(allowed) / static_cast<double>(masks.size()));
  return std::max(1, static_cast<int>(cores + 1e-6));
}

class SingleWorld final : public World {
 public:
  int rank() const override { return 0; }
  int world_size() const override { return 1; }
  int local_rank() const override { return 0; }
  int local_size() const override { return 1; }
  int cores() const override { return available_cores(); }
  std::unique_ptr<Communicator> communicator(const Context&) override {
    return make_self_communicator();
  }
  [[noreturn]] void abort(int exit_code) override {
    (void)std::fflush(nullptr);
    std::_Exit(exit_code);
  }
};

class MpiWorld final : public World {
 public:
  MpiWorld(bool owner, double timeout_seconds)
      : owner_(owner), exceptions_(std::uncaught_exceptions()) {
    options_.timeout_seconds = timeout_seconds;
    world_ = MpiComm::duplicate(MPI_COMM_WORLD);
    mpi_check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "set up error handling");
    rank_ = world_.rank();
    world_size_ = world_.size();
    const MpiComm host = MpiComm::of_this_host(world_.get());
    local_rank_ = host.rank();
    local_size_ = host.size();
    const cpu_set_t mine = affinity_mask();
    std::vector<cpu_set_t> masks(static_cast<std::size_t>(local_size_));
    mpi_check(MPI_Allgather(&mine, sizeof mine, MPI_BYTE, masks.data(), sizeof mine, MPI_BYTE,
                            host.get()),
              "exchange the ranks' cores");
    cores_ = cores_of_rank(mine, masks);
  }

  ~MpiWorld() override {
    if (!owner_ || std::uncaught_exceptions() > exceptions_) return;
    // MPI_Finalize waits for all ranks without end: only enter it when they are all here.
    try {
      MPI_Request request = MPI_REQUEST_NULL;
      MPI_Status status;
      mpi_check(MPI_Ibarrier(world_.get(), &request), "start a barrier");
      if (mpi_wait({&request, 1}, {&status, 1}, options_.timeout_seconds)) {
        world_ = MpiComm();
        (void)MPI_Finalize();
        return;
      }
    } catch (const std::exception&) {
    }
    std::fprintf(stderr, "rank %d: the other ranks did not end with this one; MPI stays open\n",
                 rank_);
  }

  int rank() const override { return rank_; }
  int world_size() const override { return world_size_; }
  int local_rank() const override { return local_rank_; }
  int local_size() const override { return local_size_; }
  int cores() const override { return cores_; }

  std::unique_ptr<Communicator> communicator(const Context& ctx) override {
    if (world_size_ == 1) return make_self_communicator();
    auto host = std::make_unique<MpiCommunicator>(options_);
    if constexpr (kHasCuda) {
      if (ctx.is_cuda())
        return make_nccl_communicator(ctx, std::move(host), options_.timeout_seconds);
    }
    return host;
  }

  [[noreturn]] void abort(int exit_code) override {
    (void)std::fflush(nullptr);
    // Who lost a peer gives it time to end everybody with its own error: that one is the cause.
    if (exit_code == gradmill::exit_code(ErrorKind::peer_lost)) sleep(kCauseSeconds);
    (void)MPI_Abort(MPI_COMM_WORLD, exit_code);
    std::_Exit(exit_code);
  }

 private:
  const bool owner_;
  const int exceptions_;
  MpiOptions options_;
  MpiComm world_;
  int rank_ = 0, world_size_ = 1, local_rank_ = 0, local_size_ = 1, cores_ = 1;
};

}  // namespace

std::unique_ptr<World> World::start(double timeout_seconds) {
  int running = 0;
  (void)MPI_Initialized(&running);
  if (running) return std::make_unique<MpiWorld>(false, timeout_seconds);
  const std::optional<Launcher> launched = find_launcher();
  if (!launched) return std::make_unique<SingleWorld>();
  std::optional<StartDeadline> deadline(std::in_place, start_timeout(timeout_seconds),
                                        launched->who());
  int provided = 0;
  mpi_check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "start");
  auto world = std::make_unique<MpiWorld>(true, timeout_seconds);
  deadline.reset();
  expect(
      launched->ranks <= 1 || launched->ranks == world->world_size(), ErrorKind::usage,
      "{} started {} ranks, but MPI ({}) finds {}: start gradmill with the mpirun of this MPI, or "
      "with srun --mpi=pmix",
      launched->name, launched->ranks, mpi_version(), world->world_size());
  return world;
}

int threads_per_rank(int asked, const World& world) { return asked > 0 ? asked : world.cores(); }

std::string launcher() {
  const std::optional<Launcher> found = find_launcher();
  if (!found) return "none";
  return found->ranks
             ? fmt::format("{}, {} rank{}", found->name, found->ranks, found->ranks == 1 ? "" : "s")
             : std::string(found->name);
}

std::string mpi_version() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0, major = 0, minor = 0;
  if (MPI_Get_library_version(text.data(), &length) != MPI_SUCCESS ||
      MPI_Get_version(&major, &minor) != MPI_SUCCESS)
    return "unknown";
  std::string_view library(text.data(), static_cast<std::size_t>(length));
  library = library.substr(0, library.find_first_of(",\n"));
  std::string loaded(library);
  if (library.starts_with("Open MPI v")) loaded = "Open MPI " + loaded.substr(10);
#ifdef OMPI_MAJOR_VERSION
  const std::string built = fmt::format("Open MPI {}.{}.{}", OMPI_MAJOR_VERSION, OMPI_MINOR_VERSION,
                                        OMPI_RELEASE_VERSION);
  if (loaded != built) loaded += " (built with " + built + ")";
#endif
  return fmt::format("{}, MPI {}.{}", loaded, major, minor);
}

std::string nccl_version() {
  if constexpr (kHasCuda) return nccl_library_version();
  return "not in this build";
}

}  // namespace gradmill
