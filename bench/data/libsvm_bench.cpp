// How fast LIBSVM text is read:  libsvm_bench [ROWS [THREADS [ROUNDS [FILE]]]]
// Writes text like RCV1 (47,236 features, about 75 a row by a power law, values of 4 to 8 decimals) unless FILE is
// given, then reads it in interleaved rounds: bytes only, and samples (SampleStream).
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "bench/data/stopwatch.h"
#include "data/byte_source.h"
#include "data/sample_stream.h"
#include "runtime/random.h"

namespace {

using namespace gradmill;

std::string write_libsvm(std::int64_t rows) {
  const auto path = (std::filesystem::temp_directory_path() / "gradmill-libsvm-bench.svm").string();
  std::ofstream file(path, std::ios::binary);
  std::string text;
  std::vector<std::int64_t> features;
  std::uint64_t next = 0;
  for (std::int64_t r = 0; r < rows; ++r) {
    features.clear();
    const auto count = 40 + random_bits(1, RandomStream::shuffle, next++).x[0] % 71;
    while (features.size() < count) {
      const Philox4 x = random_bits(1, RandomStream::shuffle, next++);
      for (const auto bits : x.x)
        features.push_back(1 + static_cast<std::int64_t>(47235 * std::pow(to_unit(bits), 3.0)));
    }
    std::sort(features.begin(), features.end());
    features.erase(std::unique(features.begin(), features.end()), features.end());
    text += r % 2 ? "1" : "-1";
    for (const std::int64_t feature : features) {
      const Philox4 x = random_bits(2, RandomStream::shuffle, next++);
      fmt::format_to(std::back_inserter(text), " {}:{:.{}f}", feature, 0.3 * to_unit(x.x[0]),
                     4 + x.x[1] % 5);
    }
    text += "\n";
    if (text.size() > (1 << 20) || r + 1 == rows) {
      file << text;
      text.clear();
    }
  }
  return path;
}

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int i, std::int64_t otherwise) {
    return argc > i ? std::atoll(argv[i]) : otherwise;
  };
  const std::int64_t rows = argument(1, 200'000);
  const auto threads = static_cast<int>(argument(2, 1)), rounds = static_cast<int>(argument(3, 5));
  const std::string path = argc > 4 ? argv[4] : write_libsvm(rows);
  const double megabytes = static_cast<double>(byte_source_size(path)) / 1e6;
  SampleReadOptions options;
  options.threads = threads;

  std::int64_t read_rows = 0, entries = 0, sum = 0;
  const std::vector<std::pair<const char*, std::function<void()>>> ways = {
      {"bytes",
       [&] {
         std::vector<char> buffer(1 << 20);
         const auto source = open_byte_source(path);
         while (const auto got = source->read(buffer.data(), buffer.size()))
           sum += static_cast<std::int64_t>(got);
       }},
      {"samples", [&] {
         SampleChunk chunk;
         const auto stream = open_libsvm_samples({path}, options);
         read_rows = entries = 0;
         while (stream->next(chunk)) {
           read_rows += chunk.rows();
           entries += chunk.nnz();
         }
       }}};

  std::vector<std::vector<double>> wall(ways.size()), cpu(ways.size());
  for (int round = 0; round < rounds; ++round)
    for (std::size_t w = 0; w < ways.size(); ++w) {
      const Seconds time = measure(ways[w].second);
      wall[w].push_back(time.wall);
      cpu[w].push_back(time.cpu);
    }
  fmt::print("{:.0f} MB, {} rows, {} entries, {} threads, {} rounds ({})\n", megabytes, read_rows,
             entries, threads, rounds, sum);
  for (std::size_t w = 0; w < ways.size(); ++w)
    fmt::print(
        "{:8} MB/s: best {:7.1f} median {:7.1f}   MB/s per core's CPU time: best {:7.1f} median "
        "{:7.1f}\n",
        ways[w].first, megabytes / *std::min_element(wall[w].begin(), wall[w].end()),
        megabytes / median(wall[w]), megabytes / *std::min_element(cpu[w].begin(), cpu[w].end()),
        megabytes / median(cpu[w]));
  if (argc <= 4) std::filesystem::remove(path);
}
