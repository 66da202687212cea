// How fast text ratings are read:  text_bench [ROWS [THREADS [ROUNDS [FILE]]]]
// Writes a plain CSV (user,item,rating,timestamp; MovieLens-20M-like) unless FILE is given, then reads it
// in interleaved rounds: bytes only, rows (RatingStream), and a whole RatingTable.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "bench/data/stopwatch.h"
#include "data/byte_source.h"
#include "data/vocabulary.h"
#include "runtime/random.h"

namespace {

using namespace gradmill;

std::string write_csv(std::int64_t rows) {
  const auto path = (std::filesystem::temp_directory_path() / "gradmill-text-bench.csv").string();
  std::ofstream file(path, std::ios::binary);
  std::string text = "userId,movieId,rating,timestamp\n";
  for (std::int64_t r = 0; r < rows; ++r) {
    const Philox4 x = random_bits(1, RandomStream::shuffle, static_cast<std::uint64_t>(r));
    const double item = 27000.0 * std::pow(to_unit(x.x[0]), 3.0);
    fmt::format_to(std::back_inserter(text), "{},{},{}.{},{}\n", 1 + r * 138000 / rows,
                   1 + static_cast<int>(item), x.x[1] % 5, x.x[2] % 2 * 5,
                   789652009 + x.x[3] % 600000000);
    if (text.size() > (1 << 20) || r + 1 == rows) {
      file << text;
      text.clear();
    }
  }
  return path;
}

double peak_megabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1e3;
}

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int i, std::int64_t otherwise) {
    return argc > i ? std::atoll(argv[i]) : otherwise;
  };
  const std::int64_t rows = argument(1, 5'000'000);
  const auto threads = static_cast<int>(argument(2, 1)), rounds = static_cast<int>(argument(3, 5));
  const std::string path = argc > 4 ? argv[4] : write_csv(rows);
  const double megabytes = static_cast<double>(byte_source_size(path)) / 1e6;
  RatingReadOptions options;
  options.threads = threads;

  std::int64_t sum = 0;
  const std::vector<std::pair<const char*, std::function<void()>>> ways = {
      {"bytes",
       [&] {
         std::vector<char> buffer(1 << 20);
         const auto source = open_byte_source(path);
         while (const auto got = source->read(buffer.data(), buffer.size()))
           sum += static_cast<std::int64_t>(got);
       }},
      {"rows",
       [&] {
         RatingChunk chunk;
         const auto stream = open_text_ratings({path}, options);
         while (stream->next(chunk)) sum += chunk.rows();
       }},
      {"table",
       [&] { sum += read_rating_table(*open_text_ratings({path}, options), threads).rows(); }}};

  std::vector<std::vector<double>> wall(ways.size()), cpu(ways.size());
  std::vector<double> peak(ways.size());  // of the process after the first round
  for (int round = 0; round < rounds; ++round)
    for (std::size_t w = 0; w < ways.size(); ++w) {
      const Seconds time = measure(ways[w].second);
      wall[w].push_back(time.wall);
      cpu[w].push_back(time.cpu);
      if (round == 0) peak[w] = peak_megabytes();
    }
  fmt::print("{:.0f} MB, {} threads, {} rounds ({})\n", megabytes, threads, rounds, sum);
  for (std::size_t w = 0; w < ways.size(); ++w)
    fmt::print(
        "{:6} MB/s: best {:7.1f} median {:7.1f}   MB/s per core's CPU time: best {:7.1f} median "
        "{:7.1f}   "
        "peak memory {:5.0f} MB\n",
        ways[w].first, megabytes / *std::min_element(wall[w].begin(), wall[w].end()),
        megabytes / median(wall[w]), megabytes / *std::min_element(cpu[w].begin(), cpu[w].end()),
        megabytes / median(cpu[w]), peak[w]);
  if (argc <= 4) std::filesystem::remove(path);
}
