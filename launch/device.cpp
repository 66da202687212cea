#include "launch/device.h"

#include "runtime/expect.h"

namespace gradmill {

std::unique_ptr<Context> make_context(const std::string& device, const World& world, int threads) {
  auto cpu = [&] { return std::unique_ptr<Context>(new Context(Context::cpu(threads))); };
  auto cuda = [&](int ordinal) {
    return std::unique_ptr<Context>(new Context(Context::cuda(ordinal, threads)));
  };
  if (device == "cpu") return cpu();
  if (device == "check")
    return std::unique_ptr<Context>(new Context(Context::check(world.local_rank(), threads)));
  if (device.starts_with("cuda:")) {
    expect(world.local_size() == 1, ErrorKind::usage,
           "train.device \"{}\" names one device, but this host has {} ranks; use \"cuda\": each "
           "rank takes its own",
           device, world.local_size());
    return cuda(std::stoi(device.substr(5)));
  }
  const int devices = Context::cuda_device_count();
  if (device == "auto" && devices < world.local_size()) return cpu();
  expect(devices == 0 || world.local_rank() < devices, ErrorKind::usage,
         "{} ranks on this host but {} CUDA device(s); start one rank a device", world.local_size(),
         devices);
  return cuda(world.local_rank());
}

}  // namespace gradmill
