#include "data/hdf5_ratings.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "data/hdf5_column.h"
#include "data/hdf5_numbers.h"
#include "data/record_checks.h"
#include "data/utf8.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {

using Kind = Hdf5Element::Kind;

constexpr std::int64_t kCachedRows = 1 << 15;

class Hdf5Ratings : public RatingStream {
 public:
  Hdf5Ratings(const FileSlice& slice, const RatingReadOptions& options, const ChildLimits& limits)
      : options_(options),
        layout_(locate_hdf5_ratings(slice.path, options, limits)),
        file_(InputFile::open_following_links(slice.path)),
        row_(slice.first),
        end_(slice.count < 0 ? layout_.rows : slice.first + slice.count) {
    expect(end_ <= layout_.rows, ErrorKind::data, "{}: has {} rows, {} were expected", slice.path,
           layout_.rows, end_);
    const auto threads = static_cast<std::size_t>(std::max(1, options.threads));
    if (threads > 1) pool_.emplace(static_cast<int>(threads));
    scratch_.resize(threads);
    raw_.resize(layout_.columns.size());
    for (const Hdf5Column& column : layout_.columns) {
      children_.emplace_back();
      if (!column.direct && row_ < end_)
        children_.back() =
            std::make_unique<Hdf5ChildColumn>(slice.path, column, row_, end_ - row_, limits);
    }
    for (const int role : {0, 1}) {
      const Kind kind =
          layout_.columns[static_cast<std::size_t>(layout_.of_role[static_cast<std::size_t>(role)])]
              .element.kind;
      (role == 0 ? users_ : items_) = kind == Kind::text || kind == Kind::variable_text
                                          ? IdColumn::Kind::string
                                          : IdColumn::Kind::i64;
    }
    for (const int role : {2, 3, 4})
      if (const int c = layout_.of_role[static_cast<std::size_t>(role)]; c >= 0) {
        const Hdf5Column& column = layout_.columns[static_cast<std::size_t>(c)];
        expect(column.element.kind == Kind::integer || column.element.kind == Kind::real,
               ErrorKind::data, "{}: data set {} is {}, expected numbers", slice.path, column.path,
               column.element.name());
      }
  }

  bool next(RatingChunk& chunk) override {
    while (row_ < end_) {
      const std::int64_t rows = rows_of_next();
      load(chunk, rows);
      refused_.clear();
      take_ids(RatingRole::user, users_, rows, chunk.users);
      take_ids(RatingRole::item, items_, rows, chunk.items);
      take_reals(RatingRole::value, chunk.values);
      take_reals(RatingRole::weight, chunk.weights);
      take_times(chunk.timestamps);
      drop_refused(chunk);
      row_ += rows;
      chunk.first_row = report_.rows;
      report_.rows += chunk.rows();
      if (chunk.rows() > 0) return true;
    }
    return false;
  }
  const ReadReport& report() const override { return report_; }

 private:
  struct Refused {
    std::int64_t row;  // of the chunk
    BadRecord why;
    RatingRole role;
  };

  int column_of_role(RatingRole role) const {
    return layout_.of_role[static_cast<std::size_t>(role)];
  }

  /// Ends where a chunk of the file ends, so that each is read and checked once; one thread takes few
  /// rows at a time, which then are still in its cache.
  std::int64_t rows_of_next() const {
    const std::int64_t step = layout_.columns[0].chunk_rows;
    std::int64_t wanted = std::max<std::int64_t>(1, options_.chunk_rows);
    if (!pool_ && step > 0) wanted = std::min(wanted, std::max(step, kCachedRows));
    const std::int64_t rows = std::min(wanted, end_ - row_);
    if (step <= 0 || row_ + rows == end_) return rows;
    const std::int64_t beyond = (row_ + rows) % step;
    return beyond < rows ? rows - beyond : rows;
  }

  /// Where the column's bytes go: straight into the chunk if they are stored as it holds them.
  char* target(RatingChunk& chunk, RatingRole role, std::int64_t rows) {
    const auto c = static_cast<std::size_t>(column_of_role(role));
    const Hdf5Element& element = layout_.columns[c].element;
    const auto count = static_cast<std::size_t>(rows);
    const bool whole = element.kind == Kind::integer && element.bytes == 8 && element.is_signed &&
                       !element.big_endian;
    const bool real = element.kind == Kind::real && element.bytes == 4 && !element.big_endian;
    const auto place = [&](auto& to) {
      to.resize(count);
      return reinterpret_cast<char*>(to.data());
    };
    if (role == RatingRole::user && whole) return place(chunk.users.numbers);
    if (role == RatingRole::item && whole) return place(chunk.items.numbers);
    if (role == RatingRole::timestamp && whole) return place(chunk.timestamps);
    if (role == RatingRole::value && real) return place(chunk.values);
    if (role == RatingRole::weight && real) return place(chunk.weights);
    raw_[c].resize(count * element.bytes);
    return raw_[c].data();
  }

  void load(RatingChunk& chunk, std::int64_t rows) {
    struct Task {
      const Hdf5Column* column;
      std::int64_t first, count;
      char* to;
    };
    std::vector<Task> tasks;
    for (int r = 0; r < kRatingRoles; ++r) {
      const int c = column_of_role(static_cast<RatingRole>(r));
      if (c < 0) continue;
      const Hdf5Column& column = layout_.columns[static_cast<std::size_t>(c)];
      if (!column.direct) {
        raw_[static_cast<std::size_t>(c)].clear();
        children_[static_cast<std::size_t>(c)]->read(rows, raw_[static_cast<std::size_t>(c)]);
        continue;
      }
      char* to = target(chunk, static_cast<RatingRole>(r), rows);
      for (std::int64_t at = row_; at < row_ + rows;) {
        const std::int64_t chunk_end = (at / column.chunk_rows + 1) * column.chunk_rows;
        const std::int64_t count = std::min(chunk_end, row_ + rows) - at;
        tasks.push_back({&column, at, count, to + (at - row_) * column.element.bytes});
        at += count;
      }
    }
    const auto run = [&](std::int64_t first, std::int64_t last, int thread) {
      for (std::int64_t t = first; t < last; ++t) {
        const Task& task = tasks[static_cast<std::size_t>(t)];
        read_hdf5_rows(file_, *task.column, task.first, task.count, task.to,
                       scratch_[static_cast<std::size_t>(thread)]);
      }
    };
    const auto count = static_cast<std::int64_t>(tasks.size());
    if (pool_)
      pool_->parallel_for(count, 1, run);
    else
      run(0, count, 0);
  }

  const Hdf5Element& element_of(int column) const {
    const auto c = static_cast<std::size_t>(column);
    return children_[c] ? children_[c]->element() : layout_.columns[c].element;
  }
  void refuse(std::int64_t row, BadRecord why, RatingRole role) {
    refused_.push_back({row, why, role});
  }

  void take_ids(RatingRole role, IdColumn::Kind kind, std::int64_t rows, IdColumn& ids) {
    const int c = column_of_role(role);
    const std::string& raw = raw_[static_cast<std::size_t>(c)];
    const Hdf5Element& element = element_of(c);
    ids.kind = kind;
    if (kind == IdColumn::Kind::i64) {
      ids.bytes.clear();
      ids.ends.clear();
      if (raw.empty()) return;  // already there
      ids.numbers.resize(static_cast<std::size_t>(rows));
      for_numbers(element, raw, [&](std::int64_t row, auto number) {
        Verdict bad = to_whole(number, ids.numbers[static_cast<std::size_t>(row)]);
        if constexpr (std::is_same_v<decltype(number), double>)
          if (!bad && number != std::floor(number)) bad = BadRecord::malformed;
        if (bad) refuse(row, *bad, role);
      });
      return;
    }
    ids.clear();
    std::string_view left = raw;
    for (std::int64_t row = 0; row < rows; ++row) {
      std::uint32_t length = element.bytes;
      if (element.kind == Kind::variable_text) {
        std::memcpy(&length, left.data(), sizeof length);
        left.remove_prefix(sizeof length);
      }
      std::string_view text = left.substr(0, length);
      left.remove_prefix(length);
      if (element.kind == Kind::text) {  // padded with zeros or blanks
        text = text.substr(0, text.find('\0'));
        text = text.substr(0, text.find_last_not_of(' ') + 1);
      }
      if (text.empty())
        refuse(row, BadRecord::missing, role);
      else if (!is_utf8(text))
        refuse(row, BadRecord::malformed, role);
      ids.bytes += text;
      ids.ends.push_back(static_cast<std::int64_t>(ids.bytes.size()));
    }
  }

  void take_reals(RatingRole role, std::vector<float>& values) {
    const int c = column_of_role(role);
    if (c < 0) return values.clear();
    const std::string& raw = raw_[static_cast<std::size_t>(c)];
    const Hdf5Element& element = element_of(c);
    const auto check = [&](std::int64_t row, double number) {
      if (const Verdict bad = to_real(role, number, values[static_cast<std::size_t>(row)]))
        refuse(row, *bad, role);
    };
    if (!raw.empty()) {
      values.resize(raw.size() / element.bytes);
      return for_numbers(element, raw, [&](std::int64_t row, auto number) {
        check(row, static_cast<double>(number));
      });
    }
    // Already there. One pass without branches, since next to all data are sound.
    constexpr float kMost = std::numeric_limits<float>::max();
    const float least = role == RatingRole::weight ? 0 : -kMost;
    bool sound = true;
    for (const float value : values) sound &= (value >= least) & (value <= kMost);
    if (sound) return;
    for (std::size_t row = 0; row < values.size(); ++row)
      check(static_cast<std::int64_t>(row), values[row]);
  }

  void take_times(std::vector<std::int64_t>& times) {
    const int c = column_of_role(RatingRole::timestamp);
    if (c < 0) return times.clear();
    const std::string& raw = raw_[static_cast<std::size_t>(c)];
    if (raw.empty()) return;  // already there
    times.resize(raw.size() / element_of(c).bytes);
    for_numbers(element_of(c), raw, [&](std::int64_t row, auto number) {
      if (const Verdict bad = to_whole(number, times[static_cast<std::size_t>(row)]))
        refuse(row, *bad, RatingRole::timestamp);
    });
  }

  void drop_refused(RatingChunk& chunk) {
    if (refused_.empty()) return;
    constexpr std::array<std::string_view, 4> reasons{"is no id", "is missing", "is not finite",
                                                      "is out of range"};
    std::stable_sort(refused_.begin(), refused_.end(),
                     [](auto& a, auto& b) { return a.row < b.row; });
    std::vector<bool> drop(static_cast<std::size_t>(chunk.rows()));
    for (const Refused& bad : refused_) {
      if (drop[static_cast<std::size_t>(bad.row)]) continue;
      drop[static_cast<std::size_t>(bad.row)] = true;
      reject_record(
          report_, options_.bad_records, bad.why,
          fmt::format("{}: row {}: the {} ({}) {}", file_.path(), row_ + bad.row,
                      role_name(bad.role),
                      layout_.columns[static_cast<std::size_t>(column_of_role(bad.role))].path,
                      reasons[static_cast<std::size_t>(bad.why)]));
    }
    const auto keep = [&](auto& values) {
      std::size_t kept = 0;
      for (std::size_t row = 0; row < values.size(); ++row)
        if (!drop[row]) values[kept++] = values[row];
      values.resize(kept);
    };
    const auto keep_ids = [&](IdColumn& ids) {
      if (ids.kind == IdColumn::Kind::i64) return keep(ids.numbers);
      IdColumn kept;
      kept.kind = ids.kind;
      for (std::int64_t row = 0; row < ids.size(); ++row)
        if (!drop[static_cast<std::size_t>(row)]) {
          kept.bytes += ids.text(row);
          kept.ends.push_back(static_cast<std::int64_t>(kept.bytes.size()));
        }
      ids = std::move(kept);
    };
    keep_ids(chunk.users);
    keep_ids(chunk.items);
    if (!chunk.values.empty()) keep(chunk.values);
    if (!chunk.weights.empty()) keep(chunk.weights);
    if (!chunk.timestamps.empty()) keep(chunk.timestamps);
  }

  RatingReadOptions options_;
  Hdf5RatingColumns layout_;
  InputFile file_;
  std::int64_t row_, end_;
  std::optional<ThreadPool> pool_;
  std::vector<Hdf5Scratch> scratch_;  // [threads]
  std::vector<std::string> raw_;      // [columns]; empty where the chunk holds the bytes
  std::vector<std::unique_ptr<Hdf5ChildColumn>> children_;  // [columns]; null where direct
  IdColumn::Kind users_ = IdColumn::Kind::i64, items_ = IdColumn::Kind::i64;
  std::vector<Refused> refused_;
  ReadReport report_;
};

}  // namespace

std::unique_ptr<RatingStream> read_hdf5_slice(const FileSlice& slice,
                                              const RatingReadOptions& options,
                                              const ChildLimits& limits) {
  return std::make_unique<Hdf5Ratings>(slice, options, limits);
}

std::unique_ptr<RatingStream> open_hdf5_ratings(const std::vector<std::string>& files,
                                                const RatingReadOptions& options) {
  return open_in_slices(
      files, options,
      [&](const std::string& file) { return locate_hdf5_ratings(file, options).rows; },
      [options](const FileSlice& slice) { return read_hdf5_slice(slice, options); });
}

}  // namespace gradmill
