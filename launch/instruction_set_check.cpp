// Compiled for any x86-64 and run before every static initializer of the program.
#include <unistd.h>

#include <string_view>

#include "launch/instruction_set.h"

namespace {
constexpr std::string_view kMessage =
    "error: this gradmill was built for a processor with AVX-512 or AVX2, which this one does not "
    "have; build it\n"
    "here, or with cmake --preset portable for any x86-64-v3 machine\n";
constexpr int kUsage = 64;

__attribute__((constructor(101))) void check_instruction_set() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool enough = (!gradmill::kBuiltForAvx512 || __builtin_cpu_supports("avx512f")) &&
                      (!gradmill::kBuiltForAvx2 ||
                       (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")));
  if (enough) return;
  (void)!write(STDERR_FILENO, kMessage.data(), kMessage.size());
  _exit(kUsage);
#endif
}
}  // namespace
