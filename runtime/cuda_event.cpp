#include <cuda_runtime_api.h>

#include "runtime/cuda_check.h"
#include "runtime/cuda_device.h"
#include "runtime/event.h"

namespace gradmill {

CUevent_st* CudaEvent::make(const CudaDevice& device) {
  device.make_current();
  cudaEvent_t event = nullptr;
  cuda_check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "create an event");
  return event;
}
void CudaEvent::destroy(CUevent_st* event) { (void)cudaEventDestroy(event); }

void CudaEvent::record(const CudaDevice& device, CUevent_st* event, CUstream_st* stream) {
  device.make_current();
  cuda_check(cudaEventRecord(event, stream), "record an event");
}

void CudaEvent::wait(const CudaDevice& device, CUevent_st* event, CUstream_st* stream) {
  device.make_current();
  cuda_check(cudaStreamWaitEvent(stream, event, 0), "make a stream wait");
}

bool CudaEvent::is_done(const CudaDevice& device, CUevent_st* event) {
  device.make_current();
  const cudaError_t status = cudaEventQuery(event);
  if (status == cudaErrorNotReady) return false;
  cuda_check(status, "finish the work before an event");
  return true;
}

}  // namespace gradmill
