// TFRecord and HDF5 from the page cache, beside read() of the same files.
//   build/bench/bench/bench_data --benchmark_filter=Io --benchmark_enable_random_interleaving=true
//     --benchmark_repetitions=9 --benchmark_report_aggregates_only=true
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "data/convert.h"
#include "data/crc32c.h"
#include "data/fletcher32.h"
#include "data/hdf5_ratings.h"
#include "data/hdf5_writer.h"
#include "data/rating_stream.h"
#include "data/tf_example.h"
#include "data/tfrecord.h"
#include "data/tfrecord_ratings.h"

namespace {

using namespace gradmill;
namespace fs = std::filesystem;

constexpr std::int64_t kRows = 9'000'000;     // 28 bytes each: 252 MB
constexpr std::int64_t kRecords = 1'000'000;  // 256 bytes each

class MadeRows : public RatingStream {
 public:
  bool next(RatingChunk& chunk) override {
    const std::int64_t count = std::min<std::int64_t>(1 << 18, kRows - report_.rows);
    chunk = RatingChunk();
    for (std::int64_t r = report_.rows; r < report_.rows + count; ++r) {
      chunk.users.push(r * 2654435761 % 138'000);
      chunk.items.push(r * 40503 % 27'000);
      chunk.values.push_back(static_cast<float>(r % 9 + 1) / 2);
      chunk.timestamps.push_back(1'000'000'000 + r);
    }
    report_.rows += count;
    return count > 0;
  }
  const ReadReport& report() const override { return report_; }

 private:
  ReadReport report_;
};

/// The files, made once, removed at the end.
struct Files {
  Files() {
    std::string name = (fs::temp_directory_path() / "gradmill-bench-XXXXXX").string();
    folder = mkdtemp(name.data());
    ConvertOptions options;
    convert_ratings([] { return std::make_unique<MadeRows>(); }, folder + "/hdf5", options);
    options.to = ShardFormat::tfrecord;
    convert_ratings([] { return std::make_unique<MadeRows>(); }, folder + "/tfrecord", options);
    write_without_sums();
    TfRecordWriter writer(records(), 0);
    for (std::int64_t r = 0; r < kRecords; ++r)
      writer.write(std::string(256, static_cast<char>(r)));
    writer.finish();
  }
  ~Files() { fs::remove_all(folder); }
  void write_without_sums() const {
    using Type = Hdf5WriterColumn::Type;
    Hdf5Writer writer(without_sums(),
                      {{Type::int64, "users", ""},
                       {Type::int64, "items", ""},
                       {Type::float32, "values", ""},
                       {Type::int64, "timestamps", ""}},
                      kRows, {1 << 15, 0, false});
    MadeRows rows;
    RatingChunk chunk;
    while (rows.next(chunk)) {
      writer.append(0, chunk.users.numbers.data(), chunk.rows());
      writer.append(1, chunk.items.numbers.data(), chunk.rows());
      writer.append(2, chunk.values.data(), chunk.rows());
      writer.append(3, chunk.timestamps.data(), chunk.rows());
    }
    writer.finish();
  }
  std::string shard() const { return folder + "/hdf5/part-00000-of-00001.h5"; }
  std::string without_sums() const { return folder + "/without_sums.h5"; }
  std::string examples() const { return folder + "/tfrecord/part-00000-of-00001.tfrecord"; }
  std::string records() const { return folder + "/records"; }
  std::string folder;
};

const Files& files() {
  static const Files made;
  return made;
}

double smallest(const std::vector<double>& times) {
  return *std::min_element(times.begin(), times.end());
}

void plain_read(benchmark::State& state, const std::string& path, std::size_t block) {
  std::vector<char> buffer(block);
  for (auto _ : state) {
    const int file = ::open(path.c_str(), O_RDONLY);
    while (::read(file, buffer.data(), buffer.size()) > 0) benchmark::DoNotOptimize(buffer.data());
    ::close(file);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(fs::file_size(path)));
}

void stream(benchmark::State& state, const std::string& path, const auto& open) {
  RatingChunk chunk;
  for (auto _ : state) {
    std::int64_t rows = 0;
    const auto ratings = open();
    while (ratings->next(chunk)) rows += chunk.rows();
    if (rows != kRows) state.SkipWithError("rows are missing");
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(fs::file_size(path)));
  state.SetItemsProcessed(state.iterations() * kRows);
}

void IoReadShard(benchmark::State& state) { plain_read(state, files().shard(), 1 << 20); }
void IoHdf5Shard(benchmark::State& state) {
  stream(state, files().shard(), [] { return open_hdf5_ratings({files().shard()}, {}); });
}
void IoHdf5WithoutSums(benchmark::State& state) {
  stream(state, files().without_sums(),
         [] { return open_hdf5_ratings({files().without_sums()}, {}); });
}
void IoHdf5Dataset(benchmark::State& state) {  // digest first, then the rows
  stream(state, files().shard(), [] { return open_ratings(files().folder + "/hdf5", {}); });
}
void IoHdf5Locate(benchmark::State& state) {  // the child that finds the chunks
  for (auto _ : state) benchmark::DoNotOptimize(locate_hdf5_ratings(files().shard(), {}).rows);
}
void IoReadRecords(benchmark::State& state) { plain_read(state, files().records(), 1 << 18); }
void IoTfRecord(benchmark::State& state) {  // frames and both CRCs of 256-byte records
  for (auto _ : state) {
    TfRecordReader reader(files().records());
    std::string_view payload;
    while (reader.next(payload)) benchmark::DoNotOptimize(payload.data());
  }
  state.SetBytesProcessed(state.iterations() *
                          static_cast<std::int64_t>(fs::file_size(files().records())));
  state.SetItemsProcessed(state.iterations() * kRecords);
}
void IoTfRecordRatings(benchmark::State& state) {  // and tf.Example decoding
  stream(state, files().examples(), [] { return open_tfrecord_ratings({files().examples()}, {}); });
}
void IoCrc32c(benchmark::State& state) {
  const std::string bytes(static_cast<std::size_t>(state.range(0)), 'x');
  for (auto _ : state) benchmark::DoNotOptimize(crc32c(bytes));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
void IoFletcher32(benchmark::State& state) {
  const std::string bytes(static_cast<std::size_t>(state.range(0)), 'x');
  for (auto _ : state) benchmark::DoNotOptimize(fletcher32(bytes.data(), bytes.size()));
  state.SetBytesProcessed(state.iterations() * state.range(0));
}

#define GRADMILL_IO_BENCH(name)       \
  BENCHMARK(name)                     \
      ->Unit(benchmark::kMillisecond) \
      ->MinTime(0.2)                  \
      ->UseRealTime()                 \
      ->ComputeStatistics("min", smallest)
GRADMILL_IO_BENCH(IoReadShard);
GRADMILL_IO_BENCH(IoHdf5Shard);
GRADMILL_IO_BENCH(IoHdf5WithoutSums);
GRADMILL_IO_BENCH(IoHdf5Dataset);
GRADMILL_IO_BENCH(IoHdf5Locate);
GRADMILL_IO_BENCH(IoReadRecords);
GRADMILL_IO_BENCH(IoTfRecord);
GRADMILL_IO_BENCH(IoTfRecordRatings);
BENCHMARK(IoCrc32c)->Arg(256)->Arg(1 << 20)->MinTime(0.1);
BENCHMARK(IoFletcher32)->Arg(1 << 20)->MinTime(0.1);

}  // namespace
