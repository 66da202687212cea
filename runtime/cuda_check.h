// Status checks for CUDA libraries without a macro: they say what was being done and where.
// Safe to include from .cu and .cpp files; needs CUDA headers only in its .cpp.
#pragma once

#include <source_location>
#include <string_view>

namespace gradmill {

[[noreturn]] void throw_cuda_error(int status, std::string_view doing,
                                   const std::source_location& at);
[[noreturn]] void throw_cublas_error(int status, std::string_view doing,
                                     const std::source_location& at);

/// Throws ErrorKind::out_of_memory for failed allocations, ErrorKind::device for everything else.
template <class Status>
void cuda_check(Status status, std::string_view doing,
                const std::source_location& at = std::source_location::current()) {
  if (static_cast<int>(status) != 0) [[unlikely]]
    throw_cuda_error(static_cast<int>(status), doing, at);
}

template <class Status>
void cublas_check(Status status, std::string_view doing,
                  const std::source_location& at = std::source_location::current()) {
  if (static_cast<int>(status) != 0) [[unlikely]]
    throw_cublas_error(static_cast<int>(status), doing, at);
}

}  // namespace gradmill
