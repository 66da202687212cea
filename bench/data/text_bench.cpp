// How fast text ratings are read:  text_bench [ROWS [THREADS [ROUNDS [FILE]]]]
// Writes a plain CSV (user,item,rating,timestamp; MovieLens-20M-like) unless FILE is given, then reads it
// in interleaved rounds: bytes only, rows (RatingStream), and a whole RatingTable.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

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

double seconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
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

  std::vector<std::vector<double>> times(ways.size());
  for (int round = 0; round < rounds; ++round)
    for (std::size_t w = 0; w < ways.size(); ++w) times[w].push_back(seconds(ways[w].second));
  fmt::print("{:.0f} MB, {} threads, {} rounds ({})\n", megabytes, threads, rounds, sum);
  for (std::size_t w = 0; w < ways.size(); ++w) {
    std::sort(times[w].begin(), times[w].end());
    fmt::print("{:6} best {:7.1f} MB/s  median {:7.1f} MB/s\n", ways[w].first,
               megabytes / times[w].front(), megabytes / times[w][times[w].size() / 2]);
  }
  if (argc <= 4) std::filesystem::remove(path);
}
