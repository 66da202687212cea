#include "models/parameters.h"

#include <algorithm>

namespace gradmill {
namespace {
constexpr std::int64_t kAlign = 16;  // floats of a cache line
}

Parameters::Parameters(const Context& ctx, std::vector<ParameterSpec> specs, std::int64_t tail)
    : specs_(std::move(specs)), offsets_(specs_.size()) {
  for (const bool penalized : {true, false}) {
    for (std::size_t t = 0; t < specs_.size(); ++t) {
      if (specs_[t].penalized != penalized) continue;
      offsets_[t] = size_;
      size_ += (specs_[t].rows * specs_[t].cols + kAlign - 1) / kAlign * kAlign;
    }
    if (penalized) penalized_ = size_;
  }
  values_ = Buffer<float>(ctx, size_);
  gradients_ = Buffer<float>(ctx, size_ + tail);
  values_.zero();
  gradients_.zero();
}

MatrixView<float> Parameters::within(VectorView<float> flat, std::size_t tensor) const {
  const ParameterSpec& spec = specs_[tensor];
  return {flat.data + offsets_[tensor], spec.rows, spec.cols, spec.cols, flat.device};
}
MatrixView<float> Parameters::values(std::size_t tensor) { return within(values(), tensor); }
MatrixView<float> Parameters::gradients(std::size_t tensor) { return within(gradients(), tensor); }

std::vector<StateTensor> Parameters::state() {
  std::vector<StateTensor> tensors;
  for (std::size_t t = 0; t < specs_.size(); ++t)
    tensors.push_back(StateTensor::whole(specs_[t].name, values(t)));
  return tensors;
}

}  // namespace gradmill
