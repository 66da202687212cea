// What others see of the solver, and its state in checkpoints.
#include <algorithm>
#include <cmath>

#include "models/linear/proximal_newton.h"

namespace gradmill {
namespace {
std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
}  // namespace

double ProximalNewtonSolver::loss() {
  double total = 0;
  for (std::int64_t c = 0; c < shape_.outputs; ++c)
    total += progress_[at(c)].loss + penalty(point(c));
  return total;
}

std::vector<std::pair<std::string, double>> ProximalNewtonSolver::progress() const {
  double squares = 0;
  for (const Progress& p : progress_) squares += p.norm * p.norm;
  const auto nonzeros =
      std::count_if(points_.begin(), points_.end(), [](double w) { return w != 0; });
  return {{"gradient_norm", std::sqrt(squares)}, {"nonzeros", static_cast<double>(nonzeros)}};
}

std::vector<StateTensor> ProximalNewtonSolver::state() {
  std::vector<StateTensor> tensors = user_.state();
  const std::int64_t c = shape_.outputs;
  const std::int64_t samples = columns_.samples;
  tensors.push_back(StateTensor::whole(
      "optimizer.margins", MatrixView<double>{margins_.data(), c, samples, samples, {}}));
  constexpr std::int64_t kNumbers = sizeof(Progress) / sizeof(double);
  tensors.push_back(StateTensor::whole(
      "optimizer.points", MatrixView<double>{points_.data(), c, width(), width(), {}}));
  tensors.push_back(StateTensor::whole("optimizer.shrunk",
                                       MatrixView<float>{shrunk_.data(), c, width(), width(), {}}));
  tensors.push_back(
      StateTensor::whole("optimizer.progress",
                         MatrixView<double>{&progress_[0].first_norm, c, kNumbers, kNumbers, {}}));
  return tensors;
}

void ProximalNewtonSolver::restored() {
  evaluated_ = -1;
  publish();
}

void ProximalNewtonSolver::warm_started() {
  const std::int64_t n = shape_.num_features, outputs = shape_.outputs;
  std::vector<float> rounded(points_.size());
  user_.to_classes({rounded.data(), static_cast<std::int64_t>(rounded.size()), {}});
  ctx_.synchronize();
  for (std::int64_t c = 0; c < outputs; ++c) {
    std::copy_n(rounded.begin() + c * n, n, point(c));
    point(c)[n] = config_.intercept ? rounded[at(outputs * n + c)] : 0.0;
  }
  std::fill(progress_.begin(), progress_.end(), Progress{});
  std::fill(shrunk_.begin(), shrunk_.end(), 0.0f);
  evaluated_ = -1;
  stopped_ = false;
}

}  // namespace gradmill
