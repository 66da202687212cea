#include "models/linear/objective.h"

#include <array>
#include <cmath>

#include "kernels/linear_diagonal/linear_diagonal.h"
#include "kernels/linear_gradient/linear_gradient.h"
#include "kernels/linear_hessian/linear_hessian.h"
#include "kernels/vector_ops/vector_ops.h"
#include "models/linear/class_weights.h"
#include "runtime/expect.h"
#include "runtime/trace.h"

namespace gradmill {

LinearObjective::LinearObjective(const Context& ctx, const Context& host, Communicator& comm,
                                 const LinearConfig& config, const LinearShape& shape,
                                 const Loss& loss, Samples mine, bool curvatures)
    : ctx_(ctx),
      comm_(comm),
      config_(config),
      shape_(shape),
      loss_(loss),
      total_weight_(global_weight(host, comm, mine)),
      store_(ctx, host, std::move(mine), {.columns = true, .device_bytes = config.device_bytes}),
      rounded_(ctx, size()) {
  rounded_.zero();
  const std::int64_t slots = std::max<std::int64_t>(store_.rows(), 1) * shape.outputs;
  slopes_ = Buffer<float>(ctx, slots);
  if (curvatures) curvatures_ = Buffer<float>(ctx, slots);
  if (store_.pieces() > 1) partial_ = Buffer<double>(ctx, stride());
  zero_ = Buffer<double>(ctx, 1);
}

LinearObjective::Row LinearObjective::row(MatrixView<double> table, std::int32_t r) const {
  double* const data = table.row(r);
  const std::int64_t n = shape_.num_features;
  return {{data, shape_.outputs, n, n, table.device},
          {data + regularized(), shape_.outputs, table.device},
          {data, size() + 1, table.device},
          {data + size(), kExtra, table.device}};
}

void LinearObjective::add_pieces(MatrixView<double> table, std::int32_t into,
                                 const std::function<void(int, Row)>& compute) {
  ++passes_;
  const Row sums = row(table, into);
  compute(0, sums);
  for (int piece = 1; piece < store_.pieces(); ++piece) {
    // The sums and a piece's own as rows of one table, whatever lies between them.
    const MatrixView<double> own = partial_.matrix(1, size(), stride());
    compute(piece, row(own, 0));
    const MatrixView<double> pair{sums.all.data, 2, size() + 1,
                                  partial_.view().data - sums.all.data, table.device};
    VectorCombineArgs add{
        .vectors = pair, .into = 0, .terms = {{0, 1.0}, {1, 1.0}}, .num_terms = 2, .rounded = {}};
    vector_combine(ctx_, add);
  }
  if (!config_.intercept)
    ctx_.zero(sums.intercepts.data,
              static_cast<std::size_t>(sums.intercepts.size) * sizeof(double));
  comm_.all_reduce_sum(ctx_, sums.all);
}

void LinearObjective::finish(MatrixView<double> table, std::int32_t x, std::int32_t gradient,
                             double l1) {
  const Row g = row(table, gradient);
  regularize(ctx_, {{table.row(x), size(), table.device},
                    regularized(),
                    1 / total_weight_,
                    l1,
                    config_.l2,
                    {g.all.data, size(), table.device},
                    g.extra.slice(1, 1)});
}

double LinearObjective::evaluate(MatrixView<double> table, std::int32_t x, std::int32_t gradient) {
  const TraceSpan span(ctx_.tracer(), "linear gradient");
  const std::int64_t n = shape_.num_features, outputs = shape_.outputs;
  add_pieces(table, gradient, [&](int index, Row sums) {
    const SampleStore::Piece piece = store_.piece(index);
    const std::int64_t rows = piece.matrix.samples(), at = piece.first_row * outputs;
    LinearGradientArgs args;
    args.matrix = piece.matrix;
    args.labels = piece.labels;
    args.weights = piece.weights;
    args.loss_kind = loss_;
    args.coefficients = rounded_.matrix(outputs, n, n);
    args.intercepts = rounded_.view().slice(regularized(), outputs);
    args.loss = sums.extra.slice(0, 1);
    args.gradient = sums.coefficients;
    args.intercept_gradient = sums.intercepts;
    args.slopes = {slopes_.view().data + at, rows, outputs, outputs, ctx_.device()};
    if (!curvatures_.empty())
      args.curvatures = {curvatures_.view().data + at, rows, outputs, outputs, ctx_.device()};
    linear_gradient(ctx_, args);
  });
  finish(table, x, gradient, config_.l1);
  std::array<double, 2> values{};
  copy_bytes(ctx_, values.data(), Device{}, row(table, gradient).extra.data, table.device,
             sizeof values);
  ctx_.synchronize();
  return values[0] / total_weight_ + values[1];
}

void LinearObjective::hessian_product(MatrixView<double> table, std::int32_t direction,
                                      std::int32_t product) {
  const TraceSpan span(ctx_.tracer(), "linear hessian");
  const std::int64_t n = shape_.num_features, outputs = shape_.outputs;
  add_pieces(table, product, [&](int index, Row sums) {
    const SampleStore::Piece piece = store_.piece(index);
    const std::int64_t rows = piece.matrix.samples(), at = piece.first_row * outputs;
    LinearHessianArgs args;
    args.matrix = piece.matrix;
    args.weights = piece.weights;
    args.loss_kind = loss_;
    args.curvatures = {curvatures_.view().data + at, rows, outputs, outputs, ctx_.device()};
    args.direction = rounded_.matrix(outputs, n, n);
    args.intercept_direction = rounded_.view().slice(regularized(), outputs);
    args.product = sums.coefficients;
    args.intercept_product = sums.intercepts;
    args.scratch = {slopes_.view().data + at, rows, outputs, outputs, ctx_.device()};
    linear_hessian(ctx_, args);
    ctx_.zero(sums.extra.data, sizeof(double));
  });
  finish(table, direction, product, 0);
}

void LinearObjective::hessian_diagonal(MatrixView<double> table, std::int32_t into) {
  const std::int64_t outputs = shape_.outputs;
  add_pieces(table, into, [&](int index, Row sums) {
    const SampleStore::Piece piece = store_.piece(index);
    const std::int64_t rows = piece.matrix.samples(), at = piece.first_row * outputs;
    LinearDiagonalArgs args;
    args.matrix = piece.matrix;
    args.weights = piece.weights;
    args.loss_kind = loss_;
    args.curvatures = {curvatures_.view().data + at, rows, outputs, outputs, ctx_.device()};
    args.diagonal = sums.coefficients;
    args.intercept_diagonal = sums.intercepts;
    linear_diagonal(ctx_, args);
    ctx_.zero(sums.extra.data, sizeof(double));
  });
  finish(table, into, into, 0);
}

}  // namespace gradmill
