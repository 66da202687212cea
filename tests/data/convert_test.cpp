#include "data/convert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>

#include "data/dataset.h"
#include "runtime/error.h"
#include "tests/support/error_of.h"
#include "tests/support/temporary_folder.h"

namespace gradmill {
namespace {

using testing::error_of;
using testing::TemporaryFolder;

namespace fs = std::filesystem;

struct Rows {
  std::vector<std::string> users, items;  // ids as text
  std::vector<float> values, weights;
  std::vector<std::int64_t> times;
  bool operator==(const Rows&) const = default;
};

struct Columns {
  bool text_users = false, text_items = false, values = true, weights = false, times = false;
};

/// Rows that are made up from their number, in chunks of any size.
class MadeRows : public RatingStream {
 public:
  MadeRows(std::int64_t rows, Columns columns, std::int64_t chunk_rows)
      : rows_(rows), columns_(columns), chunk_rows_(chunk_rows) {}
  bool next(RatingChunk& chunk) override {
    chunk = RatingChunk();
    if (columns_.text_users) chunk.users.kind = IdColumn::Kind::string;
    if (columns_.text_items) chunk.items.kind = IdColumn::Kind::string;
    for (; row_ < rows_ && chunk.rows() < chunk_rows_; ++row_) {
      push(chunk.users, (row_ * 7919) % 97 - 40);
      push(chunk.items, row_ * row_ % 1009 + (std::int64_t{1} << 40));
      if (columns_.values) chunk.values.push_back(static_cast<float>(row_ % 9) / 2);
      if (columns_.weights) chunk.weights.push_back(static_cast<float>(row_ % 3));
      if (columns_.times) chunk.timestamps.push_back(1'500'000'000 - row_);
    }
    report_.rows += chunk.rows();
    return chunk.rows() > 0;
  }
  const ReadReport& report() const override { return report_; }

 private:
  static void push(IdColumn& ids, std::int64_t id) {
    if (ids.kind == IdColumn::Kind::i64)
      ids.push(id);
    else
      ids.push(std::string_view("id \xc3\xa9 " + std::to_string(id)));
  }
  std::int64_t rows_, row_ = 0;
  Columns columns_;
  std::int64_t chunk_rows_;
  ReadReport report_;
};

std::string text_of(const IdColumn& ids, std::int64_t row) {
  return ids.kind == IdColumn::Kind::i64
             ? std::to_string(ids.numbers[static_cast<std::size_t>(row)])
             : std::string(ids.text(row));
}

void append(RatingStream& stream, Rows& rows) {
  RatingChunk chunk;
  while (stream.next(chunk)) {
    EXPECT_EQ(chunk.first_row, static_cast<std::int64_t>(rows.users.size()));
    for (std::int64_t r = 0; r < chunk.rows(); ++r) {
      rows.users.push_back(text_of(chunk.users, r));
      rows.items.push_back(text_of(chunk.items, r));
    }
    rows.values.insert(rows.values.end(), chunk.values.begin(), chunk.values.end());
    rows.weights.insert(rows.weights.end(), chunk.weights.begin(), chunk.weights.end());
    rows.times.insert(rows.times.end(), chunk.timestamps.begin(), chunk.timestamps.end());
  }
}

Rows made(std::int64_t count, Columns columns) {
  Rows rows;
  MadeRows stream(count, columns, count + 1);
  RatingChunk chunk;
  if (stream.next(chunk)) {
    MadeRows again(count, columns, count + 1);
    append(again, rows);
  }
  return rows;
}

Rows read_back(const std::string& folder, int parts, std::int64_t chunk_rows, int threads = 1) {
  Rows rows;
  for (int part = 0; part < parts; ++part) {
    RatingReadOptions options;
    options.part = part;
    options.parts = parts;
    options.chunk_rows = chunk_rows;
    options.threads = threads;
    const auto stream = open_dataset_ratings(folder, options);
    RatingChunk chunk;
    Rows piece;
    const auto before = static_cast<std::int64_t>(rows.users.size());
    while (stream->next(chunk)) {
      EXPECT_EQ(chunk.first_row, before + static_cast<std::int64_t>(piece.users.size()));
      for (std::int64_t r = 0; r < chunk.rows(); ++r) {
        piece.users.push_back(text_of(chunk.users, r));
        piece.items.push_back(text_of(chunk.items, r));
      }
      piece.values.insert(piece.values.end(), chunk.values.begin(), chunk.values.end());
      piece.weights.insert(piece.weights.end(), chunk.weights.begin(), chunk.weights.end());
      piece.times.insert(piece.times.end(), chunk.timestamps.begin(), chunk.timestamps.end());
    }
    rows.users.insert(rows.users.end(), piece.users.begin(), piece.users.end());
    rows.items.insert(rows.items.end(), piece.items.begin(), piece.items.end());
    rows.values.insert(rows.values.end(), piece.values.begin(), piece.values.end());
    rows.weights.insert(rows.weights.end(), piece.weights.begin(), piece.weights.end());
    rows.times.insert(rows.times.end(), piece.times.begin(), piece.times.end());
  }
  return rows;
}

ConvertReport convert_made(std::int64_t rows, Columns columns, const std::string& folder,
                           const ConvertOptions& options) {
  return convert_ratings([=] { return std::make_unique<MadeRows>(rows, columns, 1000); }, folder,
                         options);
}

struct Case {
  std::int64_t rows;
  ConvertOptions options;
  Columns columns;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  const std::vector<Columns> columns{{false, false, true, false, false},
                                     {true, false, true, true, true},
                                     {false, true, false, false, true},
                                     {true, true, true, false, false}};
  for (const ShardFormat format : {ShardFormat::hdf5, ShardFormat::tfrecord})
    for (const int deflate : {0, 4})
      for (const std::int64_t rows : {1, 31, 32, 33, 257, 10'000}) {
        ConvertOptions options;
        options.to = format;
        options.deflate = deflate;
        options.shards = rows == 257 ? 5 : rows == 31 ? 40 : 1 + static_cast<int>(rows % 3);
        options.chunk_rows = rows == 33 ? 1 : 100;
        all.push_back({rows, options, columns[all.size() % columns.size()]});
      }
  return all;
}

TEST(Convert, ReadsBackTheSameRowsWithEveryOption) {
  for (const Case& c : cases()) {
    const TemporaryFolder folder;
    const std::string path = folder / "data";
    const ConvertReport report = convert_made(c.rows, c.columns, path, c.options);
    EXPECT_EQ(report.read.rows, c.rows);
    EXPECT_EQ(report.shards, std::min<std::int64_t>(c.options.shards, c.rows));
    const Rows expected = made(c.rows, c.columns);
    for (const int parts : {1, c.rows == 257 ? 300 : 3})
      EXPECT_EQ(read_back(path, parts, 64), expected) << c.rows << " rows, " << parts;
    EXPECT_EQ(read_back(path, 1, 1 << 18, 2), expected);
    const Dataset dataset = read_dataset(path);
    EXPECT_EQ(dataset.rows, c.rows);
    EXPECT_EQ(dataset.users, std::min<std::int64_t>(c.rows, 97));
    EXPECT_EQ(dataset.bytes(), report.bytes);
    double sum = 0;
    for (const float value : expected.values) sum += value;
    EXPECT_EQ(dataset.value.mean, c.columns.values ? sum / static_cast<double>(c.rows) : 0);
    EXPECT_EQ(dataset.last_timestamp, c.columns.times ? 1'500'000'000 : 0);
    EXPECT_EQ(dataset.first_timestamp, c.columns.times ? 1'500'000'001 - c.rows : 0);
    const Vocabulary users = read_vocabulary(Folder::open(path), dataset.user_vocabulary);
    EXPECT_EQ(users.size(), dataset.users);
    EXPECT_GE(users.find(expected.users[0]), 0);
  }
}

TEST(Convert, TheSameRowsGiveTheSameBytes) {
  for (const ShardFormat format : {ShardFormat::hdf5, ShardFormat::tfrecord}) {
    const TemporaryFolder folder;
    ConvertOptions options;
    options.to = format;
    options.shards = 3;
    const Columns columns{true, false, true, true, true};
    convert_made(1000, columns, folder / "a", options);
    convert_made(1000, columns, folder / "b", options);
    for (const auto& entry : fs::directory_iterator(folder / "a")) {
      const std::string other = folder / "b/" + entry.path().filename().string();
      EXPECT_EQ(read_file(entry.path().string(), 1 << 30), read_file(other, 1 << 30)) << other;
    }
  }
}

TEST(Convert, ValuesAreLeftOutIfNotWanted) {
  const TemporaryFolder folder;
  convert_made(50, {false, false, true, true, false}, folder / "data", {});
  RatingReadOptions options;
  options.has_values = false;
  options.columns.weight = "-";
  const auto stream = open_dataset_ratings(folder / "data", options);
  RatingChunk chunk;
  ASSERT_TRUE(stream->next(chunk));
  EXPECT_EQ(chunk.rows(), 50);
  EXPECT_TRUE(chunk.values.empty());
  EXPECT_TRUE(chunk.weights.empty());
  options.columns.user = "nobody";
  EXPECT_EQ(error_of([&] { open_dataset_ratings(folder / "data", options); }).kind(),
            ErrorKind::data);
}

TEST(Convert, LeavesNothingBehindIfItFails) {
  const TemporaryFolder folder;
  const std::string path = folder / "data";
  EXPECT_EQ(error_of([&] { convert_made(0, {}, path, {}); }).kind(), ErrorKind::data);
  int call = 0;  // the second reading has other rows
  const auto changing = [&] {
    return std::make_unique<MadeRows>(5000 + 100 * call++, Columns{}, 1000);
  };
  for (const ShardFormat format : {ShardFormat::hdf5, ShardFormat::tfrecord}) {
    ConvertOptions options;
    options.to = format;
    const Error error = error_of([&] { convert_ratings(changing, path, options); });
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_NE(std::string(error.what()).find("changed"), std::string::npos) << error.what();
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(Convert, ReplacesOnlyDataSetsAndOnlyIfTold) {
  const TemporaryFolder folder;
  const std::string path = folder / "data";
  convert_made(10, {}, path, {});
  EXPECT_EQ(error_of([&] { convert_made(20, {}, path, {}); }).kind(), ErrorKind::cannot_write);
  EXPECT_EQ(read_dataset(path).rows, 10);
  ConvertOptions force;
  force.force = true;
  convert_made(20, {}, path + "/", force);
  EXPECT_EQ(read_dataset(path).rows, 20);
  fs::create_directory(folder / "other");
  folder.write("other/precious.txt", "x");
  EXPECT_EQ(error_of([&] { convert_made(20, {}, folder / "other", force); }).kind(),
            ErrorKind::cannot_write);
  EXPECT_TRUE(fs::exists(folder / "other/precious.txt"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator()), 2);
}

std::string shard_of(const std::string& folder, ShardFormat format, int shard) {
  return folder + "/part-0000" + std::to_string(shard) + "-of-00003" +
         (format == ShardFormat::hdf5 ? ".h5" : ".tfrecord");
}

TEST(Convert, NamesAShardThatIsMissingTruncatedOrDamaged) {
  for (const ShardFormat format : {ShardFormat::hdf5, ShardFormat::tfrecord}) {
    const TemporaryFolder folder;
    ConvertOptions options;
    options.to = format;
    options.shards = 3;
    const std::string path = folder / "data", shard = shard_of(path, format, 1);
    convert_made(3000, {}, path, options);
    const std::string sound = read_file(shard, 1 << 30);
    const auto expect_named = [&](ErrorKind kind, const char* why) {
      const Error error = error_of([&] { read_back(path, 1, 1 << 18); });
      EXPECT_EQ(error.kind(), kind);
      for (const std::string& part :
           {std::string("shard 2 of 3"), fs::path(shard).filename().string(), std::string(why)})
        EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    };

    fs::resize_file(shard, sound.size() - 1);
    expect_named(ErrorKind::data, "truncated");

    fs::remove(shard);
    expect_named(ErrorKind::input_missing, "");

    fs::create_symlink("/etc/passwd", shard);
    expect_named(ErrorKind::data, "");
    fs::remove(shard);

    std::string flipped = sound;
    flipped[flipped.size() / 2] ^= 16;
    folder.write(fs::relative(shard, folder.path()).string(), flipped);
    expect_named(ErrorKind::data, "damaged");

    // A part that does not touch the shard is read.
    RatingReadOptions first;
    first.parts = 3;
    RatingChunk chunk;
    EXPECT_TRUE(open_dataset_ratings(path, first)->next(chunk));
  }
}

/// Every byte of a small shard is changed once: the digest finds it, and without the digest the
/// format's own checksums find it or it changes nothing.
TEST(Convert, EveryChangedByteIsFound) {
  for (const ShardFormat format : {ShardFormat::hdf5, ShardFormat::tfrecord}) {
    const TemporaryFolder folder;
    ConvertOptions options;
    options.to = format;
    options.chunk_rows = 16;
    const Columns columns{false, false, true, false, false};
    convert_made(20, columns, folder / "data", options);
    const std::string shard = fs::directory_iterator(folder / "data")->path().string();
    const Dataset dataset = read_dataset(folder / "data");
    const std::string path = folder / "data/" + dataset.shards[0].file.name;
    std::string bytes = read_file(path, 1 << 30);
    const Rows sound = made(20, columns);
    int refused = 0, harmless = 0;
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      const char before = bytes[at];
      bytes[at] = static_cast<char>(before ^ (1 << (at % 8)));
      std::ofstream(path, std::ios::binary) << bytes;
      bytes[at] = before;
      ASSERT_EQ(error_of([&] { read_back(folder / "data", 1, 1000); }).kind(), ErrorKind::data)
          << at;
      if (at % 64 != 0) continue;  // a child process each
      RatingReadOptions unverified;
      unverified.verify = false;
      try {
        Rows rows;
        append(*open_dataset_ratings(folder / "data", unverified), rows);
        ASSERT_EQ(rows, sound) << "wrong data without an error: byte " << at;
        ++harmless;
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::data);
        ++refused;
      }
    }
    EXPECT_GT(refused, format == ShardFormat::tfrecord ? harmless : 0);
  }
}

TEST(DatasetJson, EveryChangedByteIsFoundOrMeansTheSame) {
  const TemporaryFolder folder;
  ConvertOptions options;
  options.shards = 2;
  convert_made(100, {true, false, true, false, true}, folder / "data", options);
  const std::string text = read_file(folder / "data/dataset.json", 1 << 20);
  const Dataset sound = dataset_from_json(text, "j");
  EXPECT_EQ(dataset_to_json(sound), text);
  int refused = 0;
  for (std::size_t at = 0; at < text.size(); ++at)
    for (const char replacement : {'0', '9', 'x', '"', ' ', '}', '\0', '\xff'}) {
      if (text[at] == replacement) continue;
      std::string changed = text;
      changed[at] = replacement;
      try {
        EXPECT_EQ(dataset_to_json(dataset_from_json(changed, "j")), text) << at;
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::data) << error.what();
        EXPECT_EQ(std::string(error.what()).rfind("j", 0), 0u) << error.what();
        ++refused;
      }
    }
  EXPECT_GT(refused, 1000);
  for (const std::size_t cut : {std::size_t{0}, text.size() / 2, text.size() - 3})
    EXPECT_EQ(error_of([&] { dataset_from_json(text.substr(0, cut), "j"); }).kind(),
              ErrorKind::data);
}

TEST(DatasetJson, RefusesNamesThatLeaveTheFolderAndCountsThatDisagree) {
  Dataset dataset;
  dataset.rows = 3;
  dataset.user_vocabulary.name = "users.vocab";
  dataset.item_vocabulary.name = "items.vocab";
  dataset.shards.push_back({{"part.h5", 1, "00", {}}, 3});
  EXPECT_NO_THROW(dataset_from_json(dataset_to_json(dataset), "j"));
  for (const char* name : {"../part.h5", "/etc/passwd", "a/b", "", ".", "..", "a\\b", ".hidden"}) {
    Dataset changed = dataset;
    changed.shards[0].file.name = name;
    EXPECT_EQ(error_of([&] { dataset_from_json(dataset_to_json(changed), "j"); }).kind(),
              ErrorKind::data)
        << name;
    changed = dataset;
    changed.user_vocabulary.name = name;
    EXPECT_EQ(error_of([&] { dataset_from_json(dataset_to_json(changed), "j"); }).kind(),
              ErrorKind::data)
        << name;
  }
  Dataset changed = dataset;
  changed.rows = 4;
  EXPECT_EQ(error_of([&] { dataset_from_json(dataset_to_json(changed), "j"); }).kind(),
            ErrorKind::data);
  changed = dataset;
  changed.shards[0].rows = -1;
  EXPECT_EQ(error_of([&] { dataset_from_json(dataset_to_json(changed), "j"); }).kind(),
            ErrorKind::data);
}

}  // namespace
}  // namespace gradmill
