// Kernels of linear models at shapes of real training: rows of very different lengths, features of which
// few are frequent.
#include <fmt/format.h>

#include <cmath>
#include <memory>

#include "bench/gpu/cases.h"
#include "kernels/linear_diagonal/linear_diagonal.h"
#include "kernels/linear_gradient/linear_gradient.h"
#include "kernels/linear_hessian/linear_hessian.h"
#include "kernels/linear_margins/linear_margins.h"
#include "kernels/linear_step/linear_step.h"
#include "kernels/vector_ops/vector_ops.h"
#include "models/linear/sample_store.h"
#include "models/linear/transpose.h"
#include "runtime/random.h"

namespace gradmill::bench {
namespace {
constexpr std::int64_t kDenseFeatures = 100, kBatch = 1024;

float unit(std::uint64_t index, std::uint32_t use) {
  return to_unit(random_bits(1, RandomStream::split, index, use).x[0]);
}

/// About 40 entries a row: most rows have 16, one in a hundred 100 times as many.
Samples sparse_samples(std::int64_t rows, int classes) {
  Samples s;
  s.num_features = rows;
  for (std::int64_t r = 0; r < rows; ++r) {
    const auto at = static_cast<std::uint64_t>(r);
    const float u = unit(at, 0);
    const auto want = static_cast<std::int64_t>(8 / std::max(u, 0.005f));
    double feature = 0;
    // Ascending features whose density falls off: gaps grow with the feature.
    for (std::int64_t e = 0; e < want; ++e) {
      const double t =
          (static_cast<double>(e) + unit(at * 4096 + static_cast<std::uint64_t>(e), 1)) /
          static_cast<double>(want);
      const double next = std::floor(static_cast<double>(rows) * t * t * t);
      if (e > 0 && next <= feature) continue;
      feature = next;
      s.indices.push_back(static_cast<std::int32_t>(feature));
      s.values.push_back(unit(at * 4096 + static_cast<std::uint64_t>(e), 2) - 0.5f);
    }
    s.offsets.push_back(static_cast<std::int64_t>(s.indices.size()));
    s.labels.push_back(static_cast<float>(r % classes));
  }
  return s;
}

Samples dense_samples(std::int64_t rows) {
  Samples s;
  s.num_features = kDenseFeatures;
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int32_t f = 0; f < kDenseFeatures; ++f) {
      s.indices.push_back(f);
      s.values.push_back(unit(static_cast<std::uint64_t>(r * kDenseFeatures + f), 3) - 0.5f);
    }
    s.offsets.push_back(static_cast<std::int64_t>(s.indices.size()));
    s.labels.push_back(static_cast<float>(r % 2));
  }
  return s;
}

Buffer<float> small_values(const Context& ctx, std::int64_t count) {
  std::vector<float> host;
  for (std::int64_t i = 0; i < count; ++i)
    host.push_back(unit(static_cast<std::uint64_t>(i), 4) - 0.5f);
  return Buffer<float>::from_host(ctx, host);
}

/// Samples on the device and what a full-batch solver has beside them.
struct FullBatch {
  Context host = Context::cpu(1);
  SampleStore store;
  SampleStore::Piece piece;
  std::int64_t rows, n, outputs;
  Buffer<float> coefficients, intercepts, slopes, curvatures;
  Buffer<double> gradient, sums;
  Loss loss;

  FullBatch(const Context& ctx, Samples samples, std::int64_t outputs)
      : store(ctx, host, std::move(samples), {}),
        piece(store.piece(0)),
        rows(store.rows()),
        n(store.num_features()),
        outputs(outputs),
        coefficients(small_values(ctx, n * outputs)),
        intercepts(small_values(ctx, outputs)),
        slopes(ctx, rows * outputs),
        curvatures(small_values(ctx, rows * outputs)),
        gradient(ctx, n * outputs),
        sums(ctx, outputs + 1),
        loss{outputs > 1 ? LossKind::softmax : LossKind::logistic} {}

  double entries() const { return static_cast<double>(store.entries()); }
  double size() const { return static_cast<double>(rows * outputs); }
  double wide() const { return static_cast<double>(n * outputs); }
  /// Of the matrix by row, or by column.
  double matrix_bytes(std::int64_t lines) const {
    return store.is_dense() ? 4 * entries() : 8 * entries() + 8.0 * static_cast<double>(lines);
  }
  std::string shape() const {
    return fmt::format("{} x {}, {} entries, {} outputs", rows, n, store.entries(), outputs);
  }
  MatrixView<const float> w() { return coefficients.matrix(outputs, n, n); }
  MatrixView<float> per_row(Buffer<float>& b) { return b.matrix(rows, outputs, outputs); }
  LinearGradientArgs gradient_args() {
    return {.matrix = piece.matrix,
            .labels = piece.labels,
            .weights = piece.weights,
            .loss_kind = loss,
            .coefficients = w(),
            .intercepts = intercepts.view(),
            .loss = sums.view(),
            .gradient = gradient.matrix(outputs, n, n),
            .intercept_gradient = sums.view().slice(1, outputs),
            .slopes = per_row(slopes),
            .curvatures = {}};
  }
};

using Make = std::function<std::shared_ptr<FullBatch>(const Context&, const Sizes&)>;
Make sparse(int outputs) {
  return [outputs](const Context& ctx, const Sizes& sizes) {
    return std::make_shared<FullBatch>(ctx, sparse_samples(sizes.samples, std::max(outputs, 2)),
                                       outputs);
  };
}
std::shared_ptr<FullBatch> dense(const Context& ctx, const Sizes& sizes) {
  return std::make_shared<FullBatch>(ctx, dense_samples(sizes.samples), 1);
}

/// A gathered coefficient is a sector of 32 bytes at least; `bytes` counts each, `unique` the vector once.
Case full_batch_case(std::string name, const std::shared_ptr<FullBatch>& data, double unique,
                     double gathers, double flops, std::function<void()> run) {
  return {.kernel = std::move(name),
          .shape = data->shape(),
          .bytes =
              unique + (data->store.is_dense() ? 0 : std::max(32.0, 4.0 * data->outputs)) * gathers,
          .flops = flops,
          .unique_bytes = unique,
          .prepare = {},
          .run = std::move(run)};
}

NamedCase gradient_case(std::string name, Make make) {
  return {name,
          [name, make](const Context& ctx, const Sizes& sizes, std::int64_t) {
            const auto data = make(ctx, sizes);
            const bool two_reads = !data->store.is_dense();
            const double unique = data->matrix_bytes(data->rows) +
                                  (two_reads ? data->matrix_bytes(data->n) + 4 * data->size() : 0) +
                                  4 * data->wide() + 4.0 * data->rows + 4 * data->size() +
                                  8 * data->wide();
            return full_batch_case(name, data, unique, 2 * data->entries(),
                                   4 * data->entries() * data->outputs,
                                   [&ctx, data] { linear_gradient(ctx, data->gradient_args()); });
          },
          false};
}

NamedCase margins_case() {
  return {"linear_margins",
          [](const Context& ctx, const Sizes& sizes, std::int64_t) {
            const auto data = sparse(1)(ctx, sizes);
            const double unique =
                data->matrix_bytes(data->rows) + 4 * data->wide() + 4 * data->size();
            return full_batch_case("linear_margins", data, unique, data->entries(),
                                   2 * data->entries(), [&ctx, data] {
                                     linear_margins(ctx, {.matrix = data->piece.matrix,
                                                          .coefficients = data->w(),
                                                          .intercepts = data->intercepts.view(),
                                                          .margins = data->per_row(data->slopes)});
                                   });
          },
          false};
}

NamedCase hessian_case(std::string name, Make make) {
  return {name,
          [name, make](const Context& ctx, const Sizes& sizes, std::int64_t) {
            const auto data = make(ctx, sizes);
            const bool two_reads = !data->store.is_dense();
            const double unique = data->matrix_bytes(data->rows) +
                                  (two_reads ? data->matrix_bytes(data->n) + 4 * data->size() : 0) +
                                  4 * data->wide() + 8 * data->size() + 8 * data->wide();
            return full_batch_case(
                name, data, unique, 2 * data->entries(), 4 * data->entries(), [&ctx, data] {
                  linear_hessian(ctx, {.matrix = data->piece.matrix,
                                       .weights = {},
                                       .loss_kind = data->loss,
                                       .curvatures = data->per_row(data->curvatures),
                                       .direction = data->w(),
                                       .intercept_direction = data->intercepts.view(),
                                       .product = data->gradient.matrix(1, data->n, data->n),
                                       .intercept_product = data->sums.view().slice(0, 1),
                                       .scratch = data->per_row(data->slopes)});
                });
          },
          false};
}

NamedCase diagonal_case() {
  return {"linear_diagonal",
          [](const Context& ctx, const Sizes& sizes, std::int64_t) {
            const auto data = sparse(1)(ctx, sizes);
            const double unique = data->matrix_bytes(data->n) + 8 * data->size() + 8 * data->wide();
            return full_batch_case(
                "linear_diagonal", data, unique, data->entries(), 3 * data->entries(),
                [&ctx, data] {
                  linear_diagonal(ctx, {.matrix = data->piece.matrix,
                                        .weights = {},
                                        .loss_kind = data->loss,
                                        .curvatures = data->per_row(data->curvatures),
                                        .diagonal = data->gradient.matrix(1, data->n, data->n),
                                        .intercept_diagonal = data->sums.view().slice(0, 1)});
                });
          },
          false};
}

/// One mini-batch of Adagrad: slopes, then the update of the columns that it touches.
NamedCase step_case() {
  struct Data {
    FullBatch all;
    Buffer<std::int32_t> columns, rows, seen;
    Buffer<std::int64_t> offsets;
    Buffer<float> values, parameters, slots, rates, losses;
    SampleMatrix batch;
  };
  return {"linear_step (adagrad)",
          [](const Context& ctx, const Sizes& sizes, std::int64_t) {
            const std::int64_t rows = std::min(kBatch, sizes.samples);
            Samples samples = sparse_samples(sizes.samples, 2);
            const std::int64_t entries = samples.offsets[static_cast<std::size_t>(rows)];
            const Context cpu = Context::cpu(1);
            const SampleColumns by_column = transpose(cpu, {rows,
                                                            samples.num_features,
                                                            entries,
                                                            samples.offsets.data(),
                                                            samples.indices.data(),
                                                            samples.values.data(),
                                                            {}});
            const auto from = by_column.offsets.to_host();
            std::vector<std::int32_t> columns;
            std::vector<std::int64_t> offsets{0};
            for (std::int64_t j = 0; j < samples.num_features; ++j) {
              const std::int64_t end = from[static_cast<std::size_t>(j) + 1];
              if (end == offsets.back()) continue;
              columns.push_back(static_cast<std::int32_t>(j));
              offsets.push_back(end);
            }
            const std::int64_t n = samples.num_features;
            auto data = std::shared_ptr<Data>(
                new Data{FullBatch(ctx, std::move(samples), 1),
                         Buffer<std::int32_t>::from_host(ctx, columns),
                         Buffer<std::int32_t>::from_host(ctx, by_column.indices.to_host()),
                         Buffer<std::int32_t>(ctx, n + 1),
                         Buffer<std::int64_t>::from_host(ctx, offsets),
                         Buffer<float>::from_host(ctx, by_column.values.to_host()),
                         small_values(ctx, n + 1),
                         Buffer<float>(ctx, n + 1),
                         small_values(ctx, 8),
                         Buffer<float>(ctx, rows),
                         {}});
            data->seen.zero();
            data->slots.zero();
            data->batch.rows = data->all.piece.matrix.rows;
            data->batch.rows.rows = rows;
            data->batch.rows.nnz = entries;
            const double t = static_cast<double>(columns.size()), e = static_cast<double>(entries);
            // Rows, columns, labels, slopes and losses; parameters and their state read and written.
            const double unique =
                8 * e + 8.0 * rows + 4 * t + 16.0 * rows + 8 * e + 12 * t + 24 * t;
            return Case{
                .kernel = "linear_step (adagrad)",
                .shape = fmt::format("{} samples, {} entries, {} columns", rows, entries,
                                     columns.size()),
                .bytes = unique + 64 * e,
                .flops = 4 * e + 10 * t,
                .unique_bytes = unique,
                .prepare = {},
                .run = [&ctx, data, rows, n, count = static_cast<std::int64_t>(columns.size())] {
                  const auto slopes = data->all.slopes.matrix(rows, 1, 1);
                  linear_batch_slopes(ctx, {.matrix = data->batch,
                                            .labels = data->all.piece.labels.slice(0, rows),
                                            .weights = {},
                                            .loss_kind = {LossKind::logistic},
                                            .intercept = false,
                                            .scale = 1.0f / static_cast<float>(rows),
                                            .parameters = data->parameters.matrix(n + 1, 1, 1),
                                            .row_losses = data->losses.view(),
                                            .slopes = slopes});
                  linear_batch_update(ctx, {.matrix = data->batch,
                                            .columns = {data->columns.view(), data->offsets.view(),
                                                        data->rows.view(), data->values.view()},
                                            .intercept = false,
                                            .slopes = slopes,
                                            .gradient = {},
                                            .part_offsets = {},
                                            .parts = {},
                                            .first = 0,
                                            .last = count,
                                            .optimizer = {.kind = OptimizerKind::adagrad},
                                            .step = 0,
                                            .cumulative_rates = data->rates.view(),
                                            .parameters = data->parameters.matrix(n + 1, 1, 1),
                                            .slots = data->slots.matrix(n + 1, 1, 1),
                                            .seen = data->seen.view(),
                                            .averages = {},
                                            .accumulator = {}});
                }};
          },
          false};
}

struct Vectors {
  static constexpr std::int64_t kRows = 21;  // of L-BFGS with a history of 10
  std::int64_t size;
  Buffer<double> values, results;
  Vectors(const Context& ctx, std::int64_t size)
      : size(size), values(ctx, kRows * size), results(ctx, kMaxVectorPairs) {
    values.zero();
  }
  MatrixView<double> view() { return values.matrix(kRows, size, size); }
};

NamedCase dots_case() {
  return {
      "vector_dots",
      [](const Context& ctx, const Sizes& sizes, std::int64_t) {
        auto data = std::make_shared<Vectors>(ctx, 4 * sizes.samples);
        VectorDotsArgs args{.vectors = data->view(), .pairs = {}, .results = data->results.view()};
        for (std::int16_t r = 0; r < Vectors::kRows; ++r)
          for (std::int16_t last = 19; last < Vectors::kRows; ++last)
            args.pairs[args.num_pairs++] = {r, last};
        const double size = static_cast<double>(data->size);
        return Case{
            .kernel = "vector_dots",
            .shape = fmt::format("{} pairs of {} x {}", args.num_pairs, Vectors::kRows, data->size),
            .bytes = 8 * size * Vectors::kRows,
            .flops = 2 * size * args.num_pairs,
            .prepare = {},
            .run = [&ctx, data, args] { vector_dots(ctx, args); }};
      },
      false};
}

NamedCase combine_case() {
  return {"vector_combine",
          [](const Context& ctx, const Sizes& sizes, std::int64_t) {
            auto data = std::make_shared<Vectors>(ctx, 4 * sizes.samples);
            VectorCombineArgs args{
                .vectors = data->view(), .into = 20, .terms = {}, .num_terms = 20, .rounded = {}};
            for (std::int32_t r = 0; r < args.num_terms; ++r) args.terms[r] = {r, 0.5};
            const double size = static_cast<double>(data->size);
            return Case{.kernel = "vector_combine",
                        .shape = fmt::format("{} terms of {}", args.num_terms, data->size),
                        .bytes = 8 * size * (args.num_terms + 1),
                        .flops = 2 * size * args.num_terms,
                        .prepare = {},
                        .run = [&ctx, data, args] { vector_combine(ctx, args); }};
          },
          false};
}
}  // namespace

std::vector<NamedCase> linear_cases() {
  return {margins_case(),
          gradient_case("linear_gradient", sparse(1)),
          gradient_case("linear_gradient (dense)", dense),
          gradient_case("linear_gradient (10 classes)", sparse(10)),
          gradient_case("linear_gradient (100 classes)", sparse(100)),
          hessian_case("linear_hessian", sparse(1)),
          hessian_case("linear_hessian (dense)", dense),
          diagonal_case(),
          step_case(),
          dots_case(),
          combine_case()};
}

}  // namespace gradmill::bench
