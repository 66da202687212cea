// What Context needs of a CUDA device; implemented in cuda_device.cpp, absent from a CPU build.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "runtime/view.h"

struct CUstream_st;
struct cublasContext;

namespace gradmill {

class CudaDevice {
 public:
  static int count();
  explicit CudaDevice(int ordinal);
  ~CudaDevice();
  CudaDevice(CudaDevice&&) = delete;

  void make_current() const;
  CUstream_st* stream() const;
  cublasContext* blas() const;
  int multiprocessors() const;
  std::string name() const;
  std::int64_t free_bytes() const;
  void synchronize() const;
  bool is_idle() const;  // everything enqueued is done
  void* allocate(std::size_t bytes) const;
  void deallocate(void* pointer) const noexcept;
  void copy(void* to, const void* from, std::size_t bytes) const;
  void copy_rows(float* to, std::int64_t to_stride, const float* from, std::int64_t from_stride,
                 std::int64_t cols, std::int64_t rows) const;
  void zero(void* to, std::size_t bytes) const;
  void copy_ahead(void* to, const void* pinned, std::size_t bytes) const;
  void copies_wait_for_stream() const;
  void stream_waits_for_copies() const;
  CUstream_st* copies() const;  // the stream of copies ahead

  static bool is_pageable(const void* pointer);  // host memory that CUDA does not know
  static void* allocate_pinned(std::size_t bytes);
  static void deallocate_pinned(void* pointer) noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gradmill
