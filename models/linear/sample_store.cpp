#include "models/linear/sample_store.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>
#include <vector>

#include "models/linear/pinned_memory.h"
#include "models/linear/transpose.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {
constexpr double kDenseShare = 0.4;
constexpr std::int64_t kAlign = 256;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// A piece's arrays one after the other in one allocation, so that a piece is one copy.
enum Part {
  row_offsets,
  row_indices,
  row_values,
  column_offsets,
  column_indices,
  column_values,
  dense_rows,
  labels,
  weights,
  kParts
};

struct Form {
  std::int64_t features;
  bool dense, values, labels, weights, columns;
};

struct Layout {
  std::int64_t first_row, rows, entries;
  std::array<std::int64_t, kParts> bytes{}, offset{};
  std::int64_t total = 0;

  Layout(const Form& form, const Samples& samples, std::int64_t first, std::int64_t last)
      : first_row(first),
        rows(last - first),
        entries(samples.offsets[at(last)] - samples.offsets[at(first)]) {
    const std::int64_t sparse = form.dense ? 0 : 1, columns = form.columns ? sparse : 0;
    bytes[row_offsets] = 8 * sparse * (rows + 1);
    bytes[row_indices] = 4 * sparse * entries;
    bytes[row_values] = form.values ? 4 * sparse * entries : 0;
    bytes[column_offsets] = 8 * columns * (form.features + 1);
    bytes[column_indices] = 4 * columns * entries;
    bytes[column_values] = form.values ? 4 * columns * entries : 0;
    bytes[dense_rows] = form.dense ? 4 * rows * form.features : 0;
    bytes[labels] = form.labels ? 4 * rows : 0;
    bytes[weights] = form.weights ? 4 * rows : 0;
    for (int part = 0; part < kParts; ++part) {
      offset[at(part)] = total;
      total += (bytes[at(part)] + kAlign - 1) / kAlign * kAlign;
    }
  }

  /// nullptr if there is no such array or it is empty.
  template <class T>
  const T* get(const std::byte* base, Part part) const {
    return bytes[part] ? reinterpret_cast<const T*>(base + offset[part]) : nullptr;
  }

  SampleStore::Piece piece(const Form& form, const std::byte* base, Device device) const {
    SampleStore::Piece p{.first_row = first_row, .matrix = {}, .labels = {}, .weights = {}};
    if (form.labels) p.labels = {get<float>(base, labels), rows, device};
    if (form.weights) p.weights = {get<float>(base, weights), rows, device};
    if (form.dense) {
      p.matrix.dense = {get<float>(base, dense_rows), rows, form.features, form.features, device};
      return p;
    }
    p.matrix.rows = {rows,
                     form.features,
                     entries,
                     get<std::int64_t>(base, row_offsets),
                     get<std::int32_t>(base, row_indices),
                     get<float>(base, row_values),
                     device};
    if (form.columns)
      p.matrix.columns = {form.features,
                          rows,
                          entries,
                          get<std::int64_t>(base, column_offsets),
                          get<std::int32_t>(base, column_indices),
                          get<float>(base, column_values),
                          device};
    return p;
  }
};

CsrView<const float> rows_of(const Samples& s, std::int64_t first, std::int64_t last) {
  return {last - first,
          s.num_features,
          s.offsets[at(last)] - s.offsets[at(first)],
          s.offsets.data() + first,
          s.indices.data(),
          s.values.empty() ? nullptr : s.values.data(),
          {}};
}

Buffer<float> dense_rows_of(const Context& host, const CsrView<const float>& m) {
  Buffer<float> out(host, m.rows * m.cols);
  host.threads().parallel_for(m.rows, 256, [&](std::int64_t first, std::int64_t last, int) {
    float* to = out.view().data;
    std::fill(to + first * m.cols, to + last * m.cols, 0.0f);
    for (std::int64_t row = first; row < last; ++row)
      for (std::int64_t e = m.offsets[row]; e < m.offsets[row + 1]; ++e)
        to[row * m.cols + m.indices[e]] += m.values ? m.values[e] : 1.0f;
  });
  return out;
}

/// The longest pieces of whole rows that take at most `limit` bytes each.
std::vector<Layout> cut(const Form& form, const Samples& samples, std::int64_t limit) {
  std::vector<Layout> pieces;
  for (std::int64_t first = 0; first < samples.rows();) {
    std::int64_t fits = first, beyond = samples.rows() + 1;
    while (beyond - fits > 1) {
      const std::int64_t middle = fits + (beyond - fits) / 2;
      (Layout(form, samples, first, middle).total <= limit ? fits : beyond) = middle;
    }
    expect(fits > first, ErrorKind::out_of_memory,
           "{} features and the {} entries of row {} take {} bytes, and the device has room for "
           "pieces of {}; use more ranks, fewer features (hashing), or --device cpu",
           samples.num_features, samples.offsets[at(first + 1)] - samples.offsets[at(first)], first,
           Layout(form, samples, first, first + 1).total, limit);
    pieces.emplace_back(form, samples, first, fits);
    first = fits;
  }
  return pieces;
}
}  // namespace

struct SampleStore::Impl {
  const Context& ctx;
  Samples samples;  // on CUDA only what is asked for below
  Form form{};
  std::int64_t rows, entries;

  // CPU: views of the caller's vectors, or dense rows instead.
  Buffer<float> dense;
  SampleColumns columns;  // for a check context

  // CUDA
  std::vector<Layout> layouts;
  std::vector<PinnedMemory> pinned;  // a piece each, if they take turns on the device
  Buffer<std::byte> place[2];
  int held[2] = {-1, -1};  // the piece in each place
  int current = 0;         // the place given last

  Impl(const Context& context, const Context& host, Samples mine, const Options& options)
      : ctx(context), samples(std::move(mine)), rows(samples.rows()) {
    expect(rows <= std::numeric_limits<std::int32_t>::max(), ErrorKind::usage,
           "{} samples on one rank: there may be 2^31 - 1; use more ranks", rows);
    const std::int64_t features = samples.num_features, stored = samples.offsets.back();
    if (std::all_of(samples.values.begin(), samples.values.end(), [](float v) { return v == 1; }))
      samples.values = {};
    const double cells = static_cast<double>(rows) * static_cast<double>(features);
    form = {.features = features,
            .dense = cells > 0 && static_cast<double>(stored) >= kDenseShare * cells,
            .values = !samples.values.empty(),
            .labels = !samples.labels.empty(),
            .weights = !samples.weights.empty(),
            .columns = options.columns && (ctx.is_cuda() || ctx.shadow())};
    entries = form.dense ? rows * features : stored;
    if (ctx.is_cuda())
      place_on_device(host, options);
    else
      keep_on_host(host);
  }

  ~Impl() {
    ctx.stream_waits_for_copies();  // before the places are freed on it
    try {
      if (!pinned.empty()) ctx.synchronize();
    } catch (...) {  // the device is lost, and whoever waits next is told
    }
  }

  void keep_on_host(const Context& host) {
    const auto view = rows_of(samples, 0, rows);
    if (form.columns && !form.dense) columns = transpose(host, view);
    if (!form.dense) return;
    dense = dense_rows_of(host, view);
    samples.indices = {};
    samples.values = {};
  }

  void place_on_device(const Context& host, const Options& options) {
    const std::int64_t budget =
        options.device_bytes ? options.device_bytes : ctx.free_bytes() / 4 * 3;
    const Layout all(form, samples, 0, rows);
    if (all.total <= budget) {
      layouts.push_back(all);
      place[0] = Buffer<std::byte>(ctx, std::max<std::int64_t>(all.total, 1));
      fill(host, all, place[0].view().data, ctx.device());
    } else {
      layouts = cut(form, samples, budget / 2);
      std::int64_t most = 0;
      for (const Layout& layout : layouts) {
        pinned.emplace_back(ctx, layout.total);
        fill(host, layout, pinned.back().data(), Device{});
        most = std::max(most, layout.total);
      }
      for (auto& p : place) p = Buffer<std::byte>(ctx, most);
    }
    samples = {};
  }

  void fill(const Context& host, const Layout& layout, std::byte* base, Device device) const {
    const auto put = [&](Part part, const void* from) {
      copy_bytes(ctx, base + layout.offset[part], device, from, Device{}, at(layout.bytes[part]));
    };
    const std::int64_t first = layout.first_row, last = first + layout.rows;
    if (form.labels) put(labels, samples.labels.data() + first);
    if (form.weights) put(weights, samples.weights.data() + first);
    const auto m = rows_of(samples, first, last);
    if (form.dense) return put(dense_rows, dense_rows_of(host, m).view().data);
    std::vector<std::int64_t> offsets(m.offsets, m.offsets + m.rows + 1);
    for (std::int64_t& offset : offsets) offset -= m.offsets[0];
    put(row_offsets, offsets.data());
    put(row_indices, m.indices + m.offsets[0]);
    if (form.values) put(row_values, m.values + m.offsets[0]);
    if (!form.columns) return;
    const SampleColumns by_column = transpose(host, m);
    put(column_offsets, by_column.offsets.view().data);
    put(column_indices, by_column.indices.view().data);
    put(column_values, by_column.values.view().data);
  }

  void load(int to, int index) {
    ctx.copies_wait_for_stream();
    ctx.copy_ahead(place[to].view().data, pinned[at(index)].data(), at(layouts[at(index)].total));
    held[to] = index;
  }

  Piece on_host() const {
    Piece p{.first_row = 0, .matrix = {}, .labels = {}, .weights = {}};
    if (form.dense)
      p.matrix.dense = dense.matrix(rows, form.features, form.features);
    else
      p.matrix.rows = rows_of(samples, 0, rows);
    if (columns.offsets.size()) p.matrix.columns = columns.view();
    if (form.labels) p.labels = {samples.labels.data(), rows, {}};
    if (form.weights) p.weights = {samples.weights.data(), rows, {}};
    return p;
  }

  Piece on_device(int index) {
    if (pinned.empty()) return layouts[0].piece(form, place[0].view().data, ctx.device());
    int here = held[0] == index ? 0 : held[1] == index ? 1 : -1;
    if (here < 0) load(here = 1 - current, index);
    ctx.stream_waits_for_copies();
    current = here;
    const int next = (index + 1) % static_cast<int>(layouts.size());
    if (held[1 - here] != next) load(1 - here, next);
    return layouts[at(index)].piece(form, place[here].view().data, ctx.device());
  }
};

SampleStore::SampleStore(const Context& ctx, const Context& host, Samples mine,
                         const Options& options)
    : impl_(std::make_unique<Impl>(ctx, host, std::move(mine), options)) {}
SampleStore::~SampleStore() = default;

int SampleStore::pieces() const {
  return impl_->ctx.is_cuda() ? static_cast<int>(impl_->layouts.size()) : 1;
}
SampleStore::Piece SampleStore::piece(int index) {
  require(index >= 0 && index < pieces(), "sample store: piece {} of {}", index, pieces());
  return impl_->ctx.is_cuda() ? impl_->on_device(index) : impl_->on_host();
}
std::int64_t SampleStore::rows() const { return impl_->rows; }
std::int64_t SampleStore::num_features() const { return impl_->form.features; }
std::int64_t SampleStore::entries() const { return impl_->entries; }
bool SampleStore::is_dense() const { return impl_->form.dense; }

}  // namespace gradmill
