// Samples with numeric and categorical fields, and an MLP in double precision that is written from the
// equations of models/mlp/README.md as plainly as possible.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "kernels/dropout/dropout.h"
#include "models/mlp/solver.h"
#include "runtime/expect.h"

namespace gradmill::testing {

struct MlpCase {
  std::int64_t rows = 40;
  std::int64_t numeric = 3;
  std::vector<std::int64_t> categories{4, 7};
  bool bags = false;  // several values with weights, or none, in a field
  bool weights = false;
  int classes = 2;  // 0: regression
};

struct MlpProblem {
  Samples samples;
  MlpShape shape;

  explicit MlpProblem(const MlpCase& c, unsigned seed = 3) {
    std::mt19937 rng(seed);
    std::normal_distribution<float> normal;
    const auto below = [&](std::int64_t n) { return static_cast<std::int64_t>(rng()) % n; };
    for (std::int64_t i = 0; i < c.numeric; ++i) shape.fields.push_back({i, 1, false});
    std::int64_t first = c.numeric;
    for (const std::int64_t n : c.categories) shape.fields.push_back({first, n, true}), first += n;
    shape.num_classes = c.classes;
    shape.outputs = c.classes > 2 ? c.classes : 1;
    samples.num_features = first;
    for (std::int64_t r = 0; r < c.rows; ++r) {
      double score = 0;
      const auto add = [&](std::int64_t feature, float value) {
        samples.indices.push_back(static_cast<std::int32_t>(feature));
        samples.values.push_back(value);
        score += std::sin(static_cast<double>(3 * feature + 1)) * static_cast<double>(value);
      };
      for (std::int64_t i = 0; i < c.numeric; ++i) add(i, normal(rng));
      for (const FeatureField& field : shape.fields) {
        if (!field.categorical) continue;
        std::int64_t at = below(field.count);
        const std::int64_t count = c.bags ? below(3) : 1;
        for (std::int64_t i = 0; i < count && at < field.count; ++i, at += 1 + below(2))
          add(field.first + at, c.bags ? 0.5f + static_cast<float>(below(4)) : 1.0f);
      }
      samples.offsets.push_back(static_cast<std::int64_t>(samples.indices.size()));
      const double noisy = score + 0.3 * static_cast<double>(normal(rng));
      const auto grade = static_cast<std::int64_t>(std::floor(noisy + 0.5 * c.classes));
      samples.labels.push_back(
          c.classes == 0 ? static_cast<float>(std::abs(noisy))
                         : static_cast<float>(std::clamp<std::int64_t>(grade, 0, c.classes - 1)));
      if (c.weights) samples.weights.push_back(0.25f + static_cast<float>(below(8)) / 4);
    }
  }

  /// Rows [first, last): a rank's share.
  Samples part(std::int64_t first, std::int64_t last) const {
    Samples s;
    s.num_features = samples.num_features;
    for (std::int64_t r = first; r < last; ++r) {
      const auto row = static_cast<std::size_t>(r);
      for (std::int64_t e = samples.offsets[row]; e < samples.offsets[row + 1]; ++e) {
        s.indices.push_back(samples.indices[static_cast<std::size_t>(e)]);
        s.values.push_back(samples.values[static_cast<std::size_t>(e)]);
      }
      s.offsets.push_back(static_cast<std::int64_t>(s.indices.size()));
      s.labels.push_back(samples.labels[row]);
      if (!samples.weights.empty()) s.weights.push_back(samples.weights[row]);
    }
    return s;
  }
};

using Tensors = std::map<std::string, std::vector<float>>;

/// Float tensors of a solver on the CPU by name, packed.
inline Tensors tensors_of(MlpSolver& solver) {
  Tensors result;
  for (const StateTensor& t : solver.state()) {
    if (t.type != ElementType::f32) continue;
    const MatrixView<float> v = t.values<float>();
    for (std::int64_t r = 0; r < v.rows; ++r)
      result[t.name].insert(result[t.name].end(), v.row(r), v.row(r) + v.cols);
  }
  return result;
}

/// The mean loss of all samples.
class ReferenceMlp {
 public:
  using Parameters = std::map<std::string, std::vector<double>>;

  ReferenceMlp(const MlpProblem& problem, const MlpConfig& config, std::int64_t dim,
               std::uint64_t seed)
      : problem_(problem), config_(config), dim_(dim), seed_(seed), widths_(hidden_widths(config)) {
    // Where epoch 0 puts each row.
    const auto n = static_cast<std::uint64_t>(problem.samples.rows());
    const Permutation order(n, seed, 0);
    positions_.resize(n);
    for (std::uint64_t i = 0; i < n; ++i) positions_[order(i)] = static_cast<std::int32_t>(i);
  }

  double loss(const Parameters& p) const {
    if (config_.norm == "batch") return batch_loss(p);
    double sum = 0, weight = 0;
    for (std::int64_t r = 0; r < problem_.samples.rows(); ++r) {
      const auto row = static_cast<std::size_t>(r);
      const double s =
          problem_.samples.weights.empty() ? 1.0 : double{problem_.samples.weights[row]};
      sum += s * sample_loss(margins(p, r), double{problem_.samples.labels[row]});
      weight += s;
    }
    return sum / weight;
  }

  std::vector<double> margins(const Parameters& p, std::int64_t row) const {
    std::vector<double> wide;
    std::vector<double> x = input(p, row, wide);
    for (std::size_t l = 0; l < widths_.size(); ++l) x = layer(p, row, l, x);
    return output(p, x, wide);
  }

 private:
  /// Layer after layer, all samples at once: batch norm's units have the mean and variance of the batch.
  double batch_loss(const Parameters& p) const {
    const auto rows = static_cast<std::size_t>(problem_.samples.rows());
    std::vector<std::vector<double>> x(rows), wide(rows);
    for (std::size_t r = 0; r < rows; ++r) x[r] = input(p, static_cast<std::int64_t>(r), wide[r]);
    for (std::size_t l = 0; l < widths_.size(); ++l) {
      const std::string name = "hidden." + std::to_string(l);
      const auto units = static_cast<std::size_t>(widths_[l]);
      for (auto& row : x) {
        row = product(p.at(name + ".weight"), row, units);
        for (std::size_t o = 0; o < units; ++o) row[o] += p.at(name + ".bias")[o];
      }
      for (std::size_t o = 0; o < units; ++o) {
        double mean = 0, variance = 0;
        for (const auto& row : x) mean += row[o] / static_cast<double>(rows);
        for (const auto& row : x)
          variance += (row[o] - mean) * (row[o] - mean) / static_cast<double>(rows);
        for (auto& row : x)
          row[o] = activation(p.at(name + ".norm.scale")[o] * (row[o] - mean) /
                                  std::sqrt(variance + double{1e-5f}) +
                              p.at(name + ".norm.shift")[o]);
      }
    }
    double sum = 0;
    for (std::size_t r = 0; r < rows; ++r)
      sum += sample_loss(output(p, x[r], wide[r]), double{problem_.samples.labels[r]});
    return sum / static_cast<double>(rows);
  }

  /// x_0 of a sample, and what the wide part adds to its margins.
  std::vector<double> input(const Parameters& p, std::int64_t row,
                            std::vector<double>& wide) const {
    std::vector<double> dense, x;
    wide.assign(static_cast<std::size_t>(problem_.shape.outputs), 0.0);
    std::int64_t table_row = 0;
    for (const FeatureField& field : problem_.shape.fields) {
      std::vector<double> sum(static_cast<std::size_t>(field.categorical ? dim_ : field.count),
                              0.0);
      std::int64_t entries = 0;
      each_entry(row, field, [&](std::int64_t, double) { ++entries; });
      each_entry(row, field, [&](std::int64_t i, double value) {
        if (!field.categorical) {
          sum[static_cast<std::size_t>(i)] += value;
          return;
        }
        const double factor = config_.bag == "mean" ? value / static_cast<double>(entries) : value;
        for (std::size_t k = 0; k < sum.size(); ++k)
          sum[k] +=
              factor * p.at("embedding")[static_cast<std::size_t>((table_row + i) * dim_) + k];
        if (config_.wide)
          for (std::size_t c = 0; c < wide.size(); ++c)
            wide[c] +=
                value *
                p.at("wide.embedding")[static_cast<std::size_t>(table_row + i) * wide.size() + c];
      });
      std::vector<double>& to = field.categorical ? x : dense;
      to.insert(to.end(), sum.begin(), sum.end());
      if (field.categorical) table_row += field.count;
    }
    if (config_.wide && !dense.empty()) {
      const auto linear = product(p.at("wide.weight"), dense, wide.size());
      for (std::size_t c = 0; c < wide.size(); ++c) wide[c] += linear[c];
    }
    if (config_.interaction == "dot") interact(p, dense, x);
    x.insert(x.begin(), dense.begin(), dense.end());
    return x;
  }
  /// x: the embeddings, becomes the projection of the dense columns, the embeddings, the pairs' products.
  void interact(const Parameters& p, const std::vector<double>& dense,
                std::vector<double>& x) const {
    const auto dim = static_cast<std::size_t>(dim_);
    if (!dense.empty()) {
      std::vector<double> projected = product(p.at("interaction.weight"), dense, dim);
      for (std::size_t k = 0; k < dim; ++k) projected[k] += p.at("interaction.bias")[k];
      x.insert(x.begin(), projected.begin(), projected.end());
    }
    const std::size_t vectors = x.size() / dim;
    for (std::size_t j = 1; j < vectors; ++j)
      for (std::size_t i = 0; i < j; ++i) {
        double dot = 0;
        for (std::size_t k = 0; k < dim; ++k) dot += x[i * dim + k] * x[j * dim + k];
        x.push_back(dot);
      }
  }
  std::vector<double> output(const Parameters& p, const std::vector<double>& x,
                             const std::vector<double>& wide) const {
    std::vector<double> out = product(p.at("output.weight"), x, wide.size());
    for (std::size_t c = 0; c < out.size(); ++c) out[c] += p.at("output.bias")[c] + wide[c];
    return out;
  }

  template <class Body>
  void each_entry(std::int64_t row, const FeatureField& field, Body&& body) const {
    const Samples& s = problem_.samples;
    for (std::int64_t e = s.offsets[static_cast<std::size_t>(row)];
         e < s.offsets[static_cast<std::size_t>(row) + 1]; ++e) {
      const std::int64_t i = s.indices[static_cast<std::size_t>(e)] - field.first;
      if (i >= 0 && i < field.count)
        body(i, s.values.empty() ? 1.0 : double{s.values[static_cast<std::size_t>(e)]});
    }
  }
  static std::vector<double> product(const std::vector<double>& w, const std::vector<double>& x,
                                     std::size_t outputs) {
    std::vector<double> y(outputs, 0.0);
    for (std::size_t o = 0; o < outputs; ++o)
      for (std::size_t i = 0; i < x.size(); ++i) y[o] += w[o * x.size() + i] * x[i];
    return y;
  }
  double activation(double z) const {
    if (config_.activation == "relu") return std::max(z, 0.0);
    if (config_.activation == "gelu") return 0.5 * z * std::erfc(-z / std::sqrt(2.0));
    if (config_.activation == "silu") return z / (1 + std::exp(-z));
    return config_.activation == "tanh" ? std::tanh(z) : z;
  }
  static void normalize(const Parameters& p, const std::string& name, std::vector<double>& y) {
    double mean = 0, variance = 0;
    for (const double x : y) mean += x / static_cast<double>(y.size());
    for (const double x : y) variance += (x - mean) * (x - mean) / static_cast<double>(y.size());
    for (std::size_t o = 0; o < y.size(); ++o)
      y[o] = p.at(name + ".norm.scale")[o] * (y[o] - mean) / std::sqrt(variance + double{1e-5f}) +
             p.at(name + ".norm.shift")[o];
  }
  std::vector<double> layer(const Parameters& p, std::int64_t row, std::size_t l,
                            const std::vector<double>& x) const {
    const std::string name = "hidden." + std::to_string(l);
    const auto outputs = static_cast<std::size_t>(widths_[l]);
    std::vector<double> y = product(p.at(name + ".weight"), x, outputs);
    DropoutMask mask{static_cast<float>(config_.dropout), seed_, 0,
                     static_cast<std::uint32_t>(l),       {},    {}};
    for (std::size_t o = 0; o < outputs; ++o) y[o] += p.at(name + ".bias")[o];
    if (config_.norm == "layer") normalize(p, name, y);
    for (std::size_t o = 0; o < outputs; ++o) {
      y[o] = activation(y[o]);
      const Philox4 bits = dropout_bits(mask, positions_[static_cast<std::size_t>(row)],
                                        static_cast<std::int64_t>(o / 4));
      if (config_.dropout > 0)
        y[o] *= to_unit(bits.x[o % 4]) >= mask.rate ? 1 / (1 - double{mask.rate}) : 0.0;
      if (config_.residual && l > 0 && x.size() == outputs) y[o] += x[o];
    }
    return y;
  }
  double sample_loss(const std::vector<double>& m, double y) const {
    std::string name = config_.loss;
    if (name == "auto")
      name = problem_.shape.num_classes == 0 ? "squared" : m.size() > 1 ? "softmax" : "logistic";
    if (name == "softmax") {
      double sum = 0;
      for (const double x : m) sum += std::exp(x);
      return std::log(sum) - m[static_cast<std::size_t>(y)];
    }
    const double e = m[0] - y, parameter = config_.loss_parameter;
    if (name == "logistic") return std::log1p(std::exp(y > 0 ? -m[0] : m[0]));
    if (name == "squared") return e * e / 2;
    if (name == "poisson") return std::exp(m[0]) - y * m[0];
    if (name == "quantile") return e < 0 ? -parameter * e : (1 - parameter) * e;
    require(name == "huber", "loss {}", name);
    return std::abs(e) <= parameter ? e * e / 2 : parameter * (std::abs(e) - parameter / 2);
  }

  const MlpProblem& problem_;
  const MlpConfig config_;
  const std::int64_t dim_;
  const std::uint64_t seed_;
  const std::vector<std::int64_t> widths_;
  std::vector<std::int32_t> positions_;
};

}  // namespace gradmill::testing
