#include "models/linear/full_batch.h"

#include <algorithm>
#include <cmath>

#include "runtime/expect.h"

namespace gradmill {

FullBatchSolver::FullBatchSolver(const Context& ctx, const Context& host, Communicator& comm,
                                 const LinearConfig& config, const LinearShape& shape,
                                 const Loss& loss, Samples mine, std::vector<std::int32_t> order,
                                 bool curvatures, std::int32_t rows)
    : ctx_(ctx),
      config_(config),
      objective_(ctx, host, comm, config, shape, loss, std::move(mine), curvatures),
      user_(ctx, shape, order),
      rows_(rows),
      table_(ctx, rows * objective_.stride()),
      results_(ctx, kMaxVectorPairs) {
  table_.zero();
}

std::vector<double> FullBatchSolver::dots(const std::vector<VectorPair>& pairs) {
  std::vector<double> results(pairs.size());
  for (std::size_t from = 0; from < pairs.size(); from += kMaxVectorPairs) {
    VectorDotsArgs args;
    args.vectors = table();
    args.num_pairs = static_cast<int>(std::min<std::size_t>(kMaxVectorPairs, pairs.size() - from));
    std::copy_n(pairs.begin() + static_cast<std::ptrdiff_t>(from), args.num_pairs, args.pairs);
    args.results = results_.view();
    vector_dots(ctx_, args);
    copy_bytes(ctx_, results.data() + from, Device{}, results_.view().data, ctx_.device(),
               static_cast<std::size_t>(args.num_pairs) * sizeof(double));
    ctx_.synchronize();
  }
  return results;
}

void FullBatchSolver::combine(std::int32_t into, const std::vector<VectorTerm>& terms,
                              bool rounded) {
  VectorCombineArgs args;
  args.vectors = table();
  args.into = into;
  args.num_terms = static_cast<int>(terms.size());
  std::copy(terms.begin(), terms.end(), args.terms);
  if (rounded) args.rounded = objective_.rounded();
  vector_combine(ctx_, args);
}

/// The gradient at 0 is the measure of a small gradient wherever the run begins.
void FullBatchSolver::start() {
  combine(kFirstFree, {{kPoint, 1.0}});
  combine(kPoint, {}, true);
  progress_.value = evaluate(kPoint, kGradient);
  progress_.first_norm = std::sqrt(dots({{static_cast<std::int16_t>(stop_gradient()),
                                          static_cast<std::int16_t>(stop_gradient())}})[0]);
  combine(kPoint, {{kFirstFree, 1.0}}, true);
  const double size = dots({{kPoint, kPoint}})[0];
  if (size != 0) progress_.value = evaluate(kPoint, kGradient);
  expect(std::isfinite(progress_.value), ErrorKind::not_finite,
         "the objective is {} where the optimizer starts; are there features of huge values? "
         "standardize them",
         progress_.value);
  progress_.started = 1;
}

bool FullBatchSolver::small_enough() {
  const auto g = static_cast<std::int16_t>(stop_gradient());
  progress_.gradient_norm = std::sqrt(dots({{g, g}})[0]);
  const double bound = config_.tolerance * progress_.first_norm;
  if (progress_.gradient_norm > bound) return false;
  why_ = fmt::format("gradient norm {:.3g}, {:.3g} reached", progress_.gradient_norm, bound);
  return true;
}

bool FullBatchSolver::run_epoch(std::int64_t) {
  if (stopped_) return false;
  if (progress_.started == 0) {
    start();
    stopped_ = small_enough();
  }
  if (!stopped_) {
    if (iterate()) {
      stopped_ = small_enough();
    } else {
      small_enough();
      why_ = fmt::format(
          "no step lowers the objective beyond rounding: gradient norm {:.3g}, {:.3g} wanted",
          progress_.gradient_norm, config_.tolerance * progress_.first_norm);
      stopped_ = true;
    }
  }
  combine(kPoint, {{kPoint, 1.0}}, true);
  user_.from_classes(objective_.rounded());
  return !stopped_;
}

std::vector<std::pair<std::string, double>> FullBatchSolver::progress() const {
  return {{"gradient_norm", progress_.gradient_norm},
          {"passes", static_cast<double>(objective_.passes())}};
}

std::vector<StateTensor> FullBatchSolver::state() {
  std::vector<StateTensor> tensors = user_.state();
  tensors.push_back(StateTensor::whole("optimizer.vectors", table()));
  tensors.push_back(StateTensor::whole(
      "optimizer.memory", MatrixView<double>{memory_.data(), 1, kMemory, kMemory, {}}));
  tensors.push_back(
      StateTensor::whole("optimizer.progress", MatrixView<double>{&progress_.value, 1, 4, 4, {}}));
  return tensors;
}

void FullBatchSolver::restored() {
  stopped_ = progress_.started != 0 && small_enough();
  combine(kPoint, {{kPoint, 1.0}}, true);
}

void FullBatchSolver::warm_started() {
  user_.to_classes(objective_.rounded());
  // From single to double precision through the host: once a run.
  std::vector<float> point(static_cast<std::size_t>(objective_.size()));
  copy_bytes(ctx_, point.data(), Device{}, objective_.rounded().data, ctx_.device(),
             point.size() * sizeof(float));
  ctx_.synchronize();
  const std::vector<double> exact(point.begin(), point.end());
  copy_bytes(ctx_, table().row(kPoint), ctx_.device(), exact.data(), Device{},
             exact.size() * sizeof(double));
  ctx_.synchronize();
  memory_.fill(0);
  progress_ = {};
  stopped_ = false;
  forget();
}

}  // namespace gradmill
