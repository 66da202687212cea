// A linear model on disk (a run's model/ or a checkpoint) and in memory for prediction.
#pragma once

#include <string>
#include <vector>

#include "launch/checkpoint.h"
#include "launch/config.h"
#include "launch/sample_inputs.h"
#include "models/linear/solver.h"
#include "models/metrics/link.h"
#include "runtime/buffer.h"

namespace gradmill {

/// What the run's model/ holds of the parameters: coefficients [C, n], intercepts [C].
std::vector<StateTensor> parameter_tensors(const LinearParameters& parameters);

class LinearModel {
 public:
  /// path: a run's folder, its model/, or a checkpoint.
  /// Errors: ErrorKind::input_missing; checkpoint, also for a model of another kind.
  static LinearModel load(const Context& ctx, const std::string& path);

  LinearParameters parameters();
  const std::vector<float>& coefficients() const { return host_coefficients_; }  // [C, n]
  const std::vector<float>& intercepts() const { return host_intercepts_; }      // [C]
  std::int64_t outputs() const { return static_cast<std::int64_t>(host_intercepts_.size()); }
  const SampleInputs& inputs() const { return inputs_; }
  const Config& config() const { return config_; }
  const CheckpointInfo& info() const { return info_; }
  Link link() const { return link_; }
  int num_classes() const { return static_cast<int>(inputs_.classes.size()); }
  /// Whom the o-th row of the coefficients speaks for: a class; of two classes and one row the second.
  std::string output_name(std::int64_t output) const;

 private:
  SampleInputs inputs_;
  Config config_;
  CheckpointInfo info_;
  Link link_ = Link::identity;
  std::vector<float> host_coefficients_, host_intercepts_;
  Buffer<float> coefficients_, intercepts_;
};

}  // namespace gradmill
