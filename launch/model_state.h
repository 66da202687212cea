// A model's state between its device and the files of a checkpoint.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "launch/checkpoint.h"
#include "models/state_tensor.h"
#include "runtime/context.h"

namespace gradmill {

/// The state in host memory: where it is already, or copied there. Alive until the checkpoint is written.
class HostState {
 public:
  HostState(const Context& ctx, const std::vector<StateTensor>& state);
  void add_to(CheckpointWriter& writer) const;

 private:
  std::vector<StateTensor> tensors_;
  std::vector<std::vector<std::byte>> copies_;
};

/// Overwrites the state with a checkpoint's. Errors: ErrorKind::checkpoint if shapes differ.
void read_state(const Context& ctx, const std::vector<StateTensor>& state,
                const Checkpoint& checkpoint);

/// The folder with the manifest that `path` stands for: a checkpoint, a model, or a run (its model/).
/// Errors: ErrorKind::input_missing.
std::string model_folder(const std::string& path);
/// "mf-als", "linear-lbfgs", …: the kind of the model that a path stands for, from its manifest.
std::string stored_kind(const std::string& path);

}  // namespace gradmill
