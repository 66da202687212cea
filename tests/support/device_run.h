// Runs a kernel on a device with copies of host arguments and compares what it wrote.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "runtime/buffer.h"
#include "runtime/check.h"

namespace gradmill::testing {

/// Uploads args (host views), runs the kernel on the device, then lets `reference(args)` overwrite
/// the host outputs with what they should be, and compares. `inspect(device_args)` may look at the
/// device's copies.
template <class Args, class Run, class Reference, class Inspect>
void expect_device_matches(const Context& gpu, const std::string& what, const Args& args,
                           Tolerance tolerance, Run&& run, Reference&& reference,
                           Inspect&& inspect) {
  Args device_args = args;
  ArgumentTwin twin(gpu);
  device_args.visit(twin);
  run(gpu, device_args);
  reference(args);
  EXPECT_NO_THROW(twin.compare(what, tolerance)) << what;
  inspect(device_args);
}

template <class Args, class Run, class Reference>
void expect_device_matches(const Context& gpu, const std::string& what, const Args& args,
                           Tolerance tolerance, Run&& run, Reference&& reference) {
  expect_device_matches(gpu, what, args, tolerance, run, reference, [](const Args&) {});
}

/// A host copy of a device matrix, padding included.
template <class T>
std::vector<std::remove_const_t<T>> to_host(const Context& gpu, MatrixView<T> m) {
  std::vector<std::remove_const_t<T>> host(static_cast<std::size_t>(m.rows * m.stride));
  copy_bytes(gpu, host.data(), Device{}, m.data, m.device, host.size() * sizeof(T));
  gpu.synchronize();
  return host;
}

}  // namespace gradmill::testing
