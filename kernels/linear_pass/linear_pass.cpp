#include "kernels/linear_pass/linear_pass.h"

#include <algorithm>
#include <vector>

#include "kernels/simd.h"
#include "runtime/thread_pool.h"
#include "runtime/workspace.h"

namespace gradmill {
namespace {
using simd::Vec8;
constexpr std::int64_t kGroupRows = 64, kGroupEntries = 8192;
constexpr std::int64_t kMaxBlocks = 128, kBlockEntries = 8192, kTableShare = 16;

enum class Form { dense, values, ones };

Form form_of(const SampleMatrix& m) {
  return m.is_dense() ? Form::dense : (m.rows.values ? Form::values : Form::ones);
}

template <class Body>
void with_form(const SampleMatrix& m, Body&& body) {
  switch (form_of(m)) {
    case Form::dense:
      return body(std::integral_constant<Form, Form::dense>());
    case Form::values:
      return body(std::integral_constant<Form, Form::values>());
    case Form::ones:
      return body(std::integral_constant<Form, Form::ones>());
  }
}

/// The entries of one row.
template <Form form>
struct Row {
  const std::int32_t* indices = nullptr;
  const float* values = nullptr;
  std::int64_t size = 0;

  Row(const SampleMatrix& m, std::int64_t row) {
    if constexpr (form == Form::dense) {
      values = m.dense.row(row);
      size = m.dense.cols;
    } else {
      const std::int64_t first = m.rows.offsets[row];
      size = m.rows.offsets[row + 1] - first;
      indices = m.rows.indices + first;
      if constexpr (form == Form::values) values = m.rows.values + first;
    }
  }
  std::int64_t index(std::int64_t e) const {
    if constexpr (form == Form::dense)
      return e;
    else
      return indices[e];
  }
  float value(std::int64_t e) const {
    if constexpr (form == Form::ones)
      return 1.0f;
    else
      return values[e];
  }
};

float sum_lanes(simd::Vec v) {
  const Vec8 h = simd::fold(v);
  return ((h[0] + h[4]) + (h[1] + h[5])) + ((h[2] + h[6]) + (h[3] + h[7]));
}

float dense_dot(const float* a, const float* b, std::int64_t n) {
  simd::Vec s0{}, s1{};
  std::int64_t i = 0;
  for (; i + 2 * simd::kLanes <= n; i += 2 * simd::kLanes) {
    s0 += simd::load(a + i) * simd::load(b + i);
    s1 += simd::load(a + i + simd::kLanes) * simd::load(b + i + simd::kLanes);
  }
  float sum = sum_lanes(s0 + s1);
  for (; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

template <Form form>
float dot(const Row<form>& row, const float* table) {
  if constexpr (form == Form::dense) return dense_dot(row.values, table, row.size);
  // Eight sums hide the latency of additions. Loads of single weights are as fast as gathers; what is not is
  // to collect them in vectors, which CMakeLists.txt keeps the compiler from.
  float s[8] = {};
  std::int64_t e = 0;
  for (; e + 8 <= row.size; e += 8)
    for (int k = 0; k < 8; ++k) s[k] += row.value(e + k) * table[row.index(e + k)];
  for (; e < row.size; ++e) s[0] += row.value(e) * table[row.index(e)];
  return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

template <Form form, bool squared>
void scatter(const Row<form>& row, float factor, float* __restrict table) {
  for (std::int64_t e = 0; e < row.size; ++e) {
    const float x = row.value(e);
    table[row.index(e)] += factor * (squared ? x * x : x);
  }
}

/// Eight outputs at a time, `kVecs` times eight: their sums stay in registers.
template <Form form, int kVecs>
void dot_wide(const Row<form>& row, const float* table, std::int64_t stride, float* margins) {
  Vec8 s[kVecs] = {};
  for (std::int64_t e = 0; e < row.size; ++e) {
    const float* from = table + row.index(e) * stride;
    for (int v = 0; v < kVecs; ++v) s[v] += row.value(e) * simd::load8(from + 8 * v);
  }
  for (int v = 0; v < kVecs; ++v) *reinterpret_cast<simd::LooseVec8*>(margins + 8 * v) = s[v];
}

template <Form form, bool squared, int kVecs>
void scatter_wide(const Row<form>& row, const float* factors, std::int64_t stride, float* table) {
  Vec8 t[kVecs];
  for (int v = 0; v < kVecs; ++v) t[v] = simd::load8(factors + 8 * v);
  for (std::int64_t e = 0; e < row.size; ++e) {
    const float x = row.value(e), scaled = squared ? x * x : x;
    float* to = table + row.index(e) * stride;
    for (int v = 0; v < kVecs; ++v)
      *reinterpret_cast<simd::LooseVec8*>(to + 8 * v) = simd::load8(to + 8 * v) + scaled * t[v];
  }
}

/// body(integral_constant vectors, offset) for the columns of a stride, up to 32 at a time.
template <class Body>
void for_vectors(std::int64_t stride, Body&& body) {
  std::int64_t at = 0;
  for (; at + 32 <= stride; at += 32) body(std::integral_constant<int, 4>(), at);
  for (; at + 16 <= stride; at += 16) body(std::integral_constant<int, 2>(), at);
  for (; at < stride; at += 8) body(std::integral_constant<int, 1>(), at);
}

template <bool squared>
void scatter_rows_as(const SampleMatrix& matrix, std::int64_t first, std::int64_t count,
                     const float* factors, MatrixView<float> table) {
  with_form(matrix, [&](auto form) {
    constexpr Form f = decltype(form)::value;
    for (std::int64_t r = 0; r < count; ++r) {
      const Row<f> row(matrix, first + r);
      if (table.stride == 1) {
        if (factors[r] != 0) scatter<f, squared>(row, factors[r], table.data);
        continue;
      }
      const float* t = factors + r * table.stride;
      for_vectors(table.stride, [&](auto vectors, std::int64_t at) {
        scatter_wide<f, squared, vectors.value>(row, t + at, table.stride, table.data + at);
      });
    }
  });
}

std::int64_t entries_of(const SampleMatrix& m) {
  return m.is_dense() ? m.dense.rows * m.dense.cols
                      : (m.rows.rows ? m.rows.offsets[m.rows.rows] - m.rows.offsets[0] : 0);
}

/// Rows where the blocks of a pass begin: equal shares of entries. More blocks cost tables of sums.
std::vector<std::int64_t> block_rows(const SampleMatrix& m) {
  const std::int64_t rows = m.samples(), entries = entries_of(m);
  const std::int64_t by_table = entries / (kTableShare * std::max<std::int64_t>(m.features(), 1));
  std::int64_t blocks = std::clamp<std::int64_t>(by_table, 4, kMaxBlocks);
  blocks = std::max<std::int64_t>(1, std::min({blocks, entries / kBlockEntries, rows}));
  std::vector<std::int64_t> first{0};
  for (std::int64_t b = 1; b < blocks; ++b) {
    if (m.is_dense()) {
      first.push_back(rows * b / blocks);
      continue;
    }
    const std::int64_t* offsets = m.rows.offsets;
    const std::int64_t* at =
        std::lower_bound(offsets + first.back(), offsets + rows,
                         offsets[0] + static_cast<std::int64_t>(static_cast<double>(entries) *
                                                                static_cast<double>(b) /
                                                                static_cast<double>(blocks)));
    first.push_back(at - offsets);
  }
  first.push_back(rows);
  return first;
}
}  // namespace

std::int64_t table_stride(std::int64_t outputs) {
  return outputs == 1 ? 1 : simd::round_up(outputs, 8);
}

std::int64_t group_rows(const SampleMatrix& matrix) {
  const std::int64_t mean = entries_of(matrix) / std::max<std::int64_t>(matrix.samples(), 1) + 1;
  return std::clamp<std::int64_t>(kGroupEntries / mean, 1, kGroupRows);
}

void dot_rows(const SampleMatrix& matrix, std::int64_t first, std::int64_t count,
              MatrixView<const float> table, float* margins) {
  with_form(matrix, [&](auto form) {
    constexpr Form f = decltype(form)::value;
    for (std::int64_t r = 0; r < count; ++r) {
      const Row<f> row(matrix, first + r);
      if (table.stride == 1) {
        margins[r] = dot<f>(row, table.data);
        continue;
      }
      for_vectors(table.stride, [&](auto vectors, std::int64_t at) {
        dot_wide<f, vectors.value>(row, table.data + at, table.stride,
                                   margins + r * table.stride + at);
      });
    }
  });
}

void scatter_rows(const SampleMatrix& matrix, std::int64_t first, std::int64_t count,
                  const float* factors, bool squared, MatrixView<float> table) {
  if (squared)
    scatter_rows_as<true>(matrix, first, count, factors, table);
  else
    scatter_rows_as<false>(matrix, first, count, factors, table);
}

MatrixView<const float> feature_major(const Context& ctx, MatrixView<const float> coefficients,
                                      VectorView<float> storage) {
  const std::int64_t outputs = coefficients.rows, n = coefficients.cols;
  if (outputs == 1) return {coefficients.data, n, 1, 1, {}};
  const std::int64_t stride = table_stride(outputs);
  ctx.threads().parallel_for(n, 1024, [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t j = first; j < last; ++j)
      for (std::int64_t c = 0; c < stride; ++c)
        storage[j * stride + c] = c < outputs ? coefficients(c, j) : 0.0f;
  });
  return {storage.data, n, outputs, stride, {}};
}

double linear_pass(const Context& ctx, const LinearPass& pass, const RowFactors& factors) {
  const SampleMatrix& m = pass.matrix;
  const std::int64_t n = m.features(), outputs = pass.product.rows, stride = table_stride(outputs);
  const std::vector<std::int64_t> rows = block_rows(m);
  const auto blocks = static_cast<std::int64_t>(rows.size()) - 1;
  const std::int64_t group = group_rows(m);

  Workspace::Scope scratch(ctx);
  MatrixView<const float> table{};
  if (pass.coefficients.data)
    table = feature_major(ctx, pass.coefficients,
                          outputs == 1 ? VectorView<float>{} : scratch.take<float>(n * stride));
  float* const sums = scratch.take<float>(blocks * n * stride + 1).data;
  double* const intercepts = scratch.take<double>(blocks * (outputs + 1)).data;
  const std::int64_t buffer = 2 * group * stride;
  float* const buffers = scratch.take<float>(buffer * ctx.threads().size()).data;

  ctx.threads().parallel_for(blocks, 1, [&](std::int64_t b, std::int64_t, int thread) {
    const MatrixView<float> sum{sums + b * n * stride, n, outputs, stride, {}};
    std::fill_n(sum.data, n * stride, 0.0f);
    double* const own = intercepts + b * (outputs + 1);
    std::fill_n(own, outputs + 1, 0.0);
    float* const margins = buffers + thread * buffer;
    float* const t = margins + group * stride;
    const std::int64_t last = rows[static_cast<std::size_t>(b) + 1];
    for (std::int64_t row = rows[static_cast<std::size_t>(b)]; row < last; row += group) {
      const std::int64_t count = std::min(group, last - row);
      if (table.data) dot_rows(m, row, count, table, margins);
      own[outputs] += factors(row, count, margins, t);
      scatter_rows(m, row, count, t, pass.squared, sum);
      for (std::int64_t r = 0; r < count; ++r)
        for (std::int64_t c = 0; c < outputs; ++c) own[c] += t[r * stride + c];
    }
  });

  ctx.threads().parallel_for(n, 2048, [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t c = 0; c < outputs; ++c) {
      double* const to = pass.product.row(c);
      std::fill(to + first, to + last, 0.0);
      for (std::int64_t b = 0; b < blocks; ++b) {
        const float* from = sums + b * n * stride + c;
        for (std::int64_t j = first; j < last; ++j) to[j] += from[j * stride];
      }
    }
  });
  double value = 0;
  for (std::int64_t c = 0; c < outputs; ++c) pass.intercept_product[c] = 0;
  for (std::int64_t b = 0; b < blocks; ++b) {
    const double* own = intercepts + b * (outputs + 1);
    for (std::int64_t c = 0; c < outputs; ++c) pass.intercept_product[c] += own[c];
    value += own[outputs];
  }
  return value;
}

}  // namespace gradmill
