#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "kernels/mf_sgd/mf_sgd.h"
#include "tests/support/device_run.h"
#include "tests/support/devices.h"
#include "tests/support/random_ratings.h"

namespace gradmill {
namespace {

struct Problem {
  std::int64_t ratings, users, items, k;
  std::int32_t user_blocks = 4, item_blocks = 4;
  std::int64_t padding = 0;
  bool adagrad = true;
};

/// The contract in double precision, one pass of all waves.
class Reference {
 public:
  explicit Reference(const MfSgdArgs& args)
      : args_(args),
        users_(args.users.data, args.users.data + args.users.rows * args.users.stride),
        items_(args.items.data, args.items.data + args.items.rows * args.items.stride),
        user_state_(args.user_state.data, args.user_state.data + args.user_state.rows * 4),
        item_state_(args.item_state.data, args.item_state.data + args.item_state.rows * 4) {}

  void wave(std::int32_t shift) {
    const SgdBlocks& b = args_.blocks;
    for (std::int64_t i = 0; i < b.user_blocks; ++i) {
      const std::int64_t block = i * b.item_blocks + (i + shift) % b.item_blocks;
      for (std::int64_t e = b.offsets[block]; e < b.offsets[block + 1]; ++e)
        args_.loss[i] += update(b.ratings[e]);
    }
  }
  void store() const {
    std::copy(users_.begin(), users_.end(), args_.users.data);
    std::copy(items_.begin(), items_.end(), args_.items.data);
    std::copy(user_state_.begin(), user_state_.end(), args_.user_state.data);
    std::copy(item_state_.begin(), item_state_.end(), args_.item_state.data);
  }

 private:
  double update(const SgdRating& r) {
    const SgdRates& rates = args_.rates;
    double *p = &users_[r.user * args_.users.stride], *q = &items_[r.item * args_.items.stride];
    double *ps = &user_state_[r.user * 4], *qs = &item_state_[r.item * 4];
    const auto rate = [&](double squares) {
      return rates.adagrad ? rates.learning_rate / std::sqrt(squares) : rates.learning_rate;
    };
    const std::int64_t k = args_.users.cols;
    double dot = 0, p_squares = 0, q_squares = 0;
    for (std::int64_t f = 0; f < k; ++f) dot += p[f] * q[f];
    const double error = r.value - (rates.global_mean + ps[0] + qs[0] + dot);
    const double p_rate = rate(ps[2]), q_rate = rate(qs[2]);
    for (std::int64_t f = 0; f < k; ++f) {
      const double p_grad = error * q[f] - rates.l2_factors * p[f];
      const double q_grad = error * p[f] - rates.l2_factors * q[f];
      p_squares += p_grad * p_grad;
      q_squares += q_grad * q_grad;
      p[f] += p_rate * p_grad;
      q[f] += q_rate * q_grad;
    }
    ps[3] = qs[3] = 0;
    for (std::int64_t f = 0; f < k; ++f) {
      ps[3] += p[f] * p[f];
      qs[3] += q[f] * q[f];
    }
    ps[2] += p_squares / static_cast<double>(k);
    qs[2] += q_squares / static_cast<double>(k);
    for (double* s : {ps, qs}) {
      const double grad = error - rates.l2_biases * s[0];
      s[0] += rate(s[1]) * grad;
      s[1] += grad * grad;
    }
    return error * error;
  }
  const MfSgdArgs& args_;
  std::vector<double> users_, items_, user_state_, item_state_;
};

void check(const Context& gpu, const Problem& p) {
  std::mt19937 rng(7);
  std::vector<SgdRating> ratings;
  std::vector<std::int64_t> offsets{0};
  const std::int64_t width = p.users / p.user_blocks, height = p.items / p.item_blocks;
  for (std::int64_t block = 0; block < p.user_blocks * p.item_blocks; ++block) {
    // Blocks of very different sizes, some empty; rows repeat often, also one after the other.
    const std::int64_t count = p.ratings * (block % 5) / (2 * p.user_blocks * p.item_blocks);
    for (std::int64_t e = 0; e < count; ++e)
      ratings.push_back({static_cast<std::int32_t>(block / p.item_blocks * width + rng() % width),
                         static_cast<std::int32_t>(block % p.item_blocks * height + rng() % height),
                         1 + static_cast<float>(rng() % 9) * 0.5f});
    offsets.push_back(static_cast<std::int64_t>(ratings.size()));
  }
  const std::int64_t stride = p.k + p.padding;
  const auto table = [&](std::int64_t rows, unsigned seed) {
    auto values = testing::random_values(rows * stride, seed, 0.2f);
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t f = p.k; f < stride; ++f) values[r * stride + f] = 0;
    return values;
  };
  const auto state = [&](const std::vector<float>& rows) {
    std::vector<float> values;
    for (std::size_t r = 0; r < rows.size(); r += static_cast<std::size_t>(stride)) {
      float norm = 0;
      for (std::int64_t f = 0; f < p.k; ++f) norm += rows[r + f] * rows[r + f];
      values.insert(values.end(), {0.1f, 1, 1, norm});
    }
    return values;
  };
  auto users = table(p.users, 1), items = table(p.items, 2);
  auto user_state = state(users), item_state = state(items);
  std::vector<double> loss(static_cast<std::size_t>(p.user_blocks), 0.5);
  MfSgdArgs args;
  args.blocks.ratings = {ratings.data(), static_cast<std::int64_t>(ratings.size()), {}};
  args.blocks.offsets = {offsets.data(), static_cast<std::int64_t>(offsets.size()), {}};
  args.blocks.user_blocks = p.user_blocks;
  args.blocks.item_blocks = p.item_blocks;
  args.rates.learning_rate = p.adagrad ? 0.1f : 0.01f;
  args.rates.adagrad = p.adagrad;
  args.rates.global_mean = 3;
  args.users = {users.data(), p.users, p.k, stride, {}};
  args.items = {items.data(), p.items, p.k, stride, {}};
  args.user_state = {user_state.data(), p.users, 4, 4, {}};
  args.item_state = {item_state.data(), p.items, 4, 4, {}};
  args.loss = {loss.data(), p.user_blocks, {}};
  Reference reference(args);
  testing::expect_device_matches(
      gpu, fmt::format("mf_sgd {} ratings, {} factors (stride {})", ratings.size(), p.k, stride),
      args, {1e-3, 1e-4},
      [&](const Context& ctx, const MfSgdArgs& a) {
        MfSgdArgs wave = a;
        for (wave.shift = 0; wave.shift < p.item_blocks; ++wave.shift) mf_sgd(ctx, wave);
      },
      [&](const MfSgdArgs&) {
        for (std::int32_t shift = 0; shift < p.item_blocks; ++shift) reference.wave(shift);
        reference.store();
      },
      [&](const MfSgdArgs& a) {
        const auto host = testing::to_host(gpu, a.users);
        for (std::int64_t r = 0; r < p.users; ++r)
          for (std::int64_t f = p.k; f < stride; ++f) ASSERT_EQ(host[r * stride + f], 0);
      });
}

TEST(MfSgdCuda, EveryNumberOfFactors) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const std::int64_t k : {1, 7, 16, 31, 32, 33, 64, 100, 128, 255, 256})
    check(*gpus[0], {.ratings = 500, .users = 40, .items = 24, .k = k});
  for (const std::int64_t k : {6, 30, 62, 100})
    check(*gpus[0], {.ratings = 500, .users = 40, .items = 24, .k = k, .padding = 4 - k % 4 + 4});
}

TEST(MfSgdCuda, RatingsBlocksAndRates) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const std::int64_t ratings : {0, 1, 31, 32, 33, 257, 10'000})
    check(*gpus[0], {.ratings = ratings,
                     .users = 64,
                     .items = 64,
                     .k = 12,
                     .user_blocks = 7,
                     .item_blocks = 9});
  check(*gpus[0],
        {.ratings = 300, .users = 5, .items = 3, .k = 20, .user_blocks = 1, .item_blocks = 1});
  check(*gpus[0], {.ratings = 2000, .users = 50, .items = 50, .k = 24, .adagrad = false});
}

}  // namespace
}  // namespace gradmill
