#include "models/linear/transpose.h"

#include <algorithm>
#include <vector>

#include "runtime/thread_pool.h"

namespace gradmill {
namespace {
constexpr std::int64_t kMostRanges = 1024;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// Entries sorted by range of columns; within a range in the order of the rows.
struct Ranged {
  int shift = 0;                     // a column's range is column >> shift
  std::vector<std::int64_t> starts;  // [ranges + 1]
  Buffer<std::int32_t> columns, rows;
  Buffer<float> values;
};

/// First rows of chunks with about as many entries each.
std::vector<std::int64_t> row_chunks(const CsrView<const float>& m, std::int64_t chunks) {
  std::vector<std::int64_t> first{0};
  const std::int64_t entries = m.offsets[m.rows] - m.offsets[0];
  for (std::int64_t c = 1; c < chunks; ++c) {
    const std::int64_t target = m.offsets[0] + entries * c / chunks;
    const auto* at = std::lower_bound(m.offsets + first.back(), m.offsets + m.rows, target);
    first.push_back(at - m.offsets);
  }
  first.push_back(m.rows);
  return first;
}

Ranged sort_by_range(const Context& host, const CsrView<const float>& m) {
  const std::int64_t entries = m.offsets[m.rows] - m.offsets[0];
  Ranged out;
  out.columns = Buffer<std::int32_t>(host, entries);
  out.rows = Buffer<std::int32_t>(host, entries);
  out.values = Buffer<float>(host, m.values ? entries : 0);
  while ((m.cols >> out.shift) >= kMostRanges) ++out.shift;
  const std::int64_t ranges = (m.cols >> out.shift) + 1, chunks = 4 * host.threads().size();
  const std::vector<std::int64_t> first = row_chunks(m, chunks);
  std::vector<std::int64_t> cursors(
      at(chunks * ranges));  // of chunk c in range r: [c * ranges + r]
  host.threads().parallel_for(chunks, 1, [&](std::int64_t c, std::int64_t, int) {
    std::int64_t* mine = cursors.data() + c * ranges;
    for (std::int64_t e = m.offsets[first[at(c)]]; e < m.offsets[first[at(c + 1)]]; ++e)
      ++mine[m.indices[e] >> out.shift];
  });
  std::int64_t sum = 0;
  for (std::int64_t r = 0; r < ranges; ++r) {
    out.starts.push_back(sum);
    for (std::int64_t c = 0; c < chunks; ++c)
      sum += std::exchange(cursors[at(c * ranges + r)], sum);
  }
  out.starts.push_back(sum);
  host.threads().parallel_for(chunks, 1, [&](std::int64_t c, std::int64_t, int) {
    std::int64_t* mine = cursors.data() + c * ranges;
    std::int32_t *columns = out.columns.view().data, *rows = out.rows.view().data;
    float* values = out.values.view().data;
    for (std::int64_t row = first[at(c)]; row < first[at(c + 1)]; ++row)
      for (std::int64_t e = m.offsets[row]; e < m.offsets[row + 1]; ++e) {
        const std::int64_t to = mine[m.indices[e] >> out.shift]++;
        columns[to] = m.indices[e];
        rows[to] = static_cast<std::int32_t>(row);
        if (values) values[to] = m.values[e];
      }
  });
  return out;
}

}  // namespace

CsrView<const float> SampleColumns::view() const {
  return {features,
          samples,
          indices.size(),
          offsets.view().data,
          indices.view().data,
          values.view().data,
          offsets.view().device};
}

SampleColumns transpose(const Context& host, const CsrView<const float>& m) {
  SampleColumns out;
  out.features = m.cols;
  out.samples = m.rows;
  out.offsets = Buffer<std::int64_t>(host, m.cols + 1);
  if (m.rows == 0) {
    out.offsets.zero();
    return out;
  }
  const Ranged ranged = sort_by_range(host, m);
  const std::int64_t entries = ranged.columns.size();
  out.indices = Buffer<std::int32_t>(host, entries);
  out.values = Buffer<float>(host, ranged.values.size());
  std::int64_t* offsets = out.offsets.view().data;
  offsets[m.cols] = entries;
  const std::int64_t width = std::int64_t{1} << ranged.shift;
  const auto ranges = static_cast<std::int64_t>(ranged.starts.size()) - 1;
  host.threads().parallel_for(ranges, 1, [&](std::int64_t r, std::int64_t, int) {
    const std::int64_t first = r * width, count = std::min(width, m.cols - first);
    const std::int64_t begin = ranged.starts[at(r)], end = ranged.starts[at(r + 1)];
    const std::int32_t *columns = ranged.columns.view().data, *rows = ranged.rows.view().data;
    const float* values = ranged.values.view().data;
    std::vector<std::int64_t> cursors(at(std::max<std::int64_t>(count, 0)));
    for (std::int64_t e = begin; e < end; ++e) ++cursors[at(columns[e] - first)];
    std::int64_t sum = begin;
    for (std::int64_t c = 0; c < count; ++c) {
      offsets[first + c] = sum;
      sum += std::exchange(cursors[at(c)], sum);
    }
    for (std::int64_t e = begin; e < end; ++e) {
      const std::int64_t to = cursors[at(columns[e] - first)]++;
      out.indices.view().data[to] = rows[e];
      if (values) out.values.view().data[to] = values[e];
    }
  });
  return out;
}

}  // namespace gradmill
