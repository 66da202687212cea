#include "models/mlp/forward.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "runtime/expect.h"

namespace gradmill {

MatrixView<const float> mlp_input(const Context& ctx, const MlpBatch& batch, MlpNetwork& network,
                                  VectorView<float> parameters, const MlpTables& tables,
                                  MatrixView<float> input, MatrixView<float> margins) {
  if (tables.embedding.rows == 0) return batch.dense;
  const std::int64_t dense = batch.dense.cols, first = network.architecture().first_embedding();
  if (dense > 0)
    ctx.copy_rows(input.data, input.stride, batch.dense.data, batch.dense.stride, dense,
                  batch.rows);
  embedding_gather(ctx, {batch.bags,
                         tables.embedding,
                         {input.data + first, batch.rows, batch.bags.fields * tables.embedding.cols,
                          input.stride, input.device}});
  if (tables.wide.rows > 0) embedding_gather(ctx, {batch.wide_bags, tables.wide, margins});
  network.interact(input, parameters);
  return input;
}

void mlp_predict(const Context& ctx, MlpBatchRing& batches, MlpNetwork& network,
                 VectorView<float> parameters, const MlpTables& tables,
                 const MlpPredictSpace& space, const MlpRows& rows, MatrixView<float> to) {
  const std::int64_t inputs = network.architecture().inputs,
                     outputs = network.architecture().outputs;
  require(to.rows == rows.rows && to.cols == outputs, "predict: {} samples into [{}, {}]",
          rows.rows, to.rows, to.cols);
  std::vector<float> host(static_cast<std::size_t>(kPredictRows * outputs));
  std::vector<std::int64_t> chosen;
  std::vector<std::int32_t> positions;
  for (std::int64_t first = 0; first < rows.rows; first += kPredictRows) {
    const std::int64_t count = std::min(kPredictRows, rows.rows - first);
    chosen.resize(static_cast<std::size_t>(count));
    std::iota(chosen.begin(), chosen.end(), first);
    positions.assign(static_cast<std::size_t>(count), 0);
    const MlpBatch batch = batches.make(rows, chosen, positions, false, {});
    const MatrixView<float> margins{space.margins.data, count, outputs, outputs, ctx.device()};
    const MatrixView<const float> input =
        mlp_input(ctx, batch, network, parameters, tables,
                  {space.input.data, count, inputs, inputs, ctx.device()}, margins);
    network.forward(input, parameters, {}, tables.wide.rows > 0, margins);
    batches.release(batch);
    copy_bytes(ctx, host.data(), Device{}, margins.data, ctx.device(),
               static_cast<std::size_t>(count * outputs) * sizeof(float));
    ctx.synchronize();
    for (std::int64_t r = 0; r < count; ++r)
      std::copy_n(host.data() + r * outputs, outputs, to.row(first + r));
  }
}

}  // namespace gradmill
