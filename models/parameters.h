// Dense parameters of a model: one flat buffer of values and one of gradients, owned outside of the layers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/state_tensor.h"
#include "runtime/buffer.h"

namespace gradmill {

/// A tensor [rows, cols] within the flat buffers; penalized: weight decay applies (weights, not biases).
struct ParameterSpec {
  std::string name;
  std::int64_t rows = 0, cols = 1;
  bool penalized = true;
};

/// Values and gradients have the same layout: penalized tensors first, then the others, each 64-byte
/// aligned with rows packed. Gradients are therefore one contiguous all-reduce, with `tail` numbers behind them
/// that are summed along.
class Parameters {
 public:
  Parameters(const Context& ctx, std::vector<ParameterSpec> specs, std::int64_t tail = 0);

  std::int64_t size() const { return size_; }  // padding included
  std::int64_t penalized() const {
    return penalized_;
  }  // elements of penalized tensors, padding included
  std::int64_t offset(std::size_t tensor) const { return offsets_[tensor]; }
  /// A tensor within `flat`, which has the layout of values() (averages, an optimizer's slots).
  MatrixView<float> within(VectorView<float> flat, std::size_t tensor) const;
  MatrixView<float> values(std::size_t tensor);
  MatrixView<float> gradients(std::size_t tensor);
  VectorView<float> values() { return values_.view(); }
  VectorView<float> gradients() { return gradients_.view().slice(0, size_); }
  VectorView<float> tail() { return gradients_.view().slice(size_, gradients_.size() - size_); }
  VectorView<float> gradients_and_tail() { return gradients_.view(); }
  const std::vector<ParameterSpec>& specs() const { return specs_; }
  std::vector<StateTensor> state();

 private:
  std::vector<ParameterSpec> specs_;
  std::vector<std::int64_t> offsets_;
  std::int64_t size_ = 0, penalized_ = 0;
  Buffer<float> values_, gradients_;
};

}  // namespace gradmill
