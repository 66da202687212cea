#include "kernels/mf_sgd/mf_sgd.h"

#include <algorithm>
#include <array>
#include <type_traits>
#include <vector>

#include "kernels/simd.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {
constexpr int kWidth = 16;                 // floats in a vector, and ratings in a run
constexpr int kMaxVectors = 256 / kWidth;  // whose number is known when compiling

typedef float Vec4 __attribute__((vector_size(16)));
typedef float Vec8 __attribute__((vector_size(32)));
typedef float Vec __attribute__((vector_size(4 * kWidth)));  // two registers on AVX2
typedef float LooseVec4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef float LooseVec __attribute__((vector_size(4 * kWidth), aligned(4), may_alias));
using Four = std::array<Vec, 4>;

Vec load(const float* p) { return *reinterpret_cast<const LooseVec*>(p); }
void store(float* p, Vec v) { *reinterpret_cast<LooseVec*>(p) = v; }
Vec broadcast(float x) { return x - Vec{}; }

/// In each group of four lanes: lanes A, B of x, then lanes C, D of y.
template <int A, int B, int C, int D>
Vec pick(Vec x, Vec y) {
  return __builtin_shufflevector(x, y, A, B, 16 + C, 16 + D, 4 + A, 4 + B, 20 + C, 20 + D, 8 + A,
                                 8 + B, 24 + C, 24 + D, 12 + A, 12 + B, 28 + C, 28 + D);
}

/// Exchanges lane c of v[r] and lane r of v[c] in each group of four lanes.
Four transpose(const Four& v) {
  const Vec low = pick<0, 1, 0, 1>(v[0], v[1]), high = pick<0, 1, 0, 1>(v[2], v[3]);
  const Vec low2 = pick<2, 3, 2, 3>(v[0], v[1]), high2 = pick<2, 3, 2, 3>(v[2], v[3]);
  return {pick<0, 2, 0, 2>(low, high), pick<1, 3, 1, 3>(low, high), pick<0, 2, 0, 2>(low2, high2),
          pick<1, 3, 1, 3>(low2, high2)};
}

/// Group g of four lanes: v[g]'s lanes summed by quarters.
Vec quarter_sums(Vec v0, Vec v1, Vec v2, Vec v3) {
  const auto halves = [](Vec a, Vec b) {
    return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
           __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30,
                                   31);
  };
  const Vec a = halves(v0, v1), b = halves(v2, v3);
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
         __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}

/// Lane r: the sum of v[r]'s lanes.
Vec sums(const std::array<Vec, kWidth>& v) {
  Four q;
  for (std::size_t m = 0; m < 4; ++m) q[m] = quarter_sums(v[m], v[4 + m], v[8 + m], v[12 + m]);
  const auto pairs = [](Vec a, Vec b) { return pick<0, 2, 0, 2>(a, b) + pick<1, 3, 1, 3>(a, b); };
  return pairs(pairs(q[0], q[1]), pairs(q[2], q[3]));
}

Vec square_roots(Vec v) {
  Vec roots;
  for (int i = 0; i < kWidth; ++i) roots[i] = __builtin_sqrtf(v[i]);
  return roots;
}

/// A factor table and its states.
struct Side {
  float *factors, *states;
  std::int64_t stride, state_stride;

  Side(const MatrixView<float>& rows, const MatrixView<float>& state)
      : factors(rows.data), states(state.data), stride(rows.stride), state_stride(state.stride) {}
  float* row(std::int32_t r) const { return factors + r * stride; }
  float* state(std::int32_t r) const { return states + r * state_stride; }
  __attribute__((always_inline)) void prefetch(std::int32_t r, int vectors) const {
    for (int v = 0; v < vectors; ++v) __builtin_prefetch(row(r) + v * kWidth, 1);
    __builtin_prefetch(state(r), 1);
  }
};

/// What is known of each of a run's rows of one side: lane r belongs to rating r.
struct States {
  Vec bias, bias_squares, squares, norm;

  explicit States(const std::array<float*, kWidth>& from) {
    const auto four = [&](std::size_t m) {
      const auto at = [&](std::size_t r) { return *reinterpret_cast<const LooseVec4*>(from[r]); };
      const Vec8 low = __builtin_shufflevector(at(m), at(4 + m), 0, 1, 2, 3, 4, 5, 6, 7),
                 high = __builtin_shufflevector(at(8 + m), at(12 + m), 0, 1, 2, 3, 4, 5, 6, 7);
      return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
                                     15);
    };
    const Four columns = transpose({four(0), four(1), four(2), four(3)});
    bias = columns[0], bias_squares = columns[1], squares = columns[2], norm = columns[3];
  }

  void write(const std::array<float*, kWidth>& to) const {
    const Four rows = transpose({bias, bias_squares, squares, norm});
    for (std::size_t m = 0; m < 4; ++m) {
      const auto at = [&](std::size_t r) -> LooseVec4& {
        return *reinterpret_cast<LooseVec4*>(to[r]);
      };
      at(m) = __builtin_shufflevector(rows[m], rows[m], 0, 1, 2, 3);
      at(4 + m) = __builtin_shufflevector(rows[m], rows[m], 4, 5, 6, 7);
      at(8 + m) = __builtin_shufflevector(rows[m], rows[m], 8, 9, 10, 11);
      at(12 + m) = __builtin_shufflevector(rows[m], rows[m], 12, 13, 14, 15);
    }
  }
};

/// Runs one block on one thread: runs of up to 16 ratings that share no row, each in three passes,
/// so that no pass waits for long chains of operations: dot products; errors, rates and states, all
/// ratings at once; rows.
class BlockRun {
 public:
  explicit BlockRun(const MfSgdArgs& args)
      : users_(args.users, args.user_state),
        items_(args.items, args.item_state),
        rates_(args.rates),
        user_ids_(args.blocks.users.data),
        item_ids_(args.blocks.items.data),
        ratings_(args.blocks.values.data),
        weights_(args.blocks.weights.size ? args.blocks.weights.data : nullptr),
        cols_(args.users.cols),
        per_factor_(1 / static_cast<float>(cols_)) {
    const std::int64_t padded = simd::round_up(cols_, kWidth);
    if (std::min(users_.stride, items_.stride) < padded) {
      for (std::size_t r = 0; r < kWidth; ++r) copies_.emplace_back(2 * padded);
    }
  }

  /// Applies entries begin .. end, which share no row; prefetches those that follow, up to last.
  template <class Count>
  void apply(std::int64_t begin, std::int64_t end, std::int64_t last, Count n) {
    for (; begin < end; begin += kWidth) {
      const auto count = static_cast<std::size_t>(std::min<std::int64_t>(end - begin, kWidth));
      multiply(begin, count, n);
      change_states(begin, count);
      for (std::size_t r = 0; r < count; ++r) {
        const auto ahead = std::min(begin + kWidth + static_cast<std::int64_t>(r), last - 1);
        users_.prefetch(user_ids_[ahead], n);
        items_.prefetch(item_ids_[ahead], n);
        change_rows(r, n);
      }
      if (!copies_.empty()) write_copies(begin, count);
    }
  }

  double loss() const { return loss_; }

 private:
  /// Finds the rows of a run and multiplies them lane by lane. Lanes without a rating have a state
  /// of their own, no error, and so no effect.
  template <class Count>
  void multiply(std::int64_t begin, std::size_t count, Count n) {
    const std::int32_t *user = user_ids_ + begin, *item = item_ids_ + begin;
    for (std::size_t r = 0; r < count; ++r) {
      p_[r] = users_.row(user[r]);
      q_[r] = items_.row(item[r]);
      p_state_[r] = users_.state(user[r]);
      q_state_[r] = items_.state(item[r]);
      values_[r] = ratings_[begin + static_cast<std::int64_t>(r)];
      if (!copies_.empty()) copy_rows(r, n);
      Vec product = load(p_[r]) * load(q_[r]);
      for (int v = 1; v < n; ++v) product += load(p_[r] + v * kWidth) * load(q_[r] + v * kWidth);
      products_[r] = product;
    }
    for (std::size_t r = count; r < kWidth; ++r) {
      p_state_[r] = q_state_[r] = spare_state_;
      values_[r] = rates_.global_mean;
      products_[r] = Vec{};
    }
  }

  void change_states(std::int64_t begin, std::size_t count) {
    if (weights_)
      change_states_by(weights_of(begin, count), count);
    else
      change_states_by(One{}, count);
  }

  /// The weight of every rating of data without weights: multiplying by it is no operation.
  struct One {
    friend Vec operator*(One, Vec v) { return v; }
    friend float operator*(One, float v) { return v; }
    One operator[](int) const { return {}; }
  };
  Vec weights_of(std::int64_t begin, std::size_t count) const {
    Vec w{};
    for (std::size_t r = 0; r < count; ++r)
      w[static_cast<int>(r)] = weights_[begin + static_cast<std::int64_t>(r)];
    return w;
  }

  template <class Weight>
  void change_states_by(Weight w, std::size_t count) {
    States p(p_state_), q(q_state_);
    const Vec dot = sums(products_);
    const Vec error = load(values_) - rates_.global_mean - (p.bias + q.bias) - dot;
    const float l2 = rates_.l2_factors, l2_bias = rates_.l2_biases;
    const Vec p_rate = w * rate(p.squares), q_rate = w * rate(q.squares);
    const Vec p_keep = 1 - l2 * p_rate, q_keep = 1 - l2 * q_rate;
    const Vec p_step = p_rate * error, q_step = q_rate * error;
    store(p_keep_, p_keep);
    store(p_step_, p_step);
    store(q_keep_, q_keep);
    store(q_step_, q_step);

    const Vec error2 = error * error, cross = 2 * l2 * error * dot;
    p.squares += w * (w * positive(error2 * q.norm - cross + l2 * l2 * p.norm)) * per_factor_;
    q.squares += w * (w * positive(error2 * p.norm - cross + l2 * l2 * q.norm)) * per_factor_;
    const Vec p_norm = p.norm;
    p.norm = p_keep * p_keep * p.norm + 2 * p_keep * p_step * dot + p_step * p_step * q.norm;
    q.norm = q_keep * q_keep * q.norm + 2 * q_keep * q_step * dot + q_step * q_step * p_norm;
    for (States* s : {&p, &q}) {
      const Vec gradient = w * (error - l2_bias * s->bias);
      s->bias += rate(s->bias_squares) * gradient;
      s->bias_squares += gradient * gradient;
    }
    p.write(p_state_);
    q.write(q_state_);
    for (int r = 0; r < static_cast<int>(count); ++r) loss_ += w[r] * error2[r];
  }

  template <class Count>
  void change_rows(std::size_t r, Count n) {
    const Vec p_keep = broadcast(p_keep_[r]), p_step = broadcast(p_step_[r]);
    const Vec q_keep = broadcast(q_keep_[r]), q_step = broadcast(q_step_[r]);
    float *p = p_[r], *q = q_[r];
    for (int v = 0; v < n; ++v) {
      const Vec x = load(p + v * kWidth), y = load(q + v * kWidth);
      store(p + v * kWidth, p_keep * x + p_step * y);
      store(q + v * kWidth, q_keep * y + q_step * x);
    }
  }

  /// Rows without padding to a whole vector are worked on in padded copies.
  void copy_rows(std::size_t r, int n) {
    float* copy = copies_[r].data();
    std::copy_n(p_[r], cols_, copy);
    std::copy_n(q_[r], cols_, copy + n * kWidth);
    p_[r] = copy;
    q_[r] = copy + n * kWidth;
  }
  void write_copies(std::int64_t begin, std::size_t count) const {
    for (std::size_t r = 0; r < count; ++r) {
      std::copy_n(p_[r], cols_, users_.row(user_ids_[begin + static_cast<std::int64_t>(r)]));
      std::copy_n(q_[r], cols_, items_.row(item_ids_[begin + static_cast<std::int64_t>(r)]));
    }
  }

  Vec rate(Vec squares) const {
    return rates_.adagrad ? rates_.learning_rate / square_roots(squares)
                          : broadcast(rates_.learning_rate);
  }
  static Vec positive(Vec v) { return v > 0 ? v : Vec{}; }

  Side users_, items_;
  SgdRates rates_;
  const std::int32_t *user_ids_, *item_ids_;
  const float *ratings_, *weights_;  // weights_: or null
  std::int64_t cols_;
  float per_factor_;
  double loss_ = 0;
  std::vector<std::vector<float>> copies_;
  // Of the present run, by rating:
  std::array<float*, kWidth> p_, q_, p_state_, q_state_;
  std::array<Vec, kWidth> products_;
  alignas(64) float values_[kWidth], p_keep_[kWidth], p_step_[kWidth], q_keep_[kWidth],
      q_step_[kWidth];
  float spare_state_[4] = {0, 1, 1, 0};
};

template <class Count>
double run_block(const MfSgdArgs& args, std::int64_t block, Count n) {
  const SgdBlocks& blocks = args.blocks;
  const std::int64_t begin = blocks.offsets[block], end = blocks.offsets[block + 1];
  BlockRun run(args);
  if (blocks.block_groups.size == 0)
    for (std::int64_t e = begin; e < end; ++e) run.apply(e, e + 1, end, n);
  else
    for (std::int64_t g = blocks.block_groups[block], e = begin; g < blocks.block_groups[block + 1];
         ++g) {
      run.apply(e, e + blocks.group_sizes[g], end, n);
      e += blocks.group_sizes[g];
    }
  return run.loss();
}

/// The block with its number of vectors known to the compiler.
template <int kVectors = 1>
double run_block_of(const MfSgdArgs& args, std::int64_t block, int n) {
  if constexpr (kVectors > kMaxVectors)
    return run_block<int>(args, block, n);
  else if (n == kVectors)
    return run_block(args, block, std::integral_constant<int, kVectors>{});
  else
    return run_block_of<kVectors + 1>(args, block, n);
}
}  // namespace

void cpu::mf_sgd(const Context& ctx, const MfSgdArgs& args) {
  const SgdBlocks& blocks = args.blocks;
  const auto vectors = static_cast<int>(simd::round_up(args.users.cols, kWidth) / kWidth);
  ctx.threads().parallel_for(
      blocks.user_blocks, 1, [&](std::int64_t first, std::int64_t last, int) {
        for (std::int64_t i = first; i < last; ++i) {
          const std::int64_t block = i * blocks.item_blocks + (i + args.shift) % blocks.item_blocks;
          args.loss[i] += run_block_of(args, block, vectors);
        }
      });
}

void mf_sgd(const Context& ctx, const MfSgdArgs& args) {
  require(args.users.cols == args.items.cols, "mf_sgd: users have {} factors but items have {}",
          args.users.cols, args.items.cols);
  require(args.user_state.cols == 4 && args.item_state.cols == 4 &&
              args.user_state.rows == args.users.rows && args.item_state.rows == args.items.rows,
          "mf_sgd: states of {} x {} and {} x {} for {} users and {} items", args.user_state.rows,
          args.user_state.cols, args.item_state.rows, args.item_state.cols, args.users.rows,
          args.items.rows);
  require(args.loss.size == args.blocks.user_blocks, "mf_sgd: {} losses of {} user blocks",
          args.loss.size, args.blocks.user_blocks);
  require(args.blocks.items.size == args.blocks.users.size &&
              args.blocks.values.size == args.blocks.users.size &&
              (args.blocks.weights.size == 0 || args.blocks.weights.size == args.blocks.users.size),
          "mf_sgd: {} users, {} items, {} values and {} weights", args.blocks.users.size,
          args.blocks.items.size, args.blocks.values.size, args.blocks.weights.size);
  require(args.blocks.user_blocks <= args.blocks.item_blocks,
          "mf_sgd: {} user blocks need as many item blocks, not {}", args.blocks.user_blocks,
          args.blocks.item_blocks);
  run_kernel(ctx, "mf_sgd", args, cpu::mf_sgd,
             [](const auto& c, const auto& a) { cuda::mf_sgd(c, a); });
}

}  // namespace gradmill
