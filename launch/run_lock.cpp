#include "launch/run_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <system_error>

#include "launch/environment.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

/// Open-file-description locks: tied to this descriptor, so no other open of the same file in this
/// process can drop them by accident. length 0: to the end.
bool try_lock(int descriptor, short type, off_t start, off_t length) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = start;
  lock.l_len = length;
  return ::fcntl(descriptor, F_OFD_SETLK, &lock) == 0;
}

/// "host a, process 77, started …, generation 3"
std::string holder(int descriptor) {
  char text[256];
  const auto size = ::pread(descriptor, text, sizeof text, 0);
  std::string name(text, static_cast<std::size_t>(size > 0 ? size : 0));
  while (!name.empty() && name.back() == '\n') name.pop_back();
  return name.empty() ? "another process" : name;
}

std::int64_t generation_of(std::string_view holder) {
  constexpr std::string_view kField = ", generation ";
  std::int64_t generation = 0;
  if (const auto at = holder.rfind(kField); at != holder.npos)
    std::from_chars(holder.data() + at + kField.size(), holder.data() + holder.size(), generation);
  return generation;
}

}  // namespace

RunLock::RunLock(const std::string& folder, int rank) : path_(folder + "/run.lock") {
  const std::string& path = path_;
  descriptor_ = Descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644));
  expect(static_cast<bool>(descriptor_),
         errno == EACCES ? ErrorKind::permission : ErrorKind::cannot_write, "{}: cannot open: {}",
         path, std::generic_category().message(errno));

  const bool first = rank == 0;
  if (!try_lock(descriptor_.get(), F_WRLCK, rank, first ? 0 : 1)) {
    expect(errno == EAGAIN || errno == EACCES, ErrorKind::io,
           "{}: cannot lock: {}; this file system may not have locks", path,
           std::generic_category().message(errno));
    fail(ErrorKind::permission,
         "{}: in use by {}; wait until it ends, stop it, or choose another --name", folder,
         holder(descriptor_.get()));
  }
  generation_ = generation_of(holder(descriptor_.get()));
  if (!first) return;
  ++generation_;
  const std::string me = fmt::format("host {}, process {}, started {}, generation {}\n",
                                     host_name(), ::getpid(), utc_time(), generation_);
  const bool written =
      ::ftruncate(descriptor_.get(), 0) == 0 &&
      ::pwrite(descriptor_.get(), me.data(), me.size(), 0) == static_cast<ssize_t>(me.size());
  expect(written, ErrorKind::cannot_write, "{}: cannot write: {}", path,
         std::generic_category().message(errno));
  try_lock(descriptor_.get(), F_UNLCK, 1, 0);  // the bytes of the other ranks
}

void RunLock::check_current() const {
  // Opened anew: the folder may have been moved away and made again.
  const Descriptor now(::open(path_.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  const std::string by = now ? holder(now.get()) : "nobody: the file is gone";
  expect(now && generation_of(by) == generation_, ErrorKind::permission,
         "{}: this run is generation {}, but the folder is now held by {}; nothing more is written",
         path_, generation_, by);
}

bool RunLock::is_held(const std::string& folder) {
  const Descriptor file(::open((folder + "/run.lock").c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  if (!file) return false;
  if (try_lock(file.get(), F_WRLCK, 0, 0)) return false;
  return errno == EAGAIN || errno == EACCES;
}

}  // namespace gradmill
