// Double-precision references of the SGD, prediction and ranking kernels: written from their
// contracts as plainly as possible, to test the fast ones against.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "kernels/mf_predict/mf_predict.h"
#include "kernels/mf_sgd/mf_sgd.h"
#include "kernels/top_k/top_k.h"

namespace gradmill::testing {

/// An SGD problem on the host: blocks, factors with padded rows, states; args() points into it.
struct SgdProblem {
  std::int64_t k = 0, stride = 0;
  std::int32_t blocks = 1;
  std::vector<std::int32_t> rating_users, rating_items;
  std::vector<float> values, weights;  // weights: or empty
  std::vector<std::int64_t> offsets, block_groups;
  std::vector<std::uint8_t> group_sizes;
  std::vector<float> users, items, user_state, item_state;
  std::vector<double> loss;

  MfSgdArgs args(bool with_groups) {
    const auto view = [](auto& v) {
      return VectorView<std::remove_reference_t<decltype(v[0])>>{
          v.data(), static_cast<std::int64_t>(v.size()), {}};
    };
    const auto rows = [](const std::vector<float>& v, std::int64_t stride) {
      return static_cast<std::int64_t>(v.size()) / stride;
    };
    MfSgdArgs a;
    a.blocks = {view(rating_users),
                view(rating_items),
                view(values),
                view(weights),
                view(offsets),
                blocks,
                blocks,
                {},
                {}};
    if (with_groups) {
      a.blocks.block_groups = view(block_groups);
      a.blocks.group_sizes = view(group_sizes);
    }
    a.users = {users.data(), rows(users, stride), k, stride, {}};
    a.items = {items.data(), rows(items, stride), k, stride, {}};
    a.user_state = {user_state.data(), rows(user_state, 4), 4, 4, {}};
    a.item_state = {item_state.data(), rows(item_state, 4), 4, 4, {}};
    a.loss = view(loss);
    return a;
  }
};

/// `count` ratings on blocks x blocks, with user_rows and item_rows rows per block of which the
/// first are drawn more often (skewed), in groups of at most `group` ratings without a common row.
inline SgdProblem random_sgd_problem(std::int64_t count, std::int32_t blocks,
                                     std::int32_t user_rows, std::int32_t item_rows, std::int64_t k,
                                     std::int64_t stride, unsigned seed, std::size_t group = 16) {
  std::mt19937 rng(seed);
  SgdProblem p;
  p.k = k, p.stride = stride, p.blocks = blocks;
  const std::int64_t cells = std::int64_t{blocks} * blocks;
  const auto skewed = [&](std::int32_t rows) {
    const double x = static_cast<double>(rng()) / 4294967296.0;
    return static_cast<std::int32_t>(x * x * rows);
  };
  p.offsets = {0}, p.block_groups = {0};
  for (std::int64_t cell = 0; cell < cells; ++cell) {
    const auto i = static_cast<std::int32_t>(cell / blocks),
               j = static_cast<std::int32_t>(cell % blocks);
    std::set<std::int32_t> used_users, used_items;
    const auto close_group = [&] {
      if (!used_users.empty())
        p.group_sizes.push_back(static_cast<std::uint8_t>(used_users.size()));
      used_users.clear(), used_items.clear();
    };
    for (std::int64_t e = count * cell / cells; e < count * (cell + 1) / cells; ++e) {
      const std::int32_t user = i * user_rows + skewed(user_rows),
                         item = j * item_rows + skewed(item_rows);
      if (used_users.size() == group || used_users.count(user) || used_items.count(item))
        close_group();
      used_users.insert(user), used_items.insert(item);
      p.rating_users.push_back(user), p.rating_items.push_back(item);
      p.values.push_back(1.0f + static_cast<float>(rng() % 9) * 0.5f);
    }
    close_group();
    p.offsets.push_back(static_cast<std::int64_t>(p.values.size()));
    p.block_groups.push_back(static_cast<std::int64_t>(p.group_sizes.size()));
  }
  std::uniform_real_distribution<float> uniform(0, 1 / std::sqrt(static_cast<float>(k)));
  const auto fill = [&](std::int32_t rows, std::vector<float>& factors, std::vector<float>& state) {
    factors.assign(static_cast<std::size_t>(rows * blocks * stride), 0);
    for (std::int64_t r = 0; r < std::int64_t{rows} * blocks; ++r) {
      float norm = 0;
      for (std::int64_t f = 0; f < k; ++f) {
        const float v = factors[static_cast<std::size_t>(r * stride + f)] = uniform(rng);
        norm += v * v;
      }
      state.insert(state.end(), {0, 1, 1, norm});
    }
  };
  fill(user_rows, p.users, p.user_state);
  fill(item_rows, p.items, p.item_state);
  p.loss.assign(static_cast<std::size_t>(blocks), 0);
  return p;
}

/// Gives the problem's ratings weights: 0, 1/2, 1, 3/2 or 2.
inline void add_weights(SgdProblem& p) {
  for (std::size_t e = 0; e < p.values.size(); ++e)
    p.weights.push_back(static_cast<float>(e * 7 % 5) / 2);
}

/// What mf_sgd leaves in a problem, in double precision.
struct SgdReference {
  std::vector<double> users, items, user_state, item_state, loss;

  explicit SgdReference(const SgdProblem& p)
      : users(p.users.begin(), p.users.end()),
        items(p.items.begin(), p.items.end()),
        user_state(p.user_state.begin(), p.user_state.end()),
        item_state(p.item_state.begin(), p.item_state.end()),
        loss(p.loss) {}

  void wave(const SgdProblem& p, std::int32_t shift, const SgdRates& rates) {
    for (std::int32_t i = 0; i < p.blocks; ++i) {
      const auto block = static_cast<std::size_t>(i * p.blocks + (i + shift) % p.blocks);
      for (std::int64_t e = p.offsets[block]; e < p.offsets[block + 1]; ++e)
        loss[static_cast<std::size_t>(i)] += update(p, static_cast<std::size_t>(e), rates);
    }
  }

 private:
  double update(const SgdProblem& problem, std::size_t e, const SgdRates& rates) {
    const auto user = static_cast<std::size_t>(problem.rating_users[e]),
               item = static_cast<std::size_t>(problem.rating_items[e]),
               stride = static_cast<std::size_t>(problem.stride);
    const double w = problem.weights.empty() ? 1.0 : problem.weights[e];
    double *p = &users[user * stride], *q = &items[item * stride];
    double *ps = &user_state[4 * user], *qs = &item_state[4 * item];
    const auto rate = [&](double accumulated) {
      return rates.adagrad ? rates.learning_rate / std::sqrt(accumulated)
                           : static_cast<double>(rates.learning_rate);
    };
    double dot = 0;
    for (std::int64_t f = 0; f < problem.k; ++f) dot += p[f] * q[f];
    const double error = problem.values[e] - (rates.global_mean + ps[0] + qs[0] + dot);
    const double p_rate = rate(ps[2]), q_rate = rate(qs[2]);
    ps[3] = qs[3] = 0;
    for (std::int64_t f = 0; f < problem.k; ++f) {
      const double p_gradient = w * (error * q[f] - rates.l2_factors * p[f]),
                   q_gradient = w * (error * p[f] - rates.l2_factors * q[f]);
      p[f] += p_rate * p_gradient;
      q[f] += q_rate * q_gradient;
      ps[2] += p_gradient * p_gradient / static_cast<double>(problem.k);
      qs[2] += q_gradient * q_gradient / static_cast<double>(problem.k);
      ps[3] += p[f] * p[f];
      qs[3] += q[f] * q[f];
    }
    for (double* state : {ps, qs}) {
      const double gradient = w * (error - rates.l2_biases * state[0]);
      state[0] += rate(state[1]) * gradient;
      state[1] += gradient * gradient;
    }
    return w * error * error;
  }
};

inline double reference_prediction(const MfPredictArgs& args, std::int64_t b) {
  const std::int32_t u = args.user_ids[b], i = args.item_ids[b];
  double sum = args.offset;
  if (u >= 0 && args.user_biases.size) sum += args.user_biases[u];
  if (i >= 0 && args.item_biases.size) sum += args.item_biases[i];
  if (u >= 0 && i >= 0)
    for (std::int64_t f = 0; f < args.users.cols; ++f)
      sum += static_cast<double>(args.users(u, f)) * args.items(i, f);
  return std::clamp(sum, static_cast<double>(args.low), static_cast<double>(args.high));
}

/// Sums of w, w e^2, w |e| over all pairs.
inline std::array<double, 3> reference_error_sums(const MfPredictArgs& args) {
  std::array<double, 3> sums{};
  for (std::int64_t b = 0; b < args.user_ids.size; ++b) {
    const double w = args.weights.size ? args.weights[b] : 1.0,
                 error = args.values[b] - reference_prediction(args, b);
    sums[0] += w, sums[1] += w * error * error, sums[2] += w * std::abs(error);
  }
  return sums;
}

/// All items that may be recommended to query q, with their scores, best first.
inline std::vector<std::pair<double, std::int32_t>> reference_ranking(const TopKArgs& args,
                                                                      std::int64_t q) {
  std::set<std::int32_t> excluded;
  if (args.excluded.rows)
    excluded.insert(args.excluded.indices + args.excluded.offsets[q],
                    args.excluded.indices + args.excluded.offsets[q + 1]);
  std::vector<std::pair<double, std::int32_t>> ranking;
  for (std::int32_t i = 0; i < args.items.rows; ++i) {
    if (excluded.count(i)) continue;
    double score = args.item_biases.size ? args.item_biases[i] : 0;
    for (std::int64_t f = 0; f < args.items.cols; ++f)
      score += static_cast<double>(args.queries(q, f)) * args.items(i, f);
    ranking.emplace_back(score, i);
  }
  std::sort(ranking.begin(), ranking.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  return ranking;
}

}  // namespace gradmill::testing
