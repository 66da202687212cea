#include "launch/doctor.h"

#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "data/library_versions.h"
#include "launch/environment.h"
#include "runtime/buffer.h"
#include "runtime/cuda_info.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {
namespace fs = std::filesystem;

constexpr double kMiB = 1 << 20, kGiB = 1 << 30;

Finding ok(std::string what, std::string value) {
  return {std::move(what), Health::ok, std::move(value), ""};
}

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

Finding host() {
  for (const auto& [name, value] : host_facts())
    if (name == "system") return ok("host", host_name() + ", " + value);
  return ok("host", host_name());
}

Finding processor() {
  std::string model = "unknown";
  for (const auto& [name, value] : host_facts())
    if (name == "processor") model = value;
  std::string sets;
  const auto add = [&](bool has, const char* name) {
    if (has) sets += sets.empty() ? name : std::string(" ") + name;
  };
  add(__builtin_cpu_supports("avx2"), "AVX2");
  add(__builtin_cpu_supports("fma"), "FMA");
  add(__builtin_cpu_supports("avx512f"), "AVX-512");
  add(__builtin_cpu_supports("avx512vnni"), "VNNI");
#ifdef __AVX512F__
  constexpr bool kBuiltFor512 = true;
#else
  constexpr bool kBuiltFor512 = false;
#endif
  Finding found = ok("processor", fmt::format("{} ({})", model, sets.empty() ? "no AVX2" : sets));
  if (!kBuiltFor512 && __builtin_cpu_supports("avx512f")) {
    found.health = Health::warning;
    found.fix = "this build does not use AVX-512: build on this machine with --preset cpu";
  }
  return found;
}

Finding cores(const World& world) {
  const long present = sysconf(_SC_NPROCESSORS_ONLN);
  Finding found = ok("cores", fmt::format("{} for this rank, {} of {} usable by this process",
                                          world.cores(), available_cores(), present));
  if (world.cores() * world.local_size() < present) {
    found.health = Health::warning;
    found.fix = world.world_size() > 1
                    ? "mpirun left cores without a rank: --bind-to none, or --map-by slot:pe=CORES"
                    : "affinity (taskset) or a container's quota (--cpus) holds cores back";
  }
  return found;
}

Finding memory() {
  std::ifstream file("/proc/meminfo");
  std::string key, rest;
  double kilobytes = 0, total = 0, available = 0;
  while (file >> key >> kilobytes && std::getline(file, rest)) {
    if (key == "MemTotal:") total = kilobytes / (kGiB / 1024);
    if (key == "MemAvailable:") available = kilobytes / (kGiB / 1024);
  }
  std::string text = fmt::format("{:.1f} GiB, {:.1f} GiB available", total, available);
  const std::string limit = first_line("/sys/fs/cgroup/memory.max");
  if (!limit.empty() && limit != "max")
    text += fmt::format(", container limit {:.1f} GiB", std::strtod(limit.c_str(), nullptr) / kGiB);
  return ok("memory", text);
}

Finding huge_pages() {
  const std::string modes = first_line("/sys/kernel/mm/transparent_hugepage/enabled");
  const std::size_t open = modes.find('['), close = modes.find(']');
  if (open == modes.npos || close == modes.npos)
    return {"huge pages", Health::warning, "not in this kernel",
            "factor tables are 1.3x to 1.6x slower to gather"};
  const std::string mode = modes.substr(open + 1, close - open - 1);
  if (mode != "never") return ok("huge pages", mode);
  return {"huge pages", Health::warning, mode,
          "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"};
}

Finding shared_memory(const World& world) {
  struct statvfs fs {};
  if (statvfs("/dev/shm", &fs) != 0)
    return {"/dev/shm", world.local_size() > 1 ? Health::broken : Health::warning, "not there",
            "ranks of one host need it: mount -t tmpfs tmpfs /dev/shm"};
  const double size = static_cast<double>(fs.f_frsize) * static_cast<double>(fs.f_blocks),
               free = static_cast<double>(fs.f_frsize) * static_cast<double>(fs.f_bavail);
  Finding found =
      ok("/dev/shm", fmt::format("{:.0f} MiB, {:.0f} MiB free", size / kMiB, free / kMiB));
  constexpr double kBytesPerRank = 32 * kMiB;  // Open MPI's and NCCL's buffers
  if (free < kBytesPerRank * world.local_size()) {
    found.health = Health::warning;
    found.fix =
        "small for MPI and NCCL: mount -o remount,size=1g /dev/shm (in a container: "
        "docker run --shm-size=1g)";
  }
  return found;
}

std::string limit_text(rlim_t limit, double unit, const char* name) {
  if (limit == RLIM_INFINITY) return "unlimited";
  return fmt::format("{:.0f}{}", static_cast<double>(limit) / unit, name);
}

Finding limit(const char* what, decltype(RLIMIT_STACK) resource, double unit, const char* name,
              rlim_t least, const char* fix) {
  struct rlimit limits {};
  if (getrlimit(resource, &limits) != 0) return ok(what, "unknown");
  Finding found = ok(what, limit_text(limits.rlim_cur, unit, name));
  if (limits.rlim_cur != RLIM_INFINITY && limits.rlim_cur < least) {
    found.health = Health::warning;
    found.fix = fix;
  }
  return found;
}

void add_limits(std::vector<Finding>& findings) {
  // Locked memory matters to network adapters that write into a process's memory.
  const bool adapters =
      fs::exists("/sys/class/infiniband") && !fs::is_empty("/sys/class/infiniband");
  findings.push_back(limit("locked memory", RLIMIT_MEMLOCK, kMiB, " MiB",
                           adapters ? rlim_t{1} << 30 : 0,
                           "InfiniBand needs more: ulimit -l unlimited (limits.conf: memlock)"));
  findings.push_back(
      limit("open files", RLIMIT_NOFILE, 1, "", 1024, "ulimit -n 65536 (limits.conf: nofile)"));
  findings.push_back(limit("stack", RLIMIT_STACK, kMiB, " MiB", rlim_t{1} << 20, "ulimit -s 8192"));
}

void add_devices(std::vector<Finding>& findings) {
  const bool driver_there = fs::exists("/dev/nvidia0") || fs::exists("/dev/nvidiactl");
  if constexpr (kHasCuda) {
    const CudaInfo info = cuda_info();
    findings.push_back(ok("CUDA", fmt::format("runtime {}, driver for {}", info.runtime,
                                              info.driver.empty() ? "none" : info.driver)));
    for (const CudaDeviceInfo& d : info.devices)
      findings.push_back(ok(fmt::format("cuda:{}", d.ordinal),
                            fmt::format("{}, {:.0f} GiB, {} multiprocessors, sm_{}{}, {}", d.name,
                                        static_cast<double>(d.memory_bytes) / kGiB,
                                        d.multiprocessors, d.major, d.minor, d.pci_bus_id)));
    if (!info.why_none.empty())
      findings.push_back({"CUDA devices", info.broken ? Health::broken : Health::warning,
                          (info.devices.empty() ? "none: " : "") + info.why_none,
                          info.fix + "; everything works on the CPU, slower"});
    return;
  }
  Finding found = ok("CUDA", "not in this build: the CPU does everything");
  if (driver_there) {
    found.health = Health::warning;
    found.fix = "an NVIDIA device is here: install CUDA 13 and build with --preset cuda";
  }
  findings.push_back(std::move(found));
}

Finding library(const char* name, const LibraryVersion& version, const char* package) {
  Finding found = ok(name, version.loaded);
  if (version.loaded != version.built_with) {
    found.health = Health::warning;
    found.value += " (built with " + version.built_with + ")";
    found.fix = fmt::format("apt-get install --reinstall {}, then rebuild", package);
  }
  return found;
}

bool on_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::string folders = path ? path : "";
  for (std::size_t at = 0; at <= folders.size();) {
    const std::size_t end = std::min(folders.find(':', at), folders.size());
    if (access((folders.substr(at, end - at) + "/" + program).c_str(), X_OK) == 0) return true;
    at = end + 1;
  }
  return false;
}

void add_libraries(std::vector<Finding>& findings, const World& world) {
  findings.push_back(ok("MPI", mpi_version()));
  Finding starter = ok("launcher", launcher());
  if (world.world_size() == 1 && !on_path("mpirun")) {
    starter.health = Health::warning;
    starter.fix = "several ranks need mpirun: apt-get install openmpi-bin";
  }
  findings.push_back(std::move(starter));
  findings.push_back(ok("NCCL", nccl_version()));
  findings.push_back(library("HDF5", version_of_hdf5(), "libhdf5-dev"));
  findings.push_back(library("zlib", version_of_zlib(), "zlib1g-dev"));
}

Finding build() {
#ifdef NDEBUG
  std::string text = "optimized";
#else
  std::string text = "with assertions";
#endif
  return ok("build", fmt::format("gradmill {}, g++ {}, {}, CUDA {}", GRADMILL_VERSION, __VERSION__,
                                 text, kHasCuda ? "yes" : "no"));
}

/// Sums a vector over all ranks, checks it and takes the time.
Finding try_collective(World& world, const Context& ctx) {
  const auto comm = world.communicator(ctx);
  const std::string what = fmt::format("{} sum over {} ranks", comm->name(), world.world_size());
  constexpr std::int64_t kCount = 1 << 20;
  Buffer<float> values(ctx, kCount);
  double best = 1e30;
  for (int round = 0; round < 3; ++round) {
    values.upload(std::vector<float>(kCount, static_cast<float>(world.rank() + 1)));
    ctx.synchronize();
    comm->barrier();
    const auto start = std::chrono::steady_clock::now();
    comm->all_reduce_sum(ctx, values.view());
    ctx.synchronize();
    best = std::min(
        best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  const float want = static_cast<float>(world.world_size() * (world.world_size() + 1) / 2);
  for (const float value : values.to_host())
    if (value != want)
      return {what, Health::broken, fmt::format("{} where {} was expected", value, want),
              "the network or a device corrupts data: check the hosts one by one"};
  return ok(what, fmt::format("4 MiB in {:.2f} ms", best * 1e3));
}

/// Over MPI, and over NCCL if every rank can have a device.
void add_collectives(std::vector<Finding>& findings, World& world) {
  const Context cpu = Context::cpu(1);
  try {
    findings.push_back(try_collective(world, cpu));
    std::int64_t ranks_with_device = Context::cuda_device_count() >= world.local_size();
    world.communicator(cpu)->all_reduce_sum(cpu, VectorView<std::int64_t>{&ranks_with_device, 1});
    if (ranks_with_device < world.world_size()) return;
    const Context cuda = Context::cuda(world.local_rank());
    findings.push_back(try_collective(world, cuda));
  } catch (const Error& error) {
    findings.push_back({"collectives", Health::broken, error.what(),
                        "see the other ranks' output; NCCL_DEBUG=INFO says more"});
  }
}

}  // namespace

std::vector<Finding> examine(World& world) {
  std::vector<Finding> findings{host(),   build(),      processor(),         cores(world),
                                memory(), huge_pages(), shared_memory(world)};
  add_limits(findings);
  add_libraries(findings, world);
  add_devices(findings);
  if (world.world_size() > 1) add_collectives(findings, world);
  return findings;
}

bool is_healthy(const std::vector<Finding>& findings) {
  return std::none_of(findings.begin(), findings.end(),
                      [](const Finding& f) { return f.health == Health::broken; });
}

std::string doctor_report(const std::vector<Finding>& findings, bool json) {
  const auto word = [](Health health) {
    return health == Health::ok ? "ok" : health == Health::warning ? "warning" : "broken";
  };
  if (json) {
    nlohmann::ordered_json document{{"healthy", is_healthy(findings)}};
    auto& list = document["findings"] = nlohmann::ordered_json::array();
    for (const Finding& f : findings)
      list.push_back(
          {{"what", f.what}, {"health", word(f.health)}, {"value", f.value}, {"fix", f.fix}});
    return document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  }
  std::size_t width = 0;
  for (const Finding& f : findings) width = std::max(width, f.what.size());
  std::string text;
  for (const Finding& f : findings) {
    text += fmt::format("{:<7}  {:<{}}  {}\n", word(f.health), f.what, width, f.value);
    if (!f.fix.empty()) text += fmt::format("{:<7}  {:<{}}  -> {}\n", "", "", width, f.fix);
  }
  return text + (is_healthy(findings) ? "Everything that gradmill needs is there.\n"
                                      : "gradmill will not work here until that is mended.\n");
}

}  // namespace gradmill
