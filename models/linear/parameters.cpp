#include "models/linear/parameters.h"

#include <algorithm>
#include <numeric>

#include "kernels/vector_ops/vector_ops.h"
#include "runtime/thread_pool.h"

namespace gradmill {

UserParameters::UserParameters(const Context& ctx, const LinearShape& shape,
                               const std::vector<std::int32_t>& order)
    : ctx_(ctx),
      shape_(shape),
      coefficients_(ctx, shape.outputs * shape.num_features),
      intercepts_(ctx, shape.outputs),
      order_(Buffer<std::int32_t>::from_host(ctx, {order.data(), order.size()})) {
  ctx.synchronize();
  coefficients_.zero();
  intercepts_.zero();
}

LinearParameters UserParameters::view() {
  const std::int64_t n = shape_.num_features;
  return {coefficients_.matrix(shape_.outputs, n, n), intercepts_.view()};
}

std::vector<StateTensor> UserParameters::state() {
  return {StateTensor::whole("coefficients", view().coefficients),
          StateTensor::whole("intercepts", intercepts_.matrix(1, shape_.outputs, shape_.outputs))};
}

void UserParameters::reorder(const MatrixView<float>& inner, std::int64_t first_class,
                             bool backward) {
  reorder_columns(ctx_, {inner, view().coefficients.rows_slice(first_class, inner.cols),
                         order_.view(), backward});
}

void UserParameters::from(const MatrixView<float>& feature_major,
                          VectorView<const float> intercepts) {
  reorder(feature_major, 0, false);
  copy<float>(ctx_, intercepts_.view(), intercepts);
}

void UserParameters::to(const MatrixView<float>& feature_major, VectorView<float> intercepts) {
  reorder(feature_major, 0, true);
  copy<float>(ctx_, intercepts, intercepts_.view());
}

void UserParameters::from_classes(VectorView<const float> point) {
  const std::int64_t n = shape_.num_features;
  for (std::int64_t c = 0; c < shape_.outputs; ++c)
    reorder({const_cast<float*>(point.data) + c * n, n, 1, 1, point.device}, c, false);
  copy<float>(ctx_, intercepts_.view(), point.slice(shape_.outputs * n, shape_.outputs));
}

void UserParameters::to_classes(VectorView<float> point) {
  const std::int64_t n = shape_.num_features;
  for (std::int64_t c = 0; c < shape_.outputs; ++c)
    reorder({point.data + c * n, n, 1, 1, point.device}, c, true);
  copy<float>(ctx_, point.slice(shape_.outputs * n, shape_.outputs), intercepts_.view());
}

std::vector<std::int32_t> columns_by_frequency(const Context& host, Communicator& comm,
                                               const Samples& mine) {
  const auto n = static_cast<std::size_t>(mine.num_features);
  std::vector<std::int64_t> counts(n, 0);
  for (const std::int32_t j : mine.indices) ++counts[static_cast<std::size_t>(j)];
  comm.all_reduce_sum(host, VectorView<std::int64_t>{counts.data(), mine.num_features, {}});
  std::vector<std::int32_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return counts[static_cast<std::size_t>(a)] > counts[static_cast<std::size_t>(b)];
  });
  return order;
}

std::vector<std::int32_t> order_columns_by_frequency(const Context& host, Communicator& comm,
                                                     Samples& mine) {
  std::vector<std::int32_t> order = columns_by_frequency(host, comm, mine), place(order.size());
  for (std::size_t j = 0; j < order.size(); ++j)
    place[static_cast<std::size_t>(order[j])] = static_cast<std::int32_t>(j);
  host.threads().parallel_for(static_cast<std::int64_t>(mine.indices.size()), 1 << 16,
                              [&](std::int64_t first, std::int64_t last, int) {
                                for (std::int64_t e = first; e < last; ++e) {
                                  std::int32_t& j = mine.indices[static_cast<std::size_t>(e)];
                                  j = place[static_cast<std::size_t>(j)];
                                }
                              });
  return order;
}

}  // namespace gradmill
