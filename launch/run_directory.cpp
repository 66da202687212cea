#include "launch/run_directory.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "data/files.h"
#include "dist/gather_strings.h"
#include "launch/checkpoint.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

namespace fs = std::filesystem;

/// What earlier starts of the run left for `gradmill diagnose`: this start's own is to come.
void remove_records(const std::string& path) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(path, error))
    if (entry.path().filename().string().starts_with("error-rank-")) fs::remove(entry, error);
  for (const fs::directory_entry& entry : fs::directory_iterator(path + "/flight", error))
    fs::remove(entry, error);
}

}  // namespace

std::string claim_run_name(const std::string& parent, const std::string& kind) {
  create_folder(parent);
  // mkdir tells who was first if two runs start at once.
  for (int number = 1; number < 1'000'000; ++number) {
    const std::string name = fmt::format("{}-{:04}", kind, number);
    std::error_code error;
    if (fs::create_directory(parent + "/" + name, error)) return name;
    expect(!error,
           error == std::errc::permission_denied ? ErrorKind::permission : ErrorKind::cannot_write,
           "{}/{}: cannot create the folder: {}", parent, name, error.message());
  }
  fail(ErrorKind::cannot_write, "{}: no free name {}-NNNN", parent, kind);
}

RunDirectory RunDirectory::open(const Context& ctx, Communicator& comm, const std::string& parent,
                                std::string name, const std::string& kind, If accept) {
  std::unique_ptr<RunLock> lock;
  // "0path" or "1path": whether the run was there before.
  const std::string found = on_every_rank(ctx, comm, [&] {
    if (comm.rank() != 0) return std::string();
    if (name.empty()) {
      expect(accept != If::exists, ErrorKind::usage, "resuming needs the name of the run: --name");
      name = claim_run_name(parent, kind);
    }
    expect(is_plain_name(name), ErrorKind::usage,
           "run name {:?}: letters, digits, '-' and '_' expected", name);
    const std::string path = parent + "/" + name;
    const bool there = fs::exists(path + "/config.toml");
    expect(accept != If::absent || !there, ErrorKind::usage,
           "{}: holds a run already; continue it with --resume auto, or choose another --name",
           path);
    expect(accept != If::exists || there, ErrorKind::input_missing, "{}: no run to resume", path);
    create_folder(path);
    lock = std::make_unique<RunLock>(path, 0);
    for (const char* folder : {"/log", "/checkpoints", "/flight"}) create_folder(path + folder);
    remove_records(path);
    remove_leftovers(path);
    remove_leftovers(path + "/checkpoints");
    return std::string(there ? "1" : "0") + path;
  })[0];
  const std::string path = found.substr(1);
  on_every_rank(ctx, comm, [&] {
    if (comm.rank() != 0) lock = std::make_unique<RunLock>(path, comm.rank());
    return std::string();
  });
  return RunDirectory(path, comm.rank(), found[0] == '1', std::move(lock));
}

std::string RunDirectory::name() const { return fs::path(path_).filename().string(); }
std::string RunDirectory::log() const { return fmt::format("{}/log/rank-{:03}.log", path_, rank_); }
std::string RunDirectory::error() const {
  return fmt::format("{}/error-rank-{:03}.json", path_, rank_);
}

std::string RunDirectory::flight() const {
  return fmt::format("{}/flight/rank-{:03}.bin", path_, rank_);
}

void RunDirectory::set_best(std::int64_t step) const {
  const std::string link = path_ + "/best", temporary = path_ + "/tmp-best";
  std::error_code error;
  fs::remove(temporary, error);
  fs::create_symlink("checkpoints/" + checkpoint_name(step), temporary, error);
  if (!error) fs::rename(temporary, link, error);
  expect(!error, ErrorKind::cannot_write, "{}: cannot set the link: {}", link, error.message());
  sync_folder(path_);
}

std::int64_t RunDirectory::best() const {
  std::error_code error;
  const fs::path target = fs::read_symlink(path_ + "/best", error);
  if (error) return -1;
  for (const std::int64_t step : checkpoint_steps(checkpoints())) {
    if (target == "checkpoints/" + checkpoint_name(step)) return step;
  }
  return -1;
}

void RunDirectory::write_error(ErrorKind kind, const std::string& message,
                               const FlightStatus& status) const noexcept {
  try {
    const FlightEvent& last = status.last;
    const nlohmann::ordered_json record{{"code", exit_code(kind)},
                                        {"kind", kind_name(kind)},
                                        {"message", message},
                                        {"rank", rank_},
                                        {"host", host_name()},
                                        {"process", ::getpid()},
                                        {"time", utc_time()},
                                        {"generation", generation_},
                                        {"phase", phase_name(last.phase)},
                                        {"step", last.step},
                                        {"collective", collective_name(last.collective)},
                                        {"sequence", last.sequence},
                                        {"bytes", last.bytes},
                                        {"in_collective", status.waiting}};
    replace_file(
        error(),
        record.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  } catch (const std::exception&) {
    // The run is ending with an error already; that one matters more.
  }
}

}  // namespace gradmill
