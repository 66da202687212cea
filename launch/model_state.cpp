#include "launch/model_state.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "runtime/expect.h"

namespace gradmill {
namespace {
std::size_t bytes_of(const StateTensor& t) {
  return static_cast<std::size_t>(t.rows * t.stride * element_size(t.type));
}
}  // namespace

HostState::HostState(const Context& ctx, const std::vector<StateTensor>& state) {
  for (StateTensor tensor : state) {
    if (tensor.device.kind != DeviceKind::cpu) {
      auto& copy = copies_.emplace_back(bytes_of(tensor));
      copy_bytes(ctx, copy.data(), Device{}, tensor.data, tensor.device, copy.size());
      tensor.data = copy.data();
      tensor.device = Device{};
    }
    tensors_.push_back(std::move(tensor));
  }
  ctx.synchronize();
}

void HostState::add_to(CheckpointWriter& writer) const {
  for (const StateTensor& tensor : tensors_) writer.add(tensor);
}

void read_state(const Context& ctx, const std::vector<StateTensor>& state,
                const Checkpoint& checkpoint) {
  for (const StateTensor& tensor : state) {
    std::vector<std::byte> bytes(bytes_of(tensor));
    StateTensor host = tensor;
    host.data = bytes.data();
    host.device = Device{};
    checkpoint.read(host);
    copy_bytes(ctx, tensor.data, tensor.device, bytes.data(), Device{}, bytes.size());
    ctx.synchronize();
  }
}

std::string model_folder(const std::string& given) {
  using std::filesystem::path;
  for (const path& candidate : {path(given), path(given) / "model"})
    if (std::filesystem::exists(candidate / "manifest.json")) return candidate.string();
  fail(ErrorKind::input_missing,
       "{}: no model there (a run's folder, its model/, or a checkpoint with manifest.json)",
       given);
}

std::string stored_kind(const std::string& given) {
  const std::string path = model_folder(given) + "/manifest.json";
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  expect(file.good(), ErrorKind::io, "{}: cannot read", path);
  try {
    return parse_manifest(text.str(), path).info.kind;
  } catch (const Error& error) {
    fail(ErrorKind::checkpoint, "{}", error.what());
  }
}

}  // namespace gradmill
