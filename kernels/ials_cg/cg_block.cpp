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

constexpr std::int64_t panel_stride(std::int64_t num_factors) {
  return round_up(num_factors, kCacheLineFloats);
}
/// Of a vector of the iteration, with a line for the bias.
constexpr std::int64_t vector_stride(std::int64_t num_factors) {
  return panel_stride(num_factors) + kCacheLineFloats;
}

float sum_lanes(Vec8 lanes) {
  float sum = 0;
  for (int lane = 0; lane < 8; ++lane) sum += lanes[lane];
  return sum;
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
  return kResidentFloats / (panel_stride(num_factors) + 2) / kPiece * kPiece;
}

/// Rows that are whole vectors are read where they are.
bool CgBlock::in_place(std::int64_t num_factors) { return num_factors % kLanes == 0; }

std::int64_t CgBlock::memory_floats(std::int64_t num_factors) {
  const std::int64_t copied = in_place(num_factors) ? 0 : panel_stride(num_factors);
  return 4 * kRows * vector_stride(num_factors) + (kPiece + capacity(num_factors)) * (copied + 2);
}

CgBlock::CgBlock(const IalsCgArgs& args, const NormalEquationsArgs& equations, const float* base,
                 float* memory)
    : args_(args),
      equations_(equations),
      base_(base),
      stride_(vector_stride(args.factors.cols)),
      base_stride_(row_stride(args.factors.cols)),
      vecs_((args.factors.cols + kLanes - 1) / kLanes),
      all_vecs_(vecs_ + (equations.biases.size ? 1 : 0)),
      bias_(vecs_ * kLanes),
      capacity_(capacity(args.factors.cols)),
      x_(memory),
      residual_(x_ + kRows * stride_),
      direction_(residual_ + kRows * stride_),
      product_(direction_ + kRows * stride_),
      in_place_(in_place(args.factors.cols)),
      factors_(static_cast<std::size_t>(capacity_ + kPiece + kGroup)) {
  std::fill(memory, memory + memory_floats(args.factors.cols), 0.0f);
  const std::int64_t slots_count = kPiece + capacity_;
  float* weights = product_ + kRows * stride_;
  entries_ = {weights + 2 * slots_count, panel_stride(args.factors.cols), weights,
              weights + slots_count};
}

void CgBlock::add(std::int64_t row) {
  const std::int64_t first = args_.ratings.offsets[row], last = args_.ratings.offsets[row + 1];
  const std::int64_t count = last - first;
  if (count_ == kRows || (used_ + count > capacity_ && used_ > 0)) solve();
  const std::int64_t resident = std::min(count, capacity_);
  rows_[count_++] = {row, first, last, used_, resident, true, ridge(args_.model, count), 0};
  if (in_place_) take(first, resident, used_);
  used_ += resident;
}

/// Fills in entries [first, first + count) of the ratings, from this slot on.
void CgBlock::take(std::int64_t first, std::int64_t count, std::int64_t slot) {
  const EntryPanel panel = slots(slot);
  if (in_place_)
    weigh(equations_, first, count, panel.weights_a, panel.weights_b);
  else
    gather(equations_, first, count, panel);
  for (std::int64_t i = 0; i < count; ++i)
    factors_[static_cast<std::size_t>(slot + i)] =
        in_place_ ? args_.factors.row(args_.ratings.indices[first + i])
                  : panel.factors + i * panel.stride;
}

/// Memory for entries from this slot on.
EntryPanel CgBlock::slots(std::int64_t first) const {
  return {entries_.factors + first * entries_.stride, entries_.stride, entries_.weights_a + first,
          entries_.weights_b + first};
}

/// product_ = vectors * base, all rows at once.
void CgBlock::multiply_base(const float* vectors) {
  if (!base_) {
    std::fill_n(product_, count_ * stride_, 0.0f);
    return;
  }
  for (std::int64_t first = 0; first < count_;) {
    const std::int64_t left = count_ - first;
    if (kTileRows > 4 && left > 4) {
      multiply_base_tile<kTileRows>(vectors, first);
      first += kTileRows;
    } else if (left > 2) {
      multiply_base_tile<4>(vectors, first);
      first += 4;
    } else {
      multiply_base_tile<2>(vectors, first);
      first += 2;
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
/// Lane e is y[e] . x. The rows after these are on their way to L1 meanwhile.
Vec8 dot_group(const float* const* y, const float* x, std::int64_t vecs) {
  Vec dots[kGroup] = {};
  for (std::int64_t c = 0; c < vecs * kLanes; c += kLanes) {
    const Vec value = in_register(load(x + c));
#pragma GCC unroll 8
    for (std::int64_t e = 0; e < kGroup; ++e) {
      __builtin_prefetch(y[kGroup + e] + c);
      dots[e] += load(y[e] + c) * value;
    }
  }
  return sum_each(dots);
}

/// sum += scales[e] y[e]
void add_group(const float* const* y, Vec8 scales, float* sum, std::int64_t vecs) {
  Vec broadcasts[kGroup];
#pragma GCC unroll 8
  for (std::int64_t e = 0; e < kGroup; ++e) broadcasts[e] = in_register(broadcast(scales[e]));
  for (std::int64_t c = 0; c < vecs * kLanes; c += kLanes) {
    Vec even = load(sum + c), odd = {};
#pragma GCC unroll 4
    for (std::int64_t e = 0; e < kGroup; e += 2) {
      even += broadcasts[e] * load(y[e] + c);
      odd += broadcasts[e + 1] * load(y[e + 1] + c);
    }
    store(sum + c, even + odd);
  }
}
}  // namespace

/// Pass::residual: sum += sum of (wb - w y . vector) y; Pass::product: sum += sum of w y (y . vector);
/// Pass::length: returns the sum of w (y . vector)^2. y ends with the 1 of a bias.
template <CgBlock::Pass kPass>
float CgBlock::add_entries(const Row& row, const float* vector, float* sum) {
  const std::int64_t whole = row.last - row.first;
  const float bias = vector[bias_];
  Vec8 lengths = {}, bias_sums = {};
  for (std::int64_t done = 0; done < whole;) {
    const bool passing = done >= row.resident;
    const bool taking = passing || (kPass == Pass::residual && !in_place_);
    const std::int64_t left = (passing ? whole : row.resident) - done;
    const std::int64_t count = taking ? std::min(kPiece, left) : left;
    const std::int64_t slot = passing ? capacity_ : row.slot + done;
    if (taking) take(row.first + done, count, slot);
    done += count;
    const EntryPanel panel = slots(slot);
    const float* const* y = factors_.data() + slot;
    std::int64_t e = 0;
    for (; e + kGroup <= count; e += kGroup) {
      const Vec8 dots = dot_group(y + e, vector, vecs_) + bias;
      Vec8 scales = load8(panel.weights_a + e) * dots;
      if constexpr (kPass == Pass::length) {
        lengths += scales * dots;
      } else {
        if (kPass == Pass::residual) scales = load8(panel.weights_b + e) - scales;
        add_group(y + e, scales, sum, vecs_);
        bias_sums += scales;
      }
    }
    for (; e < count; ++e) {
      const float one = dot(y[e], vector, vecs_) + bias;
      float scale = panel.weights_a[e] * one;
      if constexpr (kPass == Pass::length) {
        lengths[0] += scale * one;
      } else {
        if (kPass == Pass::residual) scale = panel.weights_b[e] - scale;
        axpy(scale, y[e], sum, vecs_);
        bias_sums[0] += scale;
      }
    }
  }
  if (kPass != Pass::length && biased()) sum[bias_] += sum_lanes(bias_sums);
  return sum_lanes(lengths);
}

void CgBlock::solve() {
  if (count_ == 0) return;
  const std::int64_t k = args_.factors.cols;
  for (std::int64_t i = 0; i < kRows; ++i) {
    if (i < count_)
      std::copy_n(args_.solutions.row(rows_[i].row), k, x_ + i * stride_);
    else
      std::fill_n(x_ + i * stride_, stride_, 0.0f);
    if (i < count_ && biased()) x_[i * stride_ + bias_] = args_.solution_biases[rows_[i].row];
  }
  multiply_base(x_);
  for (std::int64_t i = 0; i < count_; ++i)
    start(rows_[i], x_ + i * stride_, residual_ + i * stride_, direction_ + i * stride_,
          product_ + i * stride_);
  for (int s = 0; s < args_.steps; ++s) {
    if (std::none_of(rows_, rows_ + count_, [](const Row& row) { return row.active; })) break;
    multiply_base(direction_);
    for (std::int64_t i = 0; i < count_; ++i) {
      if (!rows_[i].active) continue;
      float *x = x_ + i * stride_, *direction = direction_ + i * stride_;
      if (s + 1 < args_.steps)
        step(rows_[i], x, residual_ + i * stride_, direction, product_ + i * stride_);
      else
        last_step(rows_[i], x, direction, product_ + i * stride_);
    }
  }
  for (std::int64_t i = 0; i < count_; ++i) {
    std::copy_n(x_ + i * stride_, k, args_.solutions.row(rows_[i].row));
    if (biased()) args_.solution_biases[rows_[i].row] = x_[i * stride_ + bias_];
  }
  count_ = used_ = 0;
}

void CgBlock::start(Row& row, float* x, float* residual, float* direction,
                    const float* base_product) {
  for (std::int64_t c = 0; c < stride_; ++c) residual[c] = -base_product[c] - row.ridge * x[c];
  add_entries<Pass::residual>(row, x, residual);
  std::copy_n(residual, stride_, direction);
  row.residual_norm = dot(residual, residual, all_vecs_);
  row.active = row.residual_norm > kConverged;
}

void CgBlock::step(Row& row, float* x, float* residual, float* direction, float* product) {
  axpy(row.ridge, direction, product, all_vecs_);
  add_entries<Pass::product>(row, direction, product);
  const float length = row.residual_norm / dot(direction, product, all_vecs_);
  axpy(length, direction, x, all_vecs_);
  axpy(-length, product, residual, all_vecs_);
  const float norm = dot(residual, residual, all_vecs_), ratio = norm / row.residual_norm;
  for (std::int64_t c = 0; c < stride_; ++c) direction[c] = residual[c] + ratio * direction[c];
  row.residual_norm = norm;
  row.active = norm > kConverged;
}

/// Nobody needs the residual any more, so that A's product with the direction d need not be known, only
/// its length in it, d . A d.
void CgBlock::last_step(Row& row, float* x, const float* direction, float* product) {
  axpy(row.ridge, direction, product, all_vecs_);
  const float squared =
      dot(direction, product, all_vecs_) + add_entries<Pass::length>(row, direction, nullptr);
  axpy(row.residual_norm / squared, direction, x, all_vecs_);
}

}  // namespace gradmill::cpu
