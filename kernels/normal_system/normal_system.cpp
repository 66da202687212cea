#include "kernels/normal_system/normal_system.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

#include "kernels/normal_system/tile.h"
#include "kernels/simd.h"

namespace gradmill::cpu {
namespace {
using namespace simd;               // NOLINT: vectors throughout
constexpr std::int64_t kBlock = 8;  // rows are padded to blocks: a multiple of kTileRows
}  // namespace

std::int64_t NormalSystem::memory_floats(std::int64_t size) {
  return (round_up(size, kBlock) + 3) * row_stride(size) +
         (size + kLanes - 1) / kLanes * kLanes * kShifts;
}

NormalSystem::NormalSystem(std::int64_t size, float* memory)
    : size_(size),
      rows_(round_up(size, kBlock)),
      vecs_((size + kLanes - 1) / kLanes),
      stride_(row_stride(size)),
      a_(memory),
      b_(a_ + rows_ * stride_),
      inverse_diagonal_(b_ + stride_),
      x_(inverse_diagonal_ + stride_),
      turned_(x_ + stride_) {
  clear();
}

void NormalSystem::clear() {
  for (std::int64_t r = 0; r < rows_; ++r) {
    const std::int64_t first = r / kLanes * kLanes;
    std::fill(row(r) + first, row(r) + vecs_ * kLanes, 0.0f);
  }
  for (std::int64_t r = size_; r < rows_; ++r) row(r)[r] = 1;
  std::fill(b_, b_ + stride_, 0.0f);
  std::fill(turned_, turned_ + vecs_ * kShifts * kLanes, 0.0f);
}

// The rows of one vector of columns: the square block on the diagonal is summed up turn by turn, which
// costs 9/16 of its products, half of the turns beside each half of the rows.
void NormalSystem::add_products(const float* left, const float* right, std::int64_t count,
                                float scale) {
  constexpr int kHalf = (kShifts + 1) / 2;
  for (std::int64_t block = 0; block < vecs_; ++block) {
    add_block_rows<0, kHalf>(left, right, count, scale, block, 0);
    add_block_rows<kHalf, kShifts>(left, right, count, scale, block, kTileRows);
  }
}

template <int kFirst, int kLast>
void NormalSystem::add_block_rows(const float* left, const float* right, std::int64_t count,
                                  float scale, std::int64_t block, std::int64_t half) {
  const std::int64_t first = block * kLanes + half, beside = vecs_ - block - 1;
  const auto add_tile = [&]<int kVecs>(const Tile<kVecs>& sums, std::int64_t vec) {
#pragma GCC unroll 8
    for (int r = 0; r < kTileRows; ++r)
#pragma GCC unroll 3
      for (int v = 0; v < kVecs; ++v) {
        float* a = row(first + r) + (vec + v) * kLanes;
        store(a, load(a) + scale * sums[r][v]);
      }
  };
  const auto add_turned = [&]<int kVecs>(std::int64_t vec) {
    Tile<kVecs> sums;
    Vec shifts[kLast - kFirst];
    multiply_and_turn<kVecs, kFirst, kLast>(left + first, left + block * kLanes,
                                            right + vec * kLanes, right + block * kLanes, stride_,
                                            count, sums, shifts);
    add_tile.template operator()<kVecs>(sums, vec);
    for (int s = kFirst; s < kLast; ++s) {
      float* a = turned_ + (block * kShifts + s) * kLanes;
      store(a, load(a) + scale * shifts[s - kFirst]);
    }
  };
  std::int64_t vec = block + 1;
  for (; vec + kTileVecs <= vecs_; vec += kTileVecs) {
    Tile<kTileVecs> sums;
    multiply<kTileVecs, kTileRows>(left + first, stride_, 1, right + vec * kLanes, stride_, count,
                                   sums);
    add_tile.template operator()<kTileVecs>(sums, vec);
  }
  switch (beside % kTileVecs) {
    case 0:
      return add_turned.template operator()<0>(vec);
    case 1:
      return add_turned.template operator()<1>(vec);
    default:
      return add_turned.template operator()<2>(vec);
  }
}

void NormalSystem::settle() {
  for (std::int64_t block = 0; block < vecs_; ++block) {
    const float* from = turned_ + block * kShifts * kLanes;
    float* to = row(block * kLanes) + block * kLanes;
    const std::int64_t rows = std::min<std::int64_t>(kLanes, rows_ - block * kLanes);
    const auto add_turn = [&]<int kShift>(std::integral_constant<int, kShift>) {
      // Half a turn has every pair twice.
      constexpr int kPairs = kShift == kLanes / 2 ? kLanes / 2 : kLanes;
#pragma GCC unroll 16
      for (int lane = 0; lane < kPairs; ++lane) {
        const int other = (lane + kShift) % kLanes;
        const int r = std::min(lane, other), c = std::max(lane, other);
        if (r < kLanes / 2 || r < rows) to[r * stride_ + c] += from[kShift * kLanes + lane];
      }
    };
    [&]<int... kShift>(std::integer_sequence<int, kShift...>) {
      (add_turn(std::integral_constant<int, kShift>{}), ...);
    }
    (std::make_integer_sequence<int, kShifts>{});
  }
  std::fill(turned_, turned_ + vecs_ * kShifts * kLanes, 0.0f);
}

void NormalSystem::add_rows(const float* right, const float* weights, std::int64_t count) {
  for (std::int64_t vec = 0; vec < vecs_; ++vec) {
    Vec even = load(b_ + vec * kLanes), odd = {};
    const float* y = right + vec * kLanes;
    std::int64_t e = 0;
    for (; e + 1 < count; e += 2) {
      even += weights[e] * load(y + e * stride_);
      odd += weights[e + 1] * load(y + (e + 1) * stride_);
    }
    if (e < count) even += weights[e] * load(y + e * stride_);
    store(b_ + vec * kLanes, even + odd);
  }
}

void NormalSystem::add(const NormalSystem& other) {
  for (std::int64_t r = 0; r < size_; ++r)
    for (std::int64_t c = r / kLanes * kLanes; c < size_; ++c) row(r)[c] += other.row(r)[c];
  for (std::int64_t c = 0; c < size_; ++c) b_[c] += other.b_[c];
}

void NormalSystem::add_symmetric(MatrixView<const float> symmetric) {
  for (std::int64_t r = 0; r < size_; ++r)
    for (std::int64_t c = r; c < size_; ++c) row(r)[c] += symmetric(r, c);
}

void NormalSystem::add_diagonal(float value) {
  for (std::int64_t r = 0; r < size_; ++r) row(r)[r] += value;
}

// A = UᵀU, left-looking, one block of rows of U after the other: a block is A's rows less what the
// rows of U above contribute, then solved with the triangle on its diagonal.
bool NormalSystem::factor_diagonal(std::int64_t first) {
  const std::int64_t column = first / kLanes * kLanes;
  Tile<1> tile;
  multiply<1, kTileRows>(a_ + first, stride_, 1, a_ + column, stride_, first, tile);
  for (int r = 0; r < kTileRows; ++r) tile[r][0] = load(row(first + r) + column) - tile[r][0];
  for (int p = 0; p < kTileRows; ++p) {
    float* u = row(first + p);
    store(u + column, tile[p][0]);
    const float pivot = u[first + p];
    if (!(pivot > 0)) return false;
    const float inverse = 1 / std::sqrt(pivot);
    inverse_diagonal_[first + p] = inverse;
    tile[p][0] *= broadcast(inverse);
    store(u + column, tile[p][0]);
    for (int r = p + 1; r < kTileRows; ++r) tile[r][0] -= u[first + r] * tile[p][0];
  }
  // The right-hand side goes along as one more column.
  for (int p = 0; p < kTileRows; ++p) {
    const float y = b_[first + p] *= inverse_diagonal_[first + p];
    for (std::int64_t c = first + p + 1; c < column + kLanes; ++c) b_[c] -= y * row(first + p)[c];
  }
  return true;
}

void NormalSystem::factor_right_of(std::int64_t first) {
  const float* inverse = inverse_diagonal_ + first;
  for_tiles(first / kLanes + 1, vecs_, [&]<int kVecs>(std::int64_t vec) {
    Tile<kVecs> tile;
    multiply<kVecs, kTileRows>(a_ + first, stride_, 1, a_ + vec * kLanes, stride_, first, tile);
    Vec b[kVecs];
#pragma GCC unroll 3
    for (int v = 0; v < kVecs; ++v) b[v] = load(b_ + (vec + v) * kLanes);
#pragma GCC unroll 8
    for (int p = 0; p < kTileRows; ++p) {
      float* u = row(first + p);
#pragma GCC unroll 3
      for (int v = 0; v < kVecs; ++v) {
        float* value = u + (vec + v) * kLanes;
        tile[p][v] = load(value) - tile[p][v];
#pragma GCC unroll 8
        for (int r = 0; r < p; ++r) tile[p][v] -= row(first + r)[first + p] * tile[r][v];
        tile[p][v] *= broadcast(inverse[p]);
        store(value, tile[p][v]);
        b[v] -= b_[first + p] * tile[p][v];
      }
    }
#pragma GCC unroll 3
    for (int v = 0; v < kVecs; ++v) store(b_ + (vec + v) * kLanes, b[v]);
  });
}

// U x = y. x_ is zero where it is not yet known, so whole rows can be multiplied.
void NormalSystem::substitute_back() {
  std::fill(x_, x_ + stride_, 0.0f);
  for (std::int64_t first = rows_ - kBlock; first >= 0; first -= kBlock) {
    Vec dots[kBlock] = {};
    for (std::int64_t c = first / kLanes * kLanes; c < vecs_ * kLanes; c += kLanes) {
      const Vec x = load(x_ + c);
#pragma GCC unroll 8
      for (int r = 0; r < kBlock; ++r) dots[r] += load(row(first + r) + c) * x;
    }
    const Vec8 known = sum_each(dots);
    for (std::int64_t r = kBlock - 1; r >= 0; --r) {
      float sum = b_[first + r] - known[r];
      for (std::int64_t c = r + 1; c < kBlock; ++c)
        sum -= row(first + r)[first + c] * x_[first + c];
      x_[first + r] = sum * inverse_diagonal_[first + r];
    }
  }
}

bool NormalSystem::solve() {
  for (std::int64_t first = 0; first < rows_; first += kTileRows) {
    if (!factor_diagonal(first)) return false;
    factor_right_of(first);
  }
  substitute_back();
  return true;
}

}  // namespace gradmill::cpu
