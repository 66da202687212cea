#include "runtime/cuda_device.h"

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include "runtime/cuda_check.h"
#include "runtime/expect.h"
#include "runtime/handle.h"

namespace gradmill {
namespace {
using Stream = Handle<cudaStream_t, cudaStreamDestroy>;
using Event = Handle<cudaEvent_t, cudaEventDestroy>;
using Blas = Handle<cublasHandle_t, cublasDestroy>;
constexpr std::size_t kBlasWorkspaceBytes = std::size_t{32} << 20;

Stream make_stream() {
  cudaStream_t stream = nullptr;
  cuda_check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "create a stream");
  return Stream(stream);
}

Event make_event() {
  cudaEvent_t event = nullptr;
  cuda_check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "create an event");
  return Event(event);
}

void wait_for(cudaStream_t waiting, cudaStream_t working, cudaEvent_t event) {
  cuda_check(cudaEventRecord(event, working), "record an event");
  cuda_check(cudaStreamWaitEvent(waiting, event, 0), "make a stream wait");
}
}  // namespace

struct CudaDevice::Impl {
  int ordinal = 0;
  int multiprocessors = 0;
  Stream stream, copies;
  Event worked, copied;
  Blas blas;
  void* blas_workspace = nullptr;
  cudaMemPool_t pool = nullptr;
};

int CudaDevice::count() {
  int devices = 0;
  const cudaError_t status = cudaGetDeviceCount(&devices);
  if (status != cudaSuccess) {
    (void)cudaGetLastError();
    return 0;
  }
  return devices;
}

CudaDevice::CudaDevice(int ordinal) : impl_(std::make_unique<Impl>()) {
  const int devices = count();
  expect(ordinal >= 0 && ordinal < devices, ErrorKind::usage,
         "device 'cuda:{}' was asked for, but {} CUDA device(s) are visible; run `gradmill doctor` "
         "or use --device cpu",
         ordinal, devices);
  impl_->ordinal = ordinal;
  cuda_check(cudaSetDevice(ordinal), "select the device");
  cuda_check(
      cudaDeviceGetAttribute(&impl_->multiprocessors, cudaDevAttrMultiProcessorCount, ordinal),
      "read the device's attributes");
  impl_->stream = make_stream();
  impl_->copies = make_stream();
  impl_->worked = make_event();
  impl_->copied = make_event();
  // Keep freed memory in the pool: a step must not go back to the driver.
  cuda_check(cudaDeviceGetDefaultMemPool(&impl_->pool, ordinal), "get the memory pool");
  std::uint64_t keep = UINT64_MAX;
  cuda_check(cudaMemPoolSetAttribute(impl_->pool, cudaMemPoolAttrReleaseThreshold, &keep),
             "set up the memory pool");
  cublasHandle_t blas = nullptr;
  cublas_check(cublasCreate(&blas), "create a handle");
  impl_->blas = Blas(blas);
  cublas_check(cublasSetStream(blas, impl_->stream.get()), "set the stream");
  cuda_check(cudaMallocAsync(&impl_->blas_workspace, kBlasWorkspaceBytes, impl_->stream.get()),
             "allocate cuBLAS's workspace");
  cublas_check(cublasSetWorkspace(blas, impl_->blas_workspace, kBlasWorkspaceBytes),
               "set the workspace");
}

CudaDevice::~CudaDevice() {
  (void)cudaSetDevice(impl_->ordinal);
  (void)cudaStreamSynchronize(impl_->copies.get());
  (void)cudaStreamSynchronize(impl_->stream.get());
  impl_->blas = Blas{};
  if (impl_->blas_workspace) (void)cudaFreeAsync(impl_->blas_workspace, impl_->stream.get());
  (void)cudaStreamSynchronize(impl_->stream.get());
}

void CudaDevice::make_current() const {
  cuda_check(cudaSetDevice(impl_->ordinal), "select the device");
}
CUstream_st* CudaDevice::stream() const { return impl_->stream.get(); }
CUstream_st* CudaDevice::copies() const { return impl_->copies.get(); }
cublasContext* CudaDevice::blas() const { return impl_->blas.get(); }
int CudaDevice::multiprocessors() const { return impl_->multiprocessors; }

std::string CudaDevice::name() const {
  cudaDeviceProp properties{};
  cuda_check(cudaGetDeviceProperties(&properties, impl_->ordinal), "read the device's properties");
  return properties.name;
}

std::int64_t CudaDevice::free_bytes() const {
  make_current();
  std::size_t free = 0, total = 0;
  cuda_check(cudaMemGetInfo(&free, &total), "read the free memory");
  return static_cast<std::int64_t>(free);
}

void CudaDevice::synchronize() const {
  make_current();
  cuda_check(cudaStreamSynchronize(stream()), "finish the work on the stream");
}

bool CudaDevice::is_idle() const {
  make_current();
  const cudaError_t status = cudaStreamQuery(stream());
  if (status == cudaErrorNotReady) return false;
  cuda_check(status, "finish the work on the stream");
  return true;
}

bool CudaDevice::is_pageable(const void* pointer) {
  cudaPointerAttributes attributes{};
  cuda_check(cudaPointerGetAttributes(&attributes, pointer), "look up a pointer");
  return attributes.type == cudaMemoryTypeUnregistered;
}

void* CudaDevice::allocate(std::size_t bytes) const {
  make_current();
  void* pointer = nullptr;
  const cudaError_t status = cudaMallocAsync(&pointer, bytes, stream());
  if (status == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();
    fail(ErrorKind::out_of_memory,
         "cuda:{}: {} bytes asked for, {} free; use fewer factors, more ranks, or --device cpu",
         impl_->ordinal, bytes, free_bytes());
  }
  cuda_check(status, "allocate device memory");
  return pointer;
}

void CudaDevice::deallocate(void* pointer) const noexcept {
  (void)cudaSetDevice(impl_->ordinal);
  (void)cudaFreeAsync(pointer, stream());
}

void CudaDevice::copy(void* to, const void* from, std::size_t bytes) const {
  make_current();
  cuda_check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream()), "copy memory");
}

void CudaDevice::copy_rows(float* to, std::int64_t to_stride, const float* from,
                           std::int64_t from_stride, std::int64_t cols, std::int64_t rows) const {
  make_current();
  auto bytes = [](std::int64_t floats) { return static_cast<std::size_t>(floats) * sizeof(float); };
  cuda_check(cudaMemcpy2DAsync(to, bytes(to_stride), from, bytes(from_stride), bytes(cols),
                               static_cast<std::size_t>(rows), cudaMemcpyDeviceToDevice, stream()),
             "copy rows");
}

void CudaDevice::zero(void* to, std::size_t bytes) const {
  make_current();
  cuda_check(cudaMemsetAsync(to, 0, bytes, stream()), "clear memory");
}

void CudaDevice::copy_ahead(void* to, const void* pinned, std::size_t bytes) const {
  make_current();
  cuda_check(cudaMemcpyAsync(to, pinned, bytes, cudaMemcpyHostToDevice, impl_->copies.get()),
             "copy memory ahead");
}
void CudaDevice::copies_wait_for_stream() const {
  make_current();
  wait_for(impl_->copies.get(), stream(), impl_->worked.get());
}
void CudaDevice::stream_waits_for_copies() const {
  make_current();
  wait_for(stream(), impl_->copies.get(), impl_->copied.get());
}

void* CudaDevice::allocate_pinned(std::size_t bytes) {
  void* pointer = nullptr;
  const cudaError_t status = cudaMallocHost(&pointer, bytes);
  if (status == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();
    fail(ErrorKind::out_of_memory,
         "{} bytes of pinned host memory asked for, and there are no more", bytes);
  }
  cuda_check(status, "allocate pinned host memory");
  return pointer;
}
void CudaDevice::deallocate_pinned(void* pointer) noexcept { (void)cudaFreeHost(pointer); }

}  // namespace gradmill
