#include "kernels/normal_system/system_batch.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace gradmill::cpu {
namespace {
using namespace simd;  // NOLINT: vectors throughout
// Above this the interleaved triangles fall out of a core's L2.
constexpr std::int64_t kLargest = 128;
constexpr int kTile = kLanes == 16 ? 4 : 2;  // kTile x kTile sums and 2 kTile values in registers

/// One round of a transposition: exchanges the lanes of a and b in which bit kBit is not the same.
template <int kBit, int... kLane>
inline void exchange(Vec& a, Vec& b, std::integer_sequence<int, kLane...>) {
  const Vec low =
      __builtin_shufflevector(a, b, ((kLane & kBit) ? kLanes + kLane - kBit : kLane)...);
  b = __builtin_shufflevector(a, b, ((kLane & kBit) ? kLanes + kLane : kLane + kBit)...);
  a = low;
}

template <int kBit>
inline void exchange_all(Vec (&v)[kLanes]) {
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i)
    if (!(i & kBit)) exchange<kBit>(v[i], v[i + kBit], std::make_integer_sequence<int, kLanes>{});
}

inline void transpose(Vec (&v)[kLanes]) {
  if constexpr (kLanes == 16) exchange_all<kLanes / 2>(v);
  exchange_all<4>(v);
  exchange_all<2>(v);
  exchange_all<1>(v);
}

/// sums[a][b] = rows[a][column + b] less the products of the two rows left of `column`.
template <int kRows>
inline __attribute__((always_inline)) void reduce(float* const (&rows)[kRows],
                                                  float* const (&others)[kTile],
                                                  std::int64_t column,
                                                  Vec (&result)[kRows][kTile]) {
  Vec sums[kRows][kTile];
#pragma GCC unroll 4
  for (int a = 0; a < kRows; ++a)
#pragma GCC unroll 4
    for (int b = 0; b < kTile; ++b) sums[a][b] = load(rows[a] + (column + b) * kLanes);
  for (std::int64_t p = 0; p < column * kLanes; p += kLanes) {
    Vec values[kTile];
#pragma GCC unroll 4
    for (int b = 0; b < kTile; ++b) values[b] = in_register(load(others[b] + p));
#pragma GCC unroll 4
    for (int a = 0; a < kRows; ++a) {
      const Vec value = in_register(load(rows[a] + p));
#pragma GCC unroll 4
      for (int b = 0; b < kTile; ++b) sums[a][b] -= value * values[b];
    }
  }
#pragma GCC unroll 4
  for (int a = 0; a < kRows; ++a)
#pragma GCC unroll 4
    for (int b = 0; b < kTile; ++b) result[a][b] = sums[a][b];
}
}  // namespace

std::int64_t SystemBatch::memory_floats(std::int64_t size) {
  if (size > kLargest) return 0;
  const std::int64_t rows = round_up(size, 8);
  return kLanes * NormalSystem::memory_floats(size) + (rows * (rows + 1) / 2 + 2 * rows) * kLanes;
}

SystemBatch::SystemBatch(std::int64_t size, float* memory)
    : size_(size), rows_(round_up(size, 8)), lower_(memory) {
  if (size > kLargest) return;
  inverse_diagonal_ = row(rows_) + rows_ * kLanes;
  memory = inverse_diagonal_ + rows_ * kLanes;
  for (int i = 0; i < kLanes; ++i)
    waiting_.emplace_back(size, memory + i * NormalSystem::memory_floats(size));
  waiting_rows_.reserve(kLanes);
}

void SystemBatch::add(std::int64_t row, NormalSystem& system, const Finish& finish) {
  if (size_ > kLargest) return finish(row, system.solve() ? system.solution() : nullptr);
  std::swap(waiting_[waiting_rows_.size()], system);
  waiting_rows_.push_back(row);
  if (waiting_rows_.size() == kLanes) flush(finish);
}

void SystemBatch::flush(const Finish& finish) {
  if (waiting_rows_.empty()) return;
  interleave();
  factor();
  substitute_back();
  float solution[kLargest];
  const float* solutions = row(rows_);
  for (std::size_t lane = 0; lane < waiting_rows_.size(); ++lane) {
    for (std::int64_t c = 0; c < size_; ++c)
      solution[c] = solutions[c * kLanes + static_cast<std::int64_t>(lane)];
    finish(waiting_rows_[lane], solved_[lane] ? solution : nullptr);
  }
  waiting_rows_.clear();
}

/// From systems by rows to vectors of systems. Lanes without a system repeat the first.
void SystemBatch::interleave() {
  const float* from[kLanes];
  const auto load_and_transpose = [&](std::int64_t column, Vec(&v)[kLanes]) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) v[i] = load(from[i] + column);
    transpose(v);
  };
  const auto system = [&](int lane) -> NormalSystem& {
    return waiting_[static_cast<std::size_t>(lane) < waiting_rows_.size()
                        ? static_cast<std::size_t>(lane)
                        : 0];
  };
  for (std::int64_t r = 0; r <= rows_; ++r) {
    const bool is_rhs = r == rows_;
    for (int i = 0; i < kLanes; ++i) from[i] = is_rhs ? system(i).rhs() : system(i).row(r);
    for (std::int64_t first = is_rhs ? 0 : r / kLanes * kLanes; first < rows_; first += kLanes) {
      Vec v[kLanes];
      load_and_transpose(first, v);
      const std::int64_t last = std::min<std::int64_t>(kLanes, rows_ - first);
      for (std::int64_t i = is_rhs ? 0 : std::max<std::int64_t>(0, r - first); i < last; ++i)
        store(is_rhs ? row(r) + (first + i) * kLanes : row(first + i) + r * kLanes, v[i]);
    }
  }
}

/// A = L Lᵀ by rows of tiles, up-looking; the right-hand side goes along as the last row.
void SystemBatch::factor() {
  std::fill_n(solved_, kLanes, true);
  for (std::int64_t first = 0; first < rows_; first += kTile) {
    for (std::int64_t column = 0; column < first; column += kTile) solve_tile<kTile>(first, column);
    factor_diagonal(first);
  }
  for (std::int64_t column = 0; column < rows_; column += kTile) solve_tile<1>(rows_, column);
}

template <int kRows>
void SystemBatch::solve_tile(std::int64_t first, std::int64_t column) {
  float *rows[kRows], *others[kTile];
  for (int a = 0; a < kRows; ++a) rows[a] = row(first + a);
  for (int b = 0; b < kTile; ++b) others[b] = row(column + b);
  Vec sums[kRows][kTile];
  reduce(rows, others, column, sums);
#pragma GCC unroll 4
  for (int b = 0; b < kTile; ++b) {
    const Vec inverse = load(inverse_diagonal_ + (column + b) * kLanes);
#pragma GCC unroll 4
    for (int a = 0; a < kRows; ++a) {
#pragma GCC unroll 4
      for (int q = 0; q < b; ++q)
        sums[a][b] -= sums[a][q] * load(others[b] + (column + q) * kLanes);
      sums[a][b] *= inverse;
      store(rows[a] + (column + b) * kLanes, sums[a][b]);
    }
  }
}

void SystemBatch::factor_diagonal(std::int64_t first) {
  float* rows[kTile];
  for (int a = 0; a < kTile; ++a) rows[a] = row(first + a);
  Vec sums[kTile][kTile];  // above the diagonal: anything
  reduce(rows, rows, first, sums);
#pragma GCC unroll 4
  for (int b = 0; b < kTile; ++b) {
    Vec inverse;
    for (int lane = 0; lane < kLanes; ++lane) inverse[lane] = 1 / std::sqrt(sums[b][b][lane]);
    for (int lane = 0; lane < kLanes; ++lane)
      if (!(sums[b][b][lane] > 0)) solved_[lane] = false;
    store(inverse_diagonal_ + (first + b) * kLanes, inverse);
#pragma GCC unroll 4
    for (int a = b + 1; a < kTile; ++a) sums[a][b] *= inverse;
#pragma GCC unroll 4
    for (int a = b + 1; a < kTile; ++a)
#pragma GCC unroll 4
      for (int c = b + 1; c <= a; ++c) sums[a][c] -= sums[a][b] * sums[c][b];
  }
  for (int a = 1; a < kTile; ++a)
    for (int b = 0; b < a; ++b) store(rows[a] + (first + b) * kLanes, sums[a][b]);
}

/// Lᵀ x = y, in place: what a component contributes to those before it is taken off when it is known.
void SystemBatch::substitute_back() {
  float* x = row(rows_);
  for (std::int64_t c = rows_ - 1; c >= 0; --c) {
    const Vec known = load(x + c * kLanes) * load(inverse_diagonal_ + c * kLanes);
    store(x + c * kLanes, known);
    const float* l = row(c);
    for (std::int64_t i = 0; i < c * kLanes; i += kLanes)
      store(x + i, load(x + i) - load(l + i) * known);
  }
}

}  // namespace gradmill::cpu
