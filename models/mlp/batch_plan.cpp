#include "models/mlp/batch_plan.h"

#include <algorithm>

#include "runtime/expect.h"
#include "runtime/random.h"

namespace gradmill {

BatchPlan::BatchPlan(const Context& host, Communicator& comm, const MlpRows& rows,
                     std::int64_t global_batch, std::uint64_t seed)
    : host_(host), comm_(comm), rows_(rows), global_batch_(global_batch), seed_(seed) {
  const int ranks = comm.world_size();
  std::vector<std::int64_t> counts(static_cast<std::size_t>(ranks));
  const std::vector<std::int64_t> one_each(counts.size(), 1);
  const std::int64_t own = rows.rows;
  comm.all_gather(host, VectorView<const std::int64_t>{&own, 1, {}}, one_each,
                  VectorView<std::int64_t>{counts.data(), ranks, {}});
  for (int r = 0; r < ranks; ++r) {
    if (r < comm.rank()) first_row_ += counts[static_cast<std::size_t>(r)];
    global_rows_ += counts[static_cast<std::size_t>(r)];
  }
  expect(global_rows_ > 0, ErrorKind::data, "there are no samples to train on");
  std::int64_t weighted = rows.weights.empty() ? 0 : 1;
  comm.all_reduce_sum(host, VectorView<std::int64_t>{&weighted, 1, {}});
  weighted_ = weighted > 0;
}

std::int64_t BatchPlan::rows_of_step(std::int64_t step) const {
  return std::min(global_batch_, global_rows_ - step * global_batch_);
}

void BatchPlan::choose(std::int64_t epoch, std::int64_t step, Share& share) const {
  const Permutation order(static_cast<std::uint64_t>(global_rows_), seed_,
                          static_cast<std::uint64_t>(epoch));
  share.rows.clear();
  share.positions.clear();
  for (std::int64_t i = 0; i < rows_of_step(step); ++i) {
    const auto place = static_cast<std::uint64_t>(step * global_batch_ + i);
    const std::int64_t row = static_cast<std::int64_t>(order(place)) - first_row_;
    if (row < 0 || row >= rows_.rows) continue;
    share.rows.push_back(row);
    share.positions.push_back(static_cast<std::int32_t>(i));
  }
}

std::vector<double> BatchPlan::step_weights(std::int64_t epoch) const {
  std::vector<double> weights;
  Share share;
  for (std::int64_t s = 0; s < steps_per_epoch(); ++s) {
    if (!weighted_) {
      weights.push_back(static_cast<double>(rows_of_step(s)));
      continue;
    }
    choose(epoch, s, share);
    double sum = 0;
    for (const std::int64_t row : share.rows)
      sum += rows_.weights.empty() ? 1.0 : double{rows_.weights[static_cast<std::size_t>(row)]};
    weights.push_back(sum);
  }
  if (weighted_)
    comm_.all_reduce_sum(host_, VectorView<double>{weights.data(), steps_per_epoch(), {}});
  return weights;
}

}  // namespace gradmill
