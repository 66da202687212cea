// A converted data set: a folder of shards and dataset.json, which says what is in them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/convert.h"
#include "data/features.h"
#include "data/files.h"
#include "data/sample_summary.h"
#include "data/slice_sequence.h"
#include "data/value_range.h"
#include "data/vocabulary.h"

namespace gradmill {

struct Dataset {
  static constexpr int kVersion = 1;
  static constexpr const char* kFileName = "dataset.json";

  struct Shard {
    FileRecord file;
    std::int64_t rows = 0;
    std::int64_t entries = 0;  // of samples
  };
  DataKind kind = DataKind::ratings;
  ShardFormat format = ShardFormat::hdf5;
  std::int64_t rows = 0;
  std::vector<Shard> shards;

  // kind samples
  SampleSummary samples;
  std::optional<FileRecord> features;  // of records: the pipeline that made them samples

  // kind ratings
  IdColumn::Kind user_ids = IdColumn::Kind::i64, item_ids = IdColumn::Kind::i64;
  bool has_values = false, has_weights = false, has_timestamps = false;
  std::int64_t users = 0, items = 0;
  ValueRange value, weight;
  std::int64_t first_timestamp = 0, last_timestamp = 0;
  FileRecord user_vocabulary, item_vocabulary;

  std::int64_t bytes() const;  // of all shards
};

/// The text of dataset.json. Its last field is a digest of all others.
std::string dataset_to_json(const Dataset& dataset);
/// Errors: ErrorKind::data naming `path` and the field, also if the digest does not match.
Dataset dataset_from_json(std::string_view text, const std::string& path);

/// Errors: ErrorKind::input_missing or as above.
Dataset read_dataset(const std::string& folder);
/// Checked against its digest.
Vocabulary read_vocabulary(const Folder& folder, const FileRecord& record);
/// Of a data set that has `features`; checked against their digest.
FeaturePipeline read_features(const Folder& folder, const Dataset& dataset);

/// The shards with the rows of a part, by their names in the folder. What is missing or cut off is said now;
/// digests are checked when a shard is opened. Errors: as open_shard.
PartOfFiles shards_of_part(const Folder& folder, const Dataset& dataset, int part, int parts);
/// By its name.
InputFile open_shard(const Folder& folder, const Dataset& dataset, const std::string& name,
                     bool verify);

/// "shard 3 of 8, part-00002-of-00008.h5": opened, its size checked, and its digest if `verify`.
/// Errors: ErrorKind::input_missing or ErrorKind::data naming the shard and what is wrong with it.
InputFile open_shard(const Folder& folder, const Dataset& dataset, std::size_t shard, bool verify);

}  // namespace gradmill
