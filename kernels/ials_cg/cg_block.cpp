#include "kernels/ials_cg/cg_block.h"

#include <algorithm>

#include "kernels/normal_system/tile.h"
#include "kernels/simd.h"

namespace gradmill::cpu {
namespace {
using namespace simd;                              // NOLINT: vectors throughout
constexpr float kConverged = 1e-20f;               // of the squared residual
constexpr std::int64_t kResidentFloats = 160'000;  // 640 kB, most of a core's L2
constexpr std::int64_t kGroup = 8;                 // entries whose dot products are summed together
constexpr std::int64_t kPiece = 2 * kGroup;        // entries gathered at a time, into L1

constexpr std::int64_t vector_stride(std::int64_t num_factors) {
  return round_up(num_factors, kCacheLineFloats);
}

float dot(const float* a, const float* b, std::int64_t vecs) {
  Vec sum = {};
  for (std::int64_t v = 0; v < vecs; ++v) sum += load(a + v * kLanes) * load(b + v * kLanes);
  const Vec sums[8] = {sum};
  return sum_each(sums)[0];
}

/// to += scale * from
void axpy(float scale, const float* from, float* to, std::int64_t vecs) {
  for (std::int64_t v = 0; v < vecs; ++v)
    store(to + v * kLanes, load(to + v * kLanes) + scale * load(from + v * kLanes));
}
}  // namespace

std::int64_t CgBlock::capacity(std::int64_t num_factors) {
  return kResidentFloats / (vector_stride(num_factors) + 2) / kPiece * kPiece;
}

std::int64_t CgBlock::memory_floats(std::int64_t num_factors) {
  return 4 * kRows * vector_stride(num_factors) +
         (kPiece + capacity(num_factors)) * (vector_stride(num_factors) + 2);
}

CgBlock::CgBlock(const IalsCgArgs& args, const NormalEquationsArgs& equations, const float* base,
                 float* memory)
    : args_(args),
      equations_(equations),
      base_(base),
      stride_(vector_stride(args.factors.cols)),
      base_stride_(row_stride(args.factors.cols)),
      vecs_((args.factors.cols + kLanes - 1) / kLanes),
      capacity_(capacity(args.factors.cols)),
      x_(memory),
      residual_(x_ + kRows * stride_),
      direction_(residual_ + kRows * stride_),
      product_(direction_ + kRows * stride_) {
  std::fill(memory, memory + memory_floats(args.factors.cols), 0.0f);
  const std::int64_t slots_count = kPiece + capacity_;
  float* factors = product_ + kRows * stride_;
  entries_ = {factors, stride_, factors + slots_count * stride_,
              factors + slots_count * (stride_ + 1)};
}

void CgBlock::add(std::int64_t row) {
  const std::int64_t first = args_.ratings.offsets[row], last = args_.ratings.offsets[row + 1];
  const std::int64_t count = last - first;
  if (count_ == kRows || (used_ + count > capacity_ && used_ > 0)) solve();
  const std::int64_t resident = std::min(count, capacity_);
  rows_[count_++] = {row, first, last, used_, resident, true, ridge(args_.model, count), 0};
  used_ += resident;
}

/// Memory for entries from this slot on.
EntryPanel CgBlock::slots(std::int64_t first) const {
  return {entries_.factors + first * stride_, stride_, entries_.weights_a + first,
          entries_.weights_b + first};
}

/// product_ = vectors * base, all rows at once.
void CgBlock::multiply_base(const float* vectors) {
  constexpr int kTile = 4;
  for (std::int64_t first = 0; first < count_;) {
    if (kTileRows > kTile && count_ - first > kTile) {
      multiply_base_tile<kTileRows>(vectors, first);
      first += kTileRows;
    } else {
      multiply_base_tile<kTile>(vectors, first);
      first += kTile;
    }
  }
}

template <int kTile>
void CgBlock::multiply_base_tile(const float* vectors, std::int64_t first) {
  for_tiles(0, vecs_, [&]<int kVecs>(std::int64_t vec) {
    Tile<kVecs, kTile> tile;
    multiply<kVecs, kTile>(vectors + first * stride_, 1, stride_, base_ + vec * kLanes,
                           base_stride_, args_.factors.cols, tile);
#pragma GCC unroll 8
    for (int r = 0; r < kTile; ++r)
#pragma GCC unroll 3
      for (int v = 0; v < kVecs; ++v)
        store(product_ + (first + r) * stride_ + (vec + v) * kLanes, tile[r][v]);
  });
}

namespace {
/// sum += scale_e y_e for one group of entries, where scale_e comes from the dot product y_e . x.
template <class Scale>
void add_group(const float* y, std::int64_t stride, std::int64_t vecs, const float* x, float* sum,
               const Scale& scale) {
  Vec dots[kGroup] = {};
  for (std::int64_t v = 0; v < vecs; ++v) {
    const Vec value = load(x + v * kLanes);
#pragma GCC unroll 8
    for (std::int64_t e = 0; e < kGroup; ++e) dots[e] += load(y + e * stride + v * kLanes) * value;
  }
  const Vec8 scales = scale(sum_each(dots));
  Vec broadcasts[kGroup];
#pragma GCC unroll 8
  for (std::int64_t e = 0; e < kGroup; ++e) broadcasts[e] = broadcast(scales[e]);
  for (std::int64_t v = 0; v < vecs; ++v) {
    Vec even = load(sum + v * kLanes), odd = {};
#pragma GCC unroll 4
    for (std::int64_t e = 0; e < kGroup; e += 2) {
      even += broadcasts[e] * load(y + e * stride + v * kLanes);
      odd += broadcasts[e + 1] * load(y + (e + 1) * stride + v * kLanes);
    }
    store(sum + v * kLanes, even + odd);
  }
}
}  // namespace

/// Pass::product: sum += sum of w y (y . vector); Pass::residual: sum += sum of (wb - w y . vector) y
template <CgBlock::Pass kPass>
void CgBlock::add_entries(const Row& row, const float* vector, float* sum) {
  const std::int64_t whole = row.last - row.first;
  for (std::int64_t done = 0; done < whole;) {
    const bool passing = done >= row.resident, gathering = kPass == Pass::residual || passing;
    const std::int64_t left = (passing ? whole : row.resident) - done;
    const std::int64_t count = gathering ? std::min(kPiece, left) : left;
    const EntryPanel panel = slots(passing ? capacity_ : row.slot + done);
    if (gathering) gather(equations_, row.first + done, count, panel);
    done += count;
    std::int64_t e = 0;
    for (; e + kGroup <= count; e += kGroup)
      add_group(panel.factors + e * stride_, stride_, vecs_, vector, sum, [&](Vec8 dots) {
        const Vec8 a = load8(panel.weights_a + e), b = load8(panel.weights_b + e);
        return kPass == Pass::residual ? b - a * dots : a * dots;
      });
    for (; e < count; ++e) {
      const float* y = panel.factors + e * stride_;
      const float scale = panel.weights_a[e] * dot(y, vector, vecs_);
      axpy(kPass == Pass::residual ? panel.weights_b[e] - scale : scale, y, sum, vecs_);
    }
  }
}

void CgBlock::solve() {
  if (count_ == 0) return;
  const std::int64_t k = args_.factors.cols;
  for (std::int64_t i = 0; i < kRows; ++i) {
    if (i < count_)
      std::copy_n(args_.solutions.row(rows_[i].row), k, x_ + i * stride_);
    else
      std::fill_n(x_ + i * stride_, stride_, 0.0f);
  }
  multiply_base(x_);
  for (std::int64_t i = 0; i < count_; ++i)
    start(rows_[i], x_ + i * stride_, residual_ + i * stride_, direction_ + i * stride_,
          product_ + i * stride_);
  for (int s = 0; s < args_.steps; ++s) {
    if (std::none_of(rows_, rows_ + count_, [](const Row& row) { return row.active; })) break;
    multiply_base(direction_);
    for (std::int64_t i = 0; i < count_; ++i)
      if (rows_[i].active)
        step(rows_[i], x_ + i * stride_, residual_ + i * stride_, direction_ + i * stride_,
             product_ + i * stride_);
  }
  for (std::int64_t i = 0; i < count_; ++i)
    std::copy_n(x_ + i * stride_, k, args_.solutions.row(rows_[i].row));
  count_ = used_ = 0;
}

void CgBlock::start(Row& row, float* x, float* residual, float* direction,
                    const float* base_product) {
  for (std::int64_t c = 0; c < stride_; ++c) residual[c] = -base_product[c] - row.ridge * x[c];
  add_entries<Pass::residual>(row, x, residual);
  std::copy_n(residual, stride_, direction);
  row.residual_norm = dot(residual, residual, vecs_);
  row.active = row.residual_norm > kConverged;
}

void CgBlock::step(Row& row, float* x, float* residual, float* direction, float* product) {
  axpy(row.ridge, direction, product, vecs_);
  add_entries<Pass::product>(row, direction, product);
  const float length = row.residual_norm / dot(direction, product, vecs_);
  axpy(length, direction, x, vecs_);
  axpy(-length, product, residual, vecs_);
  const float norm = dot(residual, residual, vecs_), ratio = norm / row.residual_norm;
  for (std::int64_t c = 0; c < stride_; ++c) direction[c] = residual[c] + ratio * direction[c];
  row.residual_norm = norm;
  row.active = norm > kConverged;
}

}  // namespace gradmill::cpu
