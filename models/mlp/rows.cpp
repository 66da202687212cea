#include "models/mlp/rows.h"

#include <algorithm>

#include "runtime/expect.h"

namespace gradmill {
namespace {
std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
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

}  // namespace gradmill
