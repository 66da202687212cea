#include "models/mf/evaluate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "kernels/mf_predict/mf_predict.h"
#include "kernels/top_k/top_k.h"

namespace gradmill {
namespace {
constexpr std::int64_t kUserTile = 2048;  // users ranked at a time

std::vector<std::int32_t> inverse(std::span<const std::int32_t> order) {
  std::vector<std::int32_t> place(order.size());
  for (std::size_t row = 0; row < order.size(); ++row)
    place[static_cast<std::size_t>(order[row])] = static_cast<std::int32_t>(row);
  return place;
}

void to_rows(std::vector<std::int32_t>& ids, std::span<const std::int32_t> order) {
  if (order.empty()) return;
  const auto place = inverse(order);
  for (auto& id : ids)
    if (id >= 0) id = place[static_cast<std::size_t>(id)];
}

struct Sums {
  double precision = 0, recall = 0, ndcg = 0, map = 0, users = 0;
};

/// ranked [cut_off], wanted ascending.
void add_user(Sums& sums, const std::int32_t* ranked, std::int32_t cut_off,
              std::span<const std::int32_t> wanted) {
  double hits = 0, dcg = 0, precisions = 0, ideal = 0;
  const auto best = std::min<std::int64_t>(cut_off, static_cast<std::int64_t>(wanted.size()));
  for (std::int64_t position = 0; position < best; ++position)
    ideal += 1 / std::log2(static_cast<double>(position) + 2);
  for (std::int32_t position = 0; position < cut_off; ++position) {
    if (ranked[position] < 0 || !std::binary_search(wanted.begin(), wanted.end(), ranked[position]))
      continue;
    ++hits;
    dcg += 1 / std::log2(position + 2.0);
    precisions += hits / (position + 1);
  }
  sums.precision += hits / cut_off;
  sums.recall += hits / static_cast<double>(wanted.size());
  sums.ndcg += dcg / ideal;
  sums.map += precisions / static_cast<double>(best);
  ++sums.users;
}
}  // namespace

Ratings to_solver_rows(const MfSolver& solver, Ratings ratings) {
  to_rows(ratings.users, solver.user_order());
  to_rows(ratings.items, solver.item_order());
  return ratings;
}

HeldOut::HeldOut(const Context& ctx, const Context& host, Communicator& comm,
                 const RowBoundaries& boundaries, Ratings ratings)
    : ctx_(ctx), host_(host), comm_(comm) {
  const auto rank = static_cast<std::size_t>(comm.rank());
  first_user_ = boundaries[rank];
  users_ = boundaries[rank + 1] - first_user_;
  const auto keys = ratings.users;
  ratings = exchange_ratings(host, comm, std::move(ratings), keys, boundaries);

  Ratings known;
  for (std::int64_t e = 0; e < ratings.size(); ++e) {
    auto& user = ratings.users[static_cast<std::size_t>(e)];
    const auto item = ratings.items[static_cast<std::size_t>(e)];
    if (user >= 0) user -= static_cast<std::int32_t>(first_user_);
    if (user < 0 || item < 0) {
      ++unknown_;
      continue;
    }
    known.users.push_back(user);
    known.items.push_back(item);
  }
  known.values.assign(known.users.size(), 1.0f);
  by_user_ =
      CsrRatings::build(host, 0, users_, INT32_MAX, known.users, known.items, known.values, {});
  comm.all_reduce_sum(host, VectorView<std::int64_t>{&unknown_, 1, {}});

  auto upload = [&]<class T>(const std::vector<T>& values) {
    return Buffer<T>::from_host(ctx, {values.data(), values.size()});
  };
  user_ids_ = upload(ratings.users);
  item_ids_ = upload(ratings.items);
  values_ = upload(ratings.values);
  weights_ = upload(ratings.weights);
  ctx.synchronize();
}

RatingMetrics HeldOut::rating_metrics(const FactorsView& factors, float low, float high) const {
  Buffer<double> sums(ctx_, 3);
  sums.zero();
  mf_predict(ctx_, {user_ids_.view(),
                    item_ids_.view(),
                    factors.users,
                    factors.items,
                    factors.user_biases,
                    factors.item_biases,
                    factors.mean,
                    low,
                    high,
                    values_.view(),
                    weights_.view(),
                    {},
                    sums.view()});
  auto host_sums = sums.to_host();
  host_sums.push_back(static_cast<double>(user_ids_.size()));
  comm_.all_reduce_sum(host_, VectorView<double>{host_sums.data(), 4, {}});
  RatingMetrics metrics;
  metrics.ratings = static_cast<std::int64_t>(host_sums[3]);
  if (host_sums[0] > 0) {
    metrics.rmse = std::sqrt(host_sums[1] / host_sums[0]);
    metrics.mae = host_sums[2] / host_sums[0];
  }
  return metrics;
}

RankingMetrics HeldOut::ranking_metrics(const FactorsView& factors, CsrView<const float> seen,
                                        std::int32_t cut_off) const {
  const auto wanted = by_user_.view();
  Sums sums;
  for (std::int64_t first = 0; first < users_; first += kUserTile) {
    const std::int64_t users = std::min(kUserTile, users_ - first);
    if (wanted.offsets[first] == wanted.offsets[first + users]) continue;
    Buffer<std::int32_t> ranked(ctx_, users * cut_off);
    Buffer<float> scores(ctx_, users * cut_off);
    CsrView<const float> excluded = csr_rows(seen, first, users);
    top_k(ctx_, {factors.users.rows_slice(first, users), factors.items, factors.item_biases,
                 excluded, cut_off, ranked.matrix(users, cut_off, cut_off),
                 scores.matrix(users, cut_off, cut_off)});
    const auto host_ranked = ranked.to_host();
    for (std::int64_t u = 0; u < users; ++u) {
      const std::int64_t begin = wanted.offsets[first + u], end = wanted.offsets[first + u + 1];
      if (begin == end) continue;
      std::vector<std::int32_t> items(wanted.indices + begin, wanted.indices + end);
      items.erase(std::unique(items.begin(), items.end()), items.end());
      add_user(sums, host_ranked.data() + u * cut_off, cut_off, items);
    }
  }
  std::array<double, 5> totals{sums.precision, sums.recall, sums.ndcg, sums.map, sums.users};
  comm_.all_reduce_sum(host_, VectorView<double>{totals.data(), 5, {}});
  RankingMetrics metrics;
  metrics.users = static_cast<std::int64_t>(totals[4]);
  if (metrics.users == 0) return metrics;
  metrics.precision = totals[0] / totals[4];
  metrics.recall = totals[1] / totals[4];
  metrics.ndcg = totals[2] / totals[4];
  metrics.map = totals[3] / totals[4];
  return metrics;
}

}  // namespace gradmill
