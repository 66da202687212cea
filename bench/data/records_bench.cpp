// How fast records become samples:  records_bench [ROWS [THREADS [ROUNDS]]]
// Writes two tables: "label, text" with English-like words (Zipf, 80 bytes a row on average), and one of ten
// numbers and four categories. Interleaved rounds of: bytes only, records (CSV), samples (records and
// transforms), and the transforms alone on records in memory.
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
#include "data/features.h"
#include "runtime/random.h"
#include "runtime/thread_pool.h"

namespace {

using namespace gradmill;

double uniform(std::uint64_t& next) {
  return to_unit(random_bits(1, RandomStream::shuffle, next++).x[0]);
}

std::string write_table(const std::string& name, const std::string& header, std::int64_t rows,
                        const std::function<void(std::string&, std::uint64_t&)>& add_row) {
  const auto path = (std::filesystem::temp_directory_path() / name).string();
  std::ofstream file(path, std::ios::binary);
  std::string text = header;
  std::uint64_t next = 0;
  for (std::int64_t r = 0; r < rows; ++r) {
    add_row(text, next);
    if (text.size() > (1 << 20) || r + 1 == rows) {
      file << text;
      text.clear();
    }
  }
  return path;
}

void add_text(std::string& to, std::uint64_t& next) {
  to += uniform(next) < 0.5 ? "ham\t" : "spam\t";
  const int words = 4 + static_cast<int>(24 * uniform(next));
  for (int w = 0; w < words; ++w) {
    auto rank = static_cast<std::int64_t>(50000 * std::pow(uniform(next), 3.0));
    if (w) to += ' ';
    if (rank % 7 == 0) to += static_cast<char>('A' + rank % 26);
    for (rank += 20; rank > 0; rank /= 5) to += "etaoin"[rank % 6];
  }
  to += '\n';
}

void add_numbers(std::string& to, std::uint64_t& next) {
  to += uniform(next) < 0.5 ? "0" : "1";
  for (int n = 0; n < 10; ++n)
    fmt::format_to(std::back_inserter(to), ",{:.{}f}", 100 * uniform(next), n % 5);
  for (int c = 0; c < 4; ++c)
    fmt::format_to(std::back_inserter(to), ",value{}",
                   static_cast<int>(100 * std::pow(uniform(next), 2.0)));
  to += '\n';
}

struct Case {
  const char* name;
  std::function<void()> run;
  std::vector<double> cpu;
};

void measure(const std::string& path, const std::vector<FeatureSpec>& specs,
             const RecordReadOptions& options, int rounds) {
  const auto bytes = static_cast<double>(std::filesystem::file_size(path));
  const FeaturePipeline pipeline =
      FeatureFit::merge({fit_features(path, options, specs, {}).serialize()});
  RecordReadOptions planned = options;
  planned.columns = pipeline.columns();
  std::vector<RecordChunk> chunks;
  const auto stream = open_records(path, planned);
  for (RecordChunk chunk; stream->next(chunk); chunk = {}) chunks.push_back(std::move(chunk));
  std::vector<char> buffer(1 << 20);
  Case cases[] = {
      {"bytes only",
       [&] {
         const auto source = open_byte_source(path);
         while (source->read(buffer.data(), buffer.size()) == buffer.size()) continue;
       },
       {}},
      {"records",
       [&] {
         RecordChunk chunk;
         const auto records = open_records(path, planned);
         while (records->next(chunk)) continue;
       },
       {}},
      {"samples",
       [&] {
         SampleChunk chunk;
         const auto samples = open_record_samples(path, options, pipeline);
         while (samples->next(chunk)) continue;
       },
       {}},
      {"transforms",
       [&] {
         ThreadPool pool(options.threads);
         SampleChunk chunk;
         for (const RecordChunk& records : chunks) pipeline.transform(records, chunk, pool);
       },
       {}},
      {"fit", [&] { (void)fit_features(path, options, specs, {}); }, {}},
  };
  for (int round = 0; round < rounds; ++round)
    for (Case& c : cases) {
      const double begin = cpu_seconds();
      c.run();
      c.cpu.push_back(cpu_seconds() - begin);
    }
  fmt::print("{}: {:.1f} MB, {} features\n", path, bytes / 1e6, pipeline.num_features());
  for (Case& c : cases) {
    std::sort(c.cpu.begin(), c.cpu.end());
    fmt::print("  {:<12} {:7.0f} MB/s a core (median; best {:.0f})\n", c.name,
               bytes / 1e6 / c.cpu[c.cpu.size() / 2], bytes / 1e6 / c.cpu[0]);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::int64_t rows = argc > 1 ? std::atoll(argv[1]) : 200000;
  RecordReadOptions options;
  options.threads = argc > 2 ? std::atoi(argv[2]) : 1;
  const int rounds = argc > 3 ? std::atoi(argv[3]) : 5;
  FeatureSpec text;
  text.column = "text";
  text.kind = "text";
  measure(write_table("gradmill-records-bench.tsv", "label\ttext\n", rows, add_text), {text},
          options, rounds);
  measure(write_table("gradmill-records-bench.csv", "label,a,b,c,d,e,f,g,h,i,j,k,l,m,n\n", rows,
                      add_numbers),
          {}, options, rounds);
}
