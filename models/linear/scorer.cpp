#include "models/linear/scorer.h"

#include <utility>

#include "kernels/linear_margins/linear_margins.h"

namespace gradmill {

Scorer::Scorer(const Context& ctx, const Context& host, Samples samples)
    : ctx_(ctx),
      labels_(std::exchange(samples.labels, {})),
      weights_(std::exchange(samples.weights, {})),
      store_(ctx, host, std::move(samples), {.columns = false, .device_bytes = 0}) {}

std::vector<float> Scorer::margins(const LinearParameters& parameters) {
  const std::int64_t outputs = parameters.coefficients.rows;
  std::vector<float> all(static_cast<std::size_t>(store_.rows() * outputs));
  for (int p = 0; p < store_.pieces(); ++p) {
    const SampleStore::Piece piece = store_.piece(p);
    const std::int64_t rows = piece.matrix.samples();
    if (rows == 0) continue;
    Buffer<float> margins(ctx_, rows * outputs);
    linear_margins(ctx_, {piece.matrix, parameters.coefficients, parameters.intercepts,
                          margins.matrix(rows, outputs, outputs)});
    copy_bytes(ctx_, all.data() + piece.first_row * outputs, Device{}, margins.view().data,
               ctx_.device(), static_cast<std::size_t>(rows * outputs) * sizeof(float));
    ctx_.synchronize();
  }
  return all;
}

}  // namespace gradmill
