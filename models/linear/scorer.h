// Raw scores of held-out or new samples under a linear model.
#pragma once

#include <vector>

#include "models/linear/sample_store.h"
#include "models/linear/solver.h"

namespace gradmill {

/// Keeps samples on the device, to score them again and again.
class Scorer {
 public:
  /// host: a CPU context with this rank's threads. Labels and weights stay in host memory.
  Scorer(const Context& ctx, const Context& host, Samples samples);

  /// Margins [N, C] in host memory; not collective. Same order as the samples.
  std::vector<float> margins(const LinearParameters& parameters);
  std::int64_t rows() const { return static_cast<std::int64_t>(labels_.size()); }
  VectorView<const float> labels() const { return {labels_.data(), rows(), {}}; }
  VectorView<const float> weights() const {
    return {weights_.data(), static_cast<std::int64_t>(weights_.size()), {}};
  }

 private:
  const Context& ctx_;
  std::vector<float> labels_, weights_;
  SampleStore store_;
};

}  // namespace gradmill
