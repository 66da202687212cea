#include <filesystem>

#include "data/dataset.h"
#include "data/hdf5_ratings.h"
#include "data/slice_sequence.h"
#include "data/tfrecord_ratings.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

/// Rows of a vocabulary become the texts that they stand for.
class DecodedIds : public RatingStream {
 public:
  DecodedIds(std::unique_ptr<RatingStream> rows, std::shared_ptr<const Vocabulary> users,
             std::shared_ptr<const Vocabulary> items, std::string path)
      : rows_(std::move(rows)),
        users_(std::move(users)),
        items_(std::move(items)),
        path_(std::move(path)) {}

  bool next(RatingChunk& chunk) override {
    if (!rows_->next(chunk)) return false;
    if (users_) decode(*users_, "users", chunk.users);
    if (items_) decode(*items_, "items", chunk.items);
    return true;
  }
  const ReadReport& report() const override { return rows_->report(); }

 private:
  void decode(const Vocabulary& vocabulary, const char* what, IdColumn& ids) const {
    IdColumn texts;
    texts.kind = IdColumn::Kind::string;
    texts.ends.reserve(ids.numbers.size());
    for (const std::int64_t row : ids.numbers) {
      expect(row >= 0 && row < vocabulary.size(), ErrorKind::data,
             "{}: {} has row {} of a vocabulary of {}", path_, what, row, vocabulary.size());
      texts.push(vocabulary.ids().text(row));
    }
    ids = std::move(texts);
  }
  std::unique_ptr<RatingStream> rows_;
  std::shared_ptr<const Vocabulary> users_, items_;
  std::string path_;
};

/// The columns of a shard have fixed names; those that are not there, or not wanted, are "-".
RatingColumns shard_columns(const Dataset& dataset, const std::string& folder,
                            const RatingReadOptions& options) {
  const bool hdf5 = dataset.format == ShardFormat::hdf5;
  RatingColumns columns =
      hdf5 ? RatingColumns{"/users", "/items", "/values", "/weights", "/timestamps"}
           : RatingColumns{"user", "item", "rating", "weight", "timestamp"};
  const auto choose = [&](std::string& column, const std::string& asked, const char* name,
                          bool there) {
    expect(asked.empty() || asked == "-" || (asked == name && there), ErrorKind::data,
           "{}: there is no column \"{}\"; the columns of a converted data set are user, item, "
           "rating, weight, "
           "timestamp",
           folder, asked);
    if (!there || asked == "-") column = "-";
  };
  choose(columns.user, options.columns.user, "user", true);
  choose(columns.item, options.columns.item, "item", true);
  choose(columns.value, options.columns.value, "rating", dataset.has_values && options.has_values);
  choose(columns.weight, options.columns.weight, "weight", dataset.has_weights);
  choose(columns.timestamp, options.columns.timestamp, "timestamp", dataset.has_timestamps);
  return columns;
}

}  // namespace

std::unique_ptr<RatingStream> open_dataset_ratings(const std::string& folder,
                                                   const RatingReadOptions& options) {
  const auto dataset = std::make_shared<const Dataset>(read_dataset(folder));
  expect(dataset->kind == DataKind::ratings, ErrorKind::data,
         "{}: a data set of samples, not of ratings", folder);
  RatingReadOptions shard_options = options;
  shard_options.columns = shard_columns(*dataset, folder, options);
  shard_options.has_values = options.has_values && dataset->has_values;

  const auto opened = std::make_shared<const Folder>(Folder::open(folder));
  PartOfFiles part = shards_of_part(*opened, *dataset, options.part, options.parts);

  std::shared_ptr<const Vocabulary> users, items;
  if (dataset->format == ShardFormat::hdf5 && !part.slices.empty()) {
    const auto load = [&](const FileRecord& record) {
      return std::make_shared<const Vocabulary>(read_vocabulary(*opened, record));
    };
    if (dataset->user_ids == IdColumn::Kind::string) users = load(dataset->user_vocabulary);
    if (dataset->item_ids == IdColumn::Kind::string) items = load(dataset->item_vocabulary);
  }
  const auto open = [=](const FileSlice& slice) -> std::unique_ptr<RatingStream> {
    const InputFile file = open_shard(*opened, *dataset, slice.path, options.verify);
    const FileSlice here{file.path(), slice.first, slice.count};
    if (dataset->format == ShardFormat::tfrecord) return read_tfrecord_slice(here, shard_options);
    auto stream = read_hdf5_slice(here, shard_options);
    if (!users && !items) return stream;
    return std::make_unique<DecodedIds>(std::move(stream), users, items, here.path);
  };
  return std::make_unique<SliceSequence>(std::move(part.slices), part.first_row, open);
}

}  // namespace gradmill
