// A converted data set on its way into its folder.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>

#include "data/convert.h"
#include "data/dataset.h"
#include "runtime/expect.h"

namespace gradmill {

/// Nothing stands under the final name until publish(); what was written before is removed if that does not come.
class DatasetOutput {
 public:
  /// Checks the options and that the folder may be made. Errors: ErrorKind::usage or cannot_write.
  DatasetOutput(const std::string& folder, const ConvertOptions& options);
  ~DatasetOutput();
  DatasetOutput(DatasetOutput&&) = delete;
  /// Makes the temporary folder. Errors: ErrorKind::data if there are no rows.
  void create(const Dataset& dataset);
  const std::string& path() const { return path_; }
  /// Writes dataset.json and gives the folder its name. The report has what the data set knows.
  ConvertReport publish(const Dataset& dataset);

 private:
  std::string target_, path_;
  bool replace_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

/// "part-00000-of-00008.h5"
std::string shard_name(const Dataset& dataset, int shard, int shards,
                       const ConvertOptions& options);

/// Errors: ErrorKind::data unless `same`: the source gave other rows at the second reading.
void check_unchanged(bool same);

/// Deals the rows of a stream to shards in contiguous, nearly equal runs, and records them in the data set.
/// make_writer(path, rows) opens a shard; prepare() is called after each chunk was read.
template <class Stream, class Chunk, class MakeWriter, class Prepare>
void deal_to_shards(Stream&& stream, Chunk& chunk, const std::string& folder, Dataset& dataset,
                    const ConvertOptions& options, MakeWriter&& make_writer, Prepare&& prepare) {
  const auto shards = static_cast<int>(std::min<std::int64_t>(options.shards, dataset.rows));
  decltype(make_writer(folder, 0)) writer;
  std::int64_t left = 0;  // rows of the open shard that are still to come
  while (stream.next(chunk)) {
    prepare();
    for (std::int64_t row = 0; row < chunk.rows();) {
      if (!writer) {
        const auto s = static_cast<int>(dataset.shards.size());
        check_unchanged(s < shards);
        left = part_begin(dataset.rows, s + 1, shards) - part_begin(dataset.rows, s, shards);
        dataset.shards.push_back({{}, left});
        writer = make_writer(folder + "/" + shard_name(dataset, s, shards, options), left);
      }
      const std::int64_t count = std::min(left, chunk.rows() - row);
      writer->append(chunk, row, count);
      if constexpr (requires { chunk.offsets; })
        dataset.shards.back().entries += chunk.offsets[static_cast<std::size_t>(row + count)] -
                                         chunk.offsets[static_cast<std::size_t>(row)];
      row += count;
      left -= count;
      if (left > 0) continue;
      dataset.shards.back().file = writer->finish();
      writer.reset();
    }
  }
  check_unchanged(!writer && static_cast<int>(dataset.shards.size()) == shards);
}

}  // namespace gradmill
