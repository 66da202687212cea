#include "data/tfrecord_ratings.h"

#include <optional>

#include "data/record_checks.h"
#include "data/tf_example.h"
#include "data/utf8.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

using Kind = ExampleFeature::Kind;

/// A record that is refused, with the reason; never leaves this file.
struct Refusal {
  BadRecord why;
  std::string text;
};

class TfRecordRatings : public RatingStream {
 public:
  TfRecordRatings(TfRecordReader reader, std::int64_t count, const RatingReadOptions& options)
      : reader_(std::move(reader)), left_(count), options_(options) {}

  bool next(RatingChunk& chunk) override {
    prepare(chunk);
    while (chunk.rows() < options_.chunk_rows && left_ != 0) {
      if (left_ > 0) --left_;
      if (!take_record(chunk)) {
        expect(left_ <= 0, ErrorKind::data,
               "{}: ends after {} records, {} more were expected; it is truncated", reader_.name(),
               reader_.record(), left_ + 1);
        left_ = 0;
      }
    }
    chunk.first_row = report_.rows;
    report_.rows += chunk.rows();
    return chunk.rows() > 0;
  }
  const ReadReport& report() const override { return report_; }

 private:
  struct Column {
    std::string name;
    Kind kind = Kind::none;  // of ids, from the first record
  };

  void prepare(RatingChunk& chunk) const {
    chunk.users.clear();
    chunk.items.clear();
    chunk.users.kind = id_kind(0);
    chunk.items.kind = id_kind(1);
    chunk.values.clear();
    chunk.weights.clear();
    chunk.timestamps.clear();
  }
  IdColumn::Kind id_kind(std::size_t role) const {
    return columns_[role] && columns_[role]->kind == Kind::bytes ? IdColumn::Kind::string
                                                                 : IdColumn::Kind::i64;
  }

  bool take_record(RatingChunk& chunk) {
    try {
      std::string_view payload;
      if (!reader_.next(payload)) return false;
      decode_example(payload, features_);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data || reader_.lost()) throw;
      reject(BadRecord::malformed, error.what());
      return true;
    }
    if (!ready_) find_columns(chunk);
    try {
      add_row(chunk);
    } catch (const Refusal& refusal) {
      reject(refusal.why, refusal.text);
    }
    return true;
  }

  void reject(BadRecord why, std::string text) {
    if (!text.starts_with(reader_.name()))
      text = fmt::format("{}: record {} at byte {}: {}", reader_.name(), reader_.record(),
                         reader_.offset(), text);
    reject_record(report_, options_.bad_records, why, text);
  }

  void find_columns(RatingChunk& chunk) {
    std::vector<std::string> names;
    for (const ExampleFeature& feature : features_) names.emplace_back(feature.name);
    const std::string where = fmt::format("{}: record {}", reader_.name(), reader_.record());
    const auto found = find_rating_columns(where, names, options_);
    for (std::size_t role = 0; role < found.size(); ++role) {
      if (found[role] < 0) continue;
      const ExampleFeature& feature = features_[static_cast<std::size_t>(found[role])];
      columns_[role] = Column{std::string(feature.name), feature.kind};
      expect(role > 1 || feature.kind == Kind::int64s || feature.kind == Kind::bytes,
             ErrorKind::data, "{}: \"{}\" cannot be ids: they are int64 or bytes", where,
             feature.name);
    }
    chunk.users.kind = id_kind(0);
    chunk.items.kind = id_kind(1);
    ready_ = true;
  }

  const ExampleFeature& feature_of(std::size_t role) const {
    const std::string& name = columns_[role]->name;
    const ExampleFeature* feature = find_feature(features_, name);
    if (!feature || feature->count == 0)
      throw Refusal{BadRecord::missing, fmt::format("has no \"{}\"", name)};
    if (feature->count > 1)
      throw Refusal{BadRecord::malformed,
                    fmt::format("\"{}\" has {} values, expected one", name, feature->count)};
    return *feature;
  }

  const ExampleFeature& id_of(std::size_t role) const {
    const ExampleFeature& feature = feature_of(role);
    if (feature.kind != columns_[role]->kind)
      throw Refusal{BadRecord::malformed,
                    fmt::format("\"{}\" is {} here, but {} in the first record", feature.name,
                                kind_name(feature.kind), kind_name(columns_[role]->kind))};
    if (feature.kind != Kind::bytes) return feature;
    const std::string_view text = feature.bytes_value();
    if (text.empty())
      throw Refusal{BadRecord::missing, fmt::format("\"{}\" is empty", feature.name)};
    if (!is_utf8(text))
      throw Refusal{BadRecord::malformed, fmt::format("\"{}\" is not UTF-8", feature.name)};
    return feature;
  }

  float number_of(std::size_t column) const {
    const auto role = static_cast<RatingRole>(column);
    const ExampleFeature& feature = feature_of(column);
    if (feature.kind == Kind::bytes)
      throw Refusal{BadRecord::malformed,
                    fmt::format("\"{}\" is bytes, expected a number", feature.name)};
    float value = 0;
    const double number = feature.kind == Kind::floats ? feature.float_value()
                                                       : static_cast<double>(feature.int64_value());
    if (const Verdict bad = to_real(role, number, value)) throw refusal(*bad, role, number);
    return value;
  }

  std::int64_t time_of(std::size_t column) const {
    const ExampleFeature& feature = feature_of(column);
    if (feature.kind == Kind::int64s) return feature.int64_value();
    const float seconds = number_of(column);
    std::int64_t time = 0;
    if (const Verdict bad = to_whole(double{seconds}, time))
      throw refusal(*bad, RatingRole::timestamp, seconds);
    return time;
  }

  Refusal refusal(BadRecord why, RatingRole role, double number) const {
    return {why,
            fmt::format("\"{}\" is {}; expected {}", columns_[static_cast<std::size_t>(role)]->name,
                        number, expected_of(role))};
  }

  static void push_id(const ExampleFeature& feature, IdColumn& column) {
    if (column.kind == IdColumn::Kind::i64) {
      column.numbers.push_back(feature.int64_value());
    } else {
      column.bytes += feature.bytes_value();
      column.ends.push_back(static_cast<std::int64_t>(column.bytes.size()));
    }
  }

  static std::string_view kind_name(Kind kind) {
    return kind == Kind::bytes ? "bytes" : kind == Kind::floats ? "float" : "int64";
  }

  void add_row(RatingChunk& chunk) {  // checks everything before it adds anything
    const ExampleFeature &user = id_of(0), &item = id_of(1);
    const float value = columns_[2] ? number_of(2) : 1, weight = columns_[3] ? number_of(3) : 1;
    const std::int64_t time = columns_[4] ? time_of(4) : 0;
    push_id(user, chunk.users);
    push_id(item, chunk.items);
    if (columns_[2]) chunk.values.push_back(value);
    if (columns_[3]) chunk.weights.push_back(weight);
    if (columns_[4]) chunk.timestamps.push_back(time);
  }

  TfRecordReader reader_;
  std::int64_t left_;  // -1: to the end
  RatingReadOptions options_;
  std::array<std::optional<Column>, kRatingRoles> columns_;
  bool ready_ = false;
  std::vector<ExampleFeature> features_;
  ReadReport report_;
};

}  // namespace

std::unique_ptr<RatingStream> read_tfrecord_ratings(TfRecordReader reader, std::int64_t count,
                                                    const RatingReadOptions& options) {
  return std::make_unique<TfRecordRatings>(std::move(reader), count, options);
}

TfRecordReader tfrecords_from(const std::string& path, std::int64_t first) {
  TfRecordReader reader(path);
  for (std::int64_t i = 0; i < first; ++i)
    expect(reader.skip(), ErrorKind::data,
           "{}: ends after {} records, more were expected; it is truncated", path, i);
  return reader;
}

std::unique_ptr<RatingStream> read_tfrecord_slice(const FileSlice& slice,
                                                  const RatingReadOptions& options) {
  return read_tfrecord_ratings(tfrecords_from(slice.path, slice.first), slice.count, options);
}

std::int64_t count_tfrecords(const std::string& path) {
  TfRecordReader reader(path);
  while (reader.skip()) {
  }
  return reader.record();
}

std::unique_ptr<RatingStream> open_tfrecord_ratings(const std::vector<std::string>& files,
                                                    const RatingReadOptions& options) {
  return open_in_slices(files, options, count_tfrecords, [options](const FileSlice& slice) {
    return read_tfrecord_slice(slice, options);
  });
}

}  // namespace gradmill
