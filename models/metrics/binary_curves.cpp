#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "models/metrics/metrics.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {
constexpr double kCurveStep = 0.01;  // of recall and fall-out together, between points of the curve
constexpr std::size_t kSamplesPerRank = 256;  // of the scores, to cut their range among the ranks

/// A sample's score and its weight; negative samples have -weight.
struct Entry {
  float score, signed_weight;
};
using Entries = std::vector<Entry>;

void sort_descending(Entries& entries) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.score != b.score ? a.score > b.score : a.signed_weight > b.signed_weight;
  });
}

template <class T>
VectorView<T> view_of(std::vector<T>& values) {
  return {values.data(), static_cast<std::int64_t>(values.size()), {}};
}

template <class T>
std::vector<T> all_gather(const Context& host, Communicator& comm, std::vector<T> mine) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(comm.world_size()));
  std::int64_t count = static_cast<std::int64_t>(mine.size());
  const std::vector<std::int64_t> one_each(counts.size(), 1);
  comm.all_gather(host, VectorView<const std::int64_t>{&count, 1, {}}, one_each, view_of(counts));
  std::vector<T> all(
      static_cast<std::size_t>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0})));
  comm.all_gather(host, VectorView<const T>(view_of(mine)), counts, view_of(all));
  return all;
}

/// Scores at which to cut: rank r gets the scores in (cuts[r], cuts[r - 1]]. Equal scores stay together.
std::vector<float> find_cuts(const Context& host, Communicator& comm, const Entries& sorted) {
  std::vector<float> samples;
  for (std::size_t i = 0; i < kSamplesPerRank && !sorted.empty(); ++i)
    samples.push_back(sorted[i * sorted.size() / kSamplesPerRank].score);
  std::vector<float> all = all_gather(host, comm, std::move(samples));
  std::sort(all.begin(), all.end(), std::greater<>());
  std::vector<float> cuts;
  const auto ranks = static_cast<std::size_t>(comm.world_size());
  for (std::size_t r = 1; r < ranks; ++r)
    cuts.push_back(all.empty() ? 0.0f : all[r * all.size() / ranks]);
  return cuts;
}

/// Sends every entry to the rank of its score; what comes back is sorted.
Entries exchange(const Context& host, Communicator& comm, const Entries& sorted) {
  const auto cuts = find_cuts(host, comm, sorted);
  std::vector<std::int64_t> send;
  auto begin = sorted.begin();
  for (int r = 0; r < comm.world_size(); ++r) {
    const auto end =
        static_cast<std::size_t>(r) < cuts.size()
            ? std::partition_point(
                  begin, sorted.end(),
                  [&](const Entry& e) { return e.score > cuts[static_cast<std::size_t>(r)]; })
            : sorted.end();
    send.push_back(2 * (end - begin));
    begin = end;
  }
  const std::vector<std::int64_t> one_each(send.size(), 1);
  std::vector<std::int64_t> receive(send.size());
  comm.all_to_all(host, VectorView<const std::int64_t>(view_of(send)), one_each, view_of(receive),
                  one_each);
  std::vector<float> out(2 * sorted.size());
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    out[2 * i] = sorted[i].score;
    out[2 * i + 1] = sorted[i].signed_weight;
  }
  std::vector<float> in(
      static_cast<std::size_t>(std::accumulate(receive.begin(), receive.end(), std::int64_t{0})));
  comm.all_to_all(host, VectorView<const float>(view_of(out)), send, view_of(in), receive);
  Entries entries(in.size() / 2);
  for (std::size_t i = 0; i < entries.size(); ++i) entries[i] = {in[2 * i], in[2 * i + 1]};
  sort_descending(entries);
  return entries;
}

/// Weights of positive and negative samples.
struct Totals {
  double positive = 0, negative = 0;
  void add(float signed_weight) {
    (signed_weight > 0 ? positive : negative) += std::abs(signed_weight);
  }
};

/// Sums over groups of equal scores, from the highest: the area in units of weight pairs, and
/// sum (recall step in weight) * precision.
struct Areas {
  double pairs = 0, precisions = 0;
  std::vector<double> curve;  // positive and negative weight above some of the thresholds
};
Areas areas(const Entries& entries, Totals before, const Totals& all) {
  Areas sum;
  Totals shown = before;
  for (std::size_t i = 0; i < entries.size();) {
    Totals group;
    const float score = entries[i].score;
    for (; i < entries.size() && entries[i].score == score; ++i)
      group.add(entries[i].signed_weight);
    sum.pairs += group.negative * (before.positive + 0.5 * group.positive);
    before.positive += group.positive;
    before.negative += group.negative;
    if (group.positive > 0)
      sum.precisions += group.positive * before.positive / (before.positive + before.negative);
    const double moved = (before.positive - shown.positive) / all.positive +
                         (before.negative - shown.negative) / all.negative;
    if (!(moved >= kCurveStep) && i < entries.size()) continue;
    sum.curve.insert(sum.curve.end(), {before.positive, before.negative});
    shown = before;
  }
  return sum;
}
}  // namespace

BinaryCurves binary_curves(const Context& host, Communicator& comm, VectorView<const float> scores,
                           VectorView<const float> labels, VectorView<const float> weights) {
  require(labels.size == scores.size && (weights.size == 0 || weights.size == scores.size),
          "binary_curves: {} scores, {} labels, {} weights", scores.size, labels.size,
          weights.size);
  Entries entries;
  entries.reserve(static_cast<std::size_t>(scores.size));
  for (std::int64_t i = 0; i < scores.size; ++i) {
    const float weight = weights.size ? weights[i] : 1.0f;
    expect(std::isfinite(scores[i]), ErrorKind::not_finite,
           "the score of evaluated sample {} is {}", i, scores[i]);
    if (weight > 0) entries.push_back({scores[i], labels[i] > 0 ? weight : -weight});
  }
  sort_descending(entries);
  if (comm.world_size() > 1) entries = exchange(host, comm, entries);

  Totals mine;
  for (const Entry& e : entries) mine.add(e.signed_weight);
  const auto by_rank = all_gather(host, comm, std::vector<double>{mine.positive, mine.negative});
  Totals before, all;
  for (std::size_t r = 0; r < by_rank.size() / 2; ++r) {
    if (static_cast<int>(r) == comm.rank()) before = all;
    all.positive += by_rank[2 * r];
    all.negative += by_rank[2 * r + 1];
  }
  const Areas local = areas(entries, before, all);
  std::vector<double> sums{local.pairs, local.precisions};
  comm.all_reduce_sum(host, view_of(sums));
  constexpr double kUndefined = std::numeric_limits<double>::quiet_NaN();
  const bool both = all.positive > 0 && all.negative > 0;
  BinaryCurves curves{both ? sums[0] / (all.positive * all.negative) : kUndefined,
                      all.positive > 0 ? sums[1] / all.positive : kUndefined,
                      {}};
  const std::vector<double> points = all_gather(host, comm, local.curve);
  if (!both) return curves;
  curves.curve.push_back({});
  for (std::size_t i = 0; i < points.size(); i += 2)
    curves.curve.push_back({points[i] / all.positive, points[i + 1] / all.negative,
                            points[i] / (points[i] + points[i + 1])});
  return curves;
}

}  // namespace gradmill
