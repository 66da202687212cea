#include "launch/run_lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
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

std::string holder(int descriptor) {
  char text[256];
  const auto size = ::pread(descriptor, text, sizeof text, 0);
  std::string name(text, static_cast<std::size_t>(size > 0 ? size : 0));
  while (!name.empty() && name.back() == '\n') name.pop_back();
  return name.empty() ? "another process" : name;
}

}  // namespace

RunLock::RunLock(const std::string& folder, int rank) {
  const std::string path = folder + "/run.lock";
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
  if (!first) return;
  const std::string me =
      fmt::format("host {}, process {}, started {}\n", host_name(), ::getpid(), utc_time());
  const bool written =
      ::ftruncate(descriptor_.get(), 0) == 0 &&
      ::pwrite(descriptor_.get(), me.data(), me.size(), 0) == static_cast<ssize_t>(me.size());
  expect(written, ErrorKind::cannot_write, "{}: cannot write: {}", path,
         std::generic_category().message(errno));
  try_lock(descriptor_.get(), F_UNLCK, 1, 0);  // the bytes of the other ranks
}

}  // namespace gradmill
