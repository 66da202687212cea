#include "kernels/top_k/top_k.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>
#include <vector>

#include "kernels/simd.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {
using simd::kLanes;
using simd::Vec;
constexpr int kQueries = 6;                // scored at a time, against
constexpr int kPanels = 2;                 // panels of kLanes items: twelve sums in registers
constexpr std::int64_t kItemTile = 512;    // items packed at a time: 128 KiB for 64 factors
constexpr std::int64_t kQueryChunk = 240;  // queries for which a tile is packed once
constexpr std::int64_t kScan = 2 * kPanels * 16;  // scores compared with a threshold at a time
constexpr float kNever = -std::numeric_limits<float>::infinity();

/// The best items of one query so far: a heap with the worst on top.
class Best {
 public:
  Best(std::int64_t count, const CsrView<const float>& excluded, std::int64_t query)
      : count_(static_cast<std::size_t>(count)) {
    if (excluded.rows == 0) return;
    excluded_ = excluded.indices + excluded.offsets[query];
    excluded_end_ = excluded.indices + excluded.offsets[query + 1];
  }

  /// A score must be larger than this: of equal ones the earlier item stays.
  float threshold() const { return heap_.size() < count_ ? kNever : heap_.front().first; }

  /// Items come in ascending order.
  void offer(float score, std::int32_t item) {
    if (!(score > threshold()) || std::binary_search(excluded_, excluded_end_, item)) return;
    if (heap_.size() == count_) {
      std::pop_heap(heap_.begin(), heap_.end(), better);
      heap_.pop_back();
    }
    heap_.emplace_back(score, item);
    std::push_heap(heap_.begin(), heap_.end(), better);
  }

  void write(std::int32_t* items, float* scores) {
    std::sort_heap(heap_.begin(), heap_.end(), better);
    for (std::size_t c = 0; c < count_; ++c) {
      items[c] = c < heap_.size() ? heap_[c].second : -1;
      scores[c] = c < heap_.size() ? heap_[c].first : kNever;
    }
  }

 private:
  using Scored = std::pair<float, std::int32_t>;
  static bool better(const Scored& a, const Scored& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  }
  std::size_t count_;
  const std::int32_t *excluded_ = nullptr, *excluded_end_ = nullptr;
  std::vector<Scored> heap_;
};

/// Up to kItemTile items with their factors side by side: factor f of the items of panel p is
/// values[(p k + f) kLanes ..]; items past the end are zero.
class PackedItems {
 public:
  explicit PackedItems(const TopKArgs& args)
      : args_(args),
        values_(static_cast<std::size_t>(kItemTile * args.items.cols)),
        biases_(static_cast<std::size_t>(kItemTile)) {}

  void pack(std::int64_t first) {
    const std::int64_t k = args_.items.cols;
    size_ = std::min(kItemTile, args_.items.rows - first);
    panels_ = simd::round_up(size_, kPanels * kLanes) / kLanes;
    for (std::int64_t i = 0; i < panels_ * kLanes; ++i) {
      const bool real = i < size_;
      float* to = values_.data() + i / kLanes * k * kLanes + i % kLanes;
      for (std::int64_t f = 0; f < k; ++f) to[f * kLanes] = real ? args_.items(first + i, f) : 0.0f;
      biases_[static_cast<std::size_t>(i)] =
          real && args_.item_biases.size ? args_.item_biases[first + i] : 0.0f;
    }
  }
  std::int64_t size() const { return size_; }

  /// scores[q][i] = bias of item i + <queries[q], item i>, summed in the order of the factors.
  void score(const std::array<const float*, kQueries>& queries,
             std::array<std::array<float, kItemTile>, kQueries>& scores) const {
    const std::int64_t k = args_.items.cols;
    for (std::int64_t panel = 0; panel < panels_; panel += kPanels) {
      Vec sums[kQueries][kPanels];
      for (int p = 0; p < kPanels; ++p)
        for (auto& sum : sums) sum[p] = simd::load(biases_.data() + (panel + p) * kLanes);
      const float *first = values_.data() + panel * k * kLanes, *second = first + k * kLanes;
      for (std::int64_t f = 0; f < k; ++f) {
        const Vec a = simd::load(first + f * kLanes), b = simd::load(second + f * kLanes);
        for (std::size_t q = 0; q < kQueries; ++q) {
          const Vec x = simd::broadcast(queries[q][f]);
          sums[q][0] += x * a;
          sums[q][1] += x * b;
        }
      }
      for (std::size_t q = 0; q < kQueries; ++q)
        for (int p = 0; p < kPanels; ++p)
          simd::store(scores[q].data() + (panel + p) * kLanes, sums[q][p]);
    }
  }

 private:
  const TopKArgs& args_;
  std::int64_t size_ = 0, panels_ = 0;
  std::vector<float> values_, biases_;
};

/// Offers the scores above the threshold: few, once the heap is full.
void select(const float* scores, std::int64_t size, std::int64_t first_item, Best& best) {
  for (std::int64_t i = 0; i < size; i += kScan) {
    const std::int64_t end = std::min(i + kScan, size);
    const float threshold = best.threshold();
    int above = 0;
    for (std::int64_t s = i; s < end; ++s) above |= scores[s] > threshold;
    if (!above) continue;
    for (std::int64_t s = i; s < end; ++s)
      if (scores[s] > best.threshold())
        best.offer(scores[s], static_cast<std::int32_t>(first_item + s));
  }
}

void rank_chunk(const TopKArgs& args, std::int64_t first, std::int64_t last, PackedItems& items) {
  std::vector<Best> best;
  for (std::int64_t q = first; q < last; ++q) best.emplace_back(args.count, args.excluded, q);
  std::array<std::array<float, kItemTile>, kQueries> scores;
  for (std::int64_t item = 0; item < args.items.rows; item += kItemTile) {
    items.pack(item);
    for (std::int64_t q = first; q < last; q += kQueries) {
      std::array<const float*, kQueries> queries;
      for (std::int64_t i = 0; i < kQueries; ++i)  // the last one again where there are no more
        queries[static_cast<std::size_t>(i)] = args.queries.row(std::min(q + i, last - 1));
      items.score(queries, scores);
      for (std::int64_t i = 0; i < std::min<std::int64_t>(kQueries, last - q); ++i)
        select(scores[static_cast<std::size_t>(i)].data(), items.size(), item,
               best[static_cast<std::size_t>(q - first + i)]);
    }
  }
  for (std::int64_t q = first; q < last; ++q)
    best[static_cast<std::size_t>(q - first)].write(args.out_items.row(q), args.out_scores.row(q));
}
}  // namespace

void cpu::top_k(const Context& ctx, const TopKArgs& args) {
  const std::int64_t queries = args.queries.rows, threads = ctx.threads().size();
  const std::int64_t share = simd::round_up((queries + threads - 1) / threads, kQueries);
  ctx.threads().parallel_for(queries, std::clamp<std::int64_t>(share, kQueries, kQueryChunk),
                             [&](std::int64_t first, std::int64_t last, int) {
                               PackedItems items(args);
                               rank_chunk(args, first, last, items);
                             });
}

void top_k(const Context& ctx, const TopKArgs& args) {
  require(args.queries.cols == args.items.cols, "top_k: queries have {} factors but items have {}",
          args.queries.cols, args.items.cols);
  require(args.count >= 1 && args.count <= 1024, "top_k: count is {}, 1 to 1024 expected",
          args.count);
  require(args.excluded.rows == 0 || args.excluded.rows == args.queries.rows,
          "top_k: {} queries but {} excluded rows", args.queries.rows, args.excluded.rows);
  require(args.item_biases.size == 0 || args.item_biases.size == args.items.rows,
          "top_k: {} biases of {} items", args.item_biases.size, args.items.rows);
  require(args.out_items.rows == args.queries.rows && args.out_items.cols == args.count &&
              args.out_scores.rows == args.queries.rows && args.out_scores.cols == args.count,
          "top_k: output of {} x {} items and {} x {} scores for {} queries and count {}",
          args.out_items.rows, args.out_items.cols, args.out_scores.rows, args.out_scores.cols,
          args.queries.rows, args.count);
  run_kernel(ctx, "top_k", args, cpu::top_k,
             [](const auto& c, const auto& a) { cuda::top_k(c, a); });
}

}  // namespace gradmill
