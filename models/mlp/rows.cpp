#include "models/mlp/rows.h"

#include <algorithm>

#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {
std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
constexpr std::int64_t kGrain = 64;
}  // namespace

MlpColumns::MlpColumns(const MlpShape& shape, std::int64_t num_features) {
  std::int64_t next = 0;
  for (const FeatureField& field : shape.fields) {
    require(field.first == next && field.count > 0, "field [{}, {}) after feature {}", field.first,
            field.first + field.count, next);
    for (std::int64_t i = 0; i < field.count; ++i) {
      places.push_back(static_cast<std::int32_t>(field.categorical ? categories++ : dense++));
      fields_of.push_back(field.categorical ? static_cast<std::int32_t>(fields) : -1);
    }
    if (field.categorical) {
      ++fields;
      most_categories = std::max(most_categories, field.count);
    }
    next += field.count;
  }
  require(next == num_features, "fields cover {} of {} features", next, num_features);
}

MlpRows::MlpRows(const MlpColumns& columns, const Samples& samples)
    : rows(samples.rows()),
      dense_columns(columns.dense),
      fields(columns.fields),
      dense(at(rows * columns.dense), 0.0f),
      labels(samples.labels),
      weights(samples.weights) {
  std::vector<std::int64_t> counts(at(rows * fields) + 1, 0);
  bool weighted = false;
  const auto value = [&](std::int64_t e) {
    return samples.values.empty() ? 1.0f : samples.values[at(e)];
  };
  // Once to count, once to place.
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t e = samples.offsets[at(r)]; e < samples.offsets[at(r) + 1]; ++e) {
      const std::size_t feature = at(samples.indices[at(e)]);
      const std::int32_t field = columns.fields_of[feature];
      if (field < 0) {
        dense[at(r * dense_columns + columns.places[feature])] += value(e);
        continue;
      }
      weighted |= value(e) != 1.0f;
      one_each &= ++counts[at(r * fields + field) + 1] == 1;
    }
  one_each &= !weighted;
  if (one_each) {
    ids.assign(at(rows * fields), -1);
  } else {
    for (std::size_t b = 1; b < counts.size(); ++b) counts[b] += counts[b - 1];
    offsets = counts;
    ids.resize(at(offsets.back()));
    if (weighted) entry_weights.resize(ids.size());
  }
  for (std::int64_t r = 0; r < rows && fields > 0; ++r)
    for (std::int64_t e = samples.offsets[at(r)]; e < samples.offsets[at(r) + 1]; ++e) {
      const std::size_t feature = at(samples.indices[at(e)]);
      const std::int32_t field = columns.fields_of[feature];
      if (field < 0) continue;
      const std::size_t bag = at(r * fields + field), to = one_each ? bag : at(counts[bag]++);
      ids[to] = columns.places[feature];
      if (weighted) entry_weights[to] = value(e);
    }
}

MlpBatchMaker::MlpBatchMaker(const Context& ctx, const Context& host, bool mean, bool wide)
    : ctx_(ctx),
      host_(host),
      mean_(mean),
      wide_(wide),
      dense_(ctx),
      entry_weights_(ctx),
      labels_(ctx),
      weights_(ctx),
      offsets_(ctx),
      wide_offsets_(ctx),
      ids_(ctx),
      positions_(ctx) {}

MlpBatch MlpBatchMaker::make(const MlpRows& rows, std::span<const std::int64_t> chosen,
                             std::span<const std::int32_t> positions, bool labeled) {
  MlpBatch batch;
  const auto n = static_cast<std::int64_t>(chosen.size());
  const std::int64_t dense = rows.dense_columns;
  batch.rows = n;
  float* to = dense_.host(n * dense);
  float* labels = labels_.host(labeled ? n : 0);
  float* weights = weights_.host(labeled && !rows.weights.empty() ? n : 0);
  host_.threads().parallel_for(n, kGrain, [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t i = first; i < last; ++i) {
      const std::int64_t row = chosen[at(i)];
      std::copy_n(rows.dense.data() + row * dense, dense, to + i * dense);
      if (!labeled) continue;
      labels[i] = rows.labels[at(row)];
      if (!rows.weights.empty()) weights[i] = rows.weights[at(row)];
    }
  });
  std::copy(positions.begin(), positions.end(), positions_.host(n));
  batch.dense = {dense_.send().data, n, dense, dense, ctx_.device()};
  batch.labels = labels_.send();
  batch.weights = weights_.send();
  batch.positions = positions_.send();
  if (rows.fields > 0) fill_bags(rows, chosen, batch);
  return batch;
}

void MlpBatchMaker::fill_bags(const MlpRows& rows, std::span<const std::int64_t> chosen,
                              MlpBatch& batch) {
  const std::int64_t n = batch.rows, fields = rows.fields;
  batch.bags.samples = batch.wide_bags.samples = n;
  batch.bags.fields = fields;
  batch.wide_bags.fields = 1;
  batch.bags.mean = mean_;
  if (rows.one_each) {
    std::int32_t* ids = ids_.host(n * fields);
    for (std::int64_t i = 0; i < n; ++i)
      std::copy_n(rows.ids.data() + chosen[at(i)] * fields, fields, ids + i * fields);
  } else {
    std::int64_t* offsets = offsets_.host(n * fields + 1);
    std::int64_t filled = 0;
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t f = 0; f < fields; ++f) {
        const std::size_t bag = at(chosen[at(i)] * fields + f);
        offsets[i * fields + f] = filled;
        filled += rows.offsets[bag + 1] - rows.offsets[bag];
      }
    offsets[n * fields] = filled;
    std::int32_t* ids = ids_.host(filled);
    float* weights = entry_weights_.host(rows.entry_weights.empty() ? 0 : filled);
    for (std::int64_t i = 0; i < n; ++i) {
      const std::size_t bag = at(chosen[at(i)] * fields);
      const std::int64_t begin = rows.offsets[bag], count = rows.offsets[bag + at(fields)] - begin;
      std::copy_n(rows.ids.data() + begin, count, ids + offsets[i * fields]);
      if (!rows.entry_weights.empty())
        std::copy_n(rows.entry_weights.data() + begin, count, weights + offsets[i * fields]);
    }
    batch.bags.offsets = offsets_.send();
    batch.bags.weights = entry_weights_.send();
  }
  batch.bags.ids = ids_.send();
  if (!wide_) return;
  std::int64_t* wide = wide_offsets_.host(n + 1);
  const std::int64_t* offsets = rows.one_each ? nullptr : offsets_.host(n * fields + 1);
  for (std::int64_t i = 0; i <= n; ++i) wide[i] = offsets ? offsets[i * fields] : i * fields;
  batch.wide_bags.offsets = wide_offsets_.send();
  batch.wide_bags.ids = batch.bags.ids;
  batch.wide_bags.weights = batch.bags.weights;
}

}  // namespace gradmill
