// LD_PRELOAD: lets the Nth change of a file beneath a folder fail, or kills the process there.
//   FAULT_UNDER   the folder; only what is beneath it counts
//   FAULT_AT      N, from 1; 0 counts only
//   FAULT_KIND    kill, short, or an error: ENOSPC, EIO, EDQUOT, EINTR
//   FAULT_COUNT   a file that gets the number of changes when the process ends in order
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long changes;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int beneath(const char* path) {
  const char* under = getenv("FAULT_UNDER");
  return under && path && strncmp(path, under, strlen(under)) == 0;
}

static int beneath_descriptor(int descriptor) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0) return 0;
  path[size] = '\0';
  return beneath(path);
}

enum Fault { none, short_write, failed };

// Counts a change; at the chosen one it kills, or sets errno, or asks for half a write.
static enum Fault fault(int can_be_short) {
  const char* at = getenv("FAULT_AT");
  const char* kind = getenv("FAULT_KIND");
  const long number = atomic_fetch_add(&changes, 1) + 1;
  if (!at || !kind || number != atol(at)) return none;
  if (!strcmp(kind, "kill")) kill(getpid(), SIGKILL);
  if (!strcmp(kind, "short")) return can_be_short ? short_write : none;
  errno = !strcmp(kind, "ENOSPC")   ? ENOSPC
          : !strcmp(kind, "EDQUOT") ? EDQUOT
          : !strcmp(kind, "EINTR")  ? EINTR
                                    : EIO;
  return failed;
}

__attribute__((destructor)) static void tell(void) {
  const char* path = getenv("FAULT_COUNT");
  if (!path) return;
  FILE* file = fopen(path, "w");
  if (!file) return;
  fprintf(file, "%ld\n", (long)changes);
  fclose(file);
}

ssize_t write(int descriptor, const void* bytes, size_t size) {
  if (beneath_descriptor(descriptor)) switch (fault(size > 1)) {
      case failed:
        return -1;
      case short_write:
        size /= 2;
      case none:;
    }
  return REAL(write)(descriptor, bytes, size);
}

int fsync(int descriptor) {
  if (beneath_descriptor(descriptor) && fault(0) == failed) return -1;
  return REAL(fsync)(descriptor);
}

int close(int descriptor) {
  // EINTR and the like of close(): the descriptor is closed all the same.
  const int counts = beneath_descriptor(descriptor) &&
                     (fcntl(descriptor, F_GETFL) & O_ACCMODE) != O_RDONLY;
  const int fails = counts && fault(0) == failed;
  const int error = errno;
  const int result = REAL(close)(descriptor);
  if (!fails) return result;
  errno = error;
  return -1;
}

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = va_arg(rest, mode_t);
  va_end(rest);
  if ((flags & O_CREAT) && beneath(path) && fault(0) == failed) return -1;
  return REAL(open)(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = va_arg(rest, mode_t);
  va_end(rest);
  if ((flags & O_CREAT) && beneath(path) && fault(0) == failed) return -1;
  return REAL(open64)(path, flags, mode);
}

int rename(const char* from, const char* to) {
  if (beneath(to) && fault(0) == failed) return -1;
  return REAL(rename)(from, to);
}

int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  if (beneath(to) && fault(0) == failed) return -1;
  return REAL(renameat2)(from_folder, from, to_folder, to, flags);
}

int mkdir(const char* path, mode_t mode) {
  if (beneath(path) && fault(0) == failed) return -1;
  return REAL(mkdir)(path, mode);
}

int unlink(const char* path) {
  if (beneath(path) && fault(0) == failed) return -1;
  return REAL(unlink)(path);
}

int unlinkat(int folder, const char* path, int flags) {
  if ((folder == AT_FDCWD ? beneath(path) : beneath_descriptor(folder)) && fault(0) == failed)
    return -1;
  return REAL(unlinkat)(folder, path, flags);
}
