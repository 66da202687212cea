#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <random>

#include "data/decimal.h"
#include "data/libsvm_parse.h"
#include "runtime/error.h"
#include "tests/data/sample_files.h"
#include "tests/data/text_files.h"
#include "tests/support/error_of.h"
#include "tests/support/shared_data.h"

namespace gradmill {
namespace {

using testing::all_samples;
using testing::error_of;
using testing::gzipped;
using testing::libsvm_text;
using testing::random_samples;
using testing::Sample;
using testing::shared_data;
using testing::TemporaryFolder;
using Samples = std::vector<Sample>;
using IndexBase = SampleReadOptions::IndexBase;

class LibsvmSamples : public ::testing::Test {
 protected:
  Samples read(const std::string& text, const SampleReadOptions& options = {}) const {
    return all_samples(*open_libsvm_samples({folder_.write("a.svm", text)}, options));
  }
  // The error's message, without the folder.
  std::string error(const std::string& text, const SampleReadOptions& options = {}) const {
    const Error e = error_of([&] { read(text, options); });
    EXPECT_EQ(e.kind(), ErrorKind::data) << e.what();
    const std::string what = e.what(), path = folder_ / "a.svm";
    return what.starts_with(path) ? what.substr(path.size()) : what;
  }
  TemporaryFolder folder_;
};

// Numbers come twice, as the last of a piece is read the careful way.
std::string twice(const std::string& text) { return text + std::string(200, '\n') + text; }

TEST_F(LibsvmSamples, Rows) {
  const Samples want{{1, {{0, 0.5f}, {6, -2}}}, {-1, {}}, {2.5f, {{2, 1e-3f}}}};
  for (const std::string& text :
       {std::string("+1 1:0.5 7:-2\n-1\n2.5 3:1e-3\n"),
        std::string("1 1:.5 7:-2.0\n-1 \n2.5 3:1E-3"),
        std::string("1.0\t1:5e-1   7:-2 \t\r\n-1.\r\n\r\n  \t\n25e-1 3:0.001\r\n"),
        std::string("# 0:0\n1 7:-2 1:0.5 # 8:1\n-1# no entry\n#\n2.5 3:1e-3 #"),
        std::string("\xEF\xBB\xBF"
                    "1 qid:3 1:0.5 7:-2\n-1 qid:4\n2.5 qid:4 3:1e-3\n")}) {
    EXPECT_EQ(read(text), want) << text;
    Samples again = want;
    again.insert(again.end(), want.begin(), want.end());
    if (text[0] != '\xEF') {
      EXPECT_EQ(read(twice(text + "\n")), again) << text;
    }
  }
}

TEST_F(LibsvmSamples, QueryNumbersAreNoted) {
  const auto stream = open_libsvm_samples({folder_.write("q", "1 qid:1 2:3\n0 qid:1\n")}, {});
  EXPECT_EQ(all_samples(*stream).size(), 2u);
  ASSERT_EQ(stream->report().notes.size(), 1u);
  EXPECT_NE(stream->report().notes[0].find("qid"), std::string::npos);
  EXPECT_EQ(error("1 qid:x 2:3\n").substr(0, 6), ":1:3: ");
  EXPECT_EQ(error("1 2:3 qid:1\n").substr(0, 6), ":1:7: ");
}

TEST_F(LibsvmSamples, IndicesBeginAtZeroIfOneIsZero) {
  EXPECT_EQ(read("1 1:2\n"), (Samples{{1, {{0, 2}}}}));
  EXPECT_EQ(read("1 1:2\n1 0:3\n"), (Samples{{1, {{1, 2}}}, {1, {{0, 3}}}}));
  EXPECT_EQ(read("1 1:2 # 0:1\n"), (Samples{{1, {{0, 2}}}}));
  SampleReadOptions options;
  options.index_base = IndexBase::zero;
  EXPECT_EQ(read("1 1:2\n", options), (Samples{{1, {{1, 2}}}}));
  options.index_base = IndexBase::one;
  EXPECT_EQ(error("1 1:2\n1 3:1 0:3\n", options).substr(0, 32), ":2:7: feature index is 0, but in");
  // Far from the beginning, and in another part: the same base for all.
  std::string text;
  while (text.size() < (5u << 20)) text += "1 1:2 5:0.25 17:1\n";
  const auto lines = std::count(text.begin(), text.end(), '\n');
  const std::string where = fmt::format(":{}:3: feature index is 0", lines + 1);
  options = {};
  EXPECT_EQ(error(text + "1 0:2\n", options).substr(0, where.size()), where);
  options.part = 3;
  options.parts = 4;
  EXPECT_EQ(error(text + "1 0:2\n", options).substr(0, where.size()), where);
  EXPECT_EQ(read("1 0:1\n" + text, options).back(), (Sample{1, {{1, 2}, {5, .25f}, {17, 1}}}));
}

TEST_F(LibsvmSamples, IndicesUpToTheLargest) {
  EXPECT_EQ(read(twice("1 2147483647:1 2:3\n"))[0], (Sample{1, {{2147483646, 1}, {1, 3}}}));
  EXPECT_EQ(read(twice("1 0:1 2147483646:1\n"))[1], (Sample{1, {{2147483646, 1}, {0, 1}}}));
  for (const char* index : {"2147483648", "4294967297", "9999999999", "18446744073709551617",
                            "99999999999999999999999"})
    for (const std::string& tail : {std::string("\n"), std::string(200, '\n')})
      EXPECT_NE(
          error(fmt::format("1 {}:1{}", index, tail))
              .find(fmt::format(":1:3: feature index is {}; the greatest is 2147483647", index)),
          std::string::npos);
  EXPECT_EQ(error("1 0:1 2147483647:1\n").substr(0, 40),
            ":1:7: feature index is 2147483647; the g");
  SampleReadOptions options;
  options.num_features = 5;
  EXPECT_EQ(read("1 5:1\n", options), (Samples{{1, {{4, 1}}}}));
  EXPECT_NE(error("1 6:1\n", options).find("greatest is 5 (5 features, from 1)"),
            std::string::npos);
}

TEST_F(LibsvmSamples, Errors) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"python 2:2.5\n", ":1:1: label is \"python\"; expected a finite number"},
      {"1 1:1\n1,2 3:4\n", ":2:1: label is \"1,2\": rows of several labels"},
      {"1 1:1\n  3:4\n", ":2:3: the row has no label"},
      {"nan 1:1\n", ":1:1: label is \"nan\""},
      {"-inf 1:1\n", ":1:1: label is \"-inf\""},
      {"1e40 1:1\n", ":1:1: label is \"1e40\""},
      {"1 1:1 2:nan\n", ":1:9: value of feature 2 is \"nan\"; expected a finite number"},
      {"1 1:1 2:inf\n", ":1:9: value of feature 2 is \"inf\""},
      {"1 1:1 2:1e39 3:1\n", ":1:9: value of feature 2 is \"1e39\""},
      {"1 1:1 2:-1" + std::string(60, '0') + " 3:1\n", ":1:9: value of feature 2"},
      {"1 1:1 2: 3:1\n", ":1:9: value of feature 2 is \"\""},
      {"1 1:1 2:3x 3:1\n", ":1:9: value of feature 2 is \"3x\""},
      {"1 1:1 2:0x3 3:1\n", ":1:9: value of feature 2 is \"0x3\""},
      {"1 1:1 2:3:4 3:1\n", ":1:9: value of feature 2 is \"3:4\""},
      {"1 1:1 -2:3\n", ":1:7: \"-2:3\" is no entry; expected index:value"},
      {"1 1:1 1.5:3\n", ":1:7: \"1.5:3\" is no entry"},
      {"1 1:1 :3\n", ":1:7: \":3\" is no entry"},
      {"1 1:1 7\n", ":1:7: \"7\" is no entry"},
      {"1 1:1 a:7\n", ":1:7: \"a:7\" is no entry"},
      {"1 1:1\r 2:7\n", ":1:5: value of feature 1"},
      {"\n#c\n1 5:2.5 2:-5.2 5:1.5\n", ":3:16: feature index 5 stands twice in the row"},
      {"1 5:2.5 5:2.5\n", ":1:9: feature index 5 stands twice"},
      {std::string("1 1:1\0 2:1\n", 11), ":1:5: value of feature 1 is \"1?\""},
  };
  for (const auto& [text, want] : cases)
    for (const std::string& tail : {std::string(), std::string(100, '\n')}) {
      const std::string got = error(text + tail);
      EXPECT_EQ(got.substr(0, want.size()), want) << text;
    }
  for (const char* empty : {"", "\n\n", "# only\n"})
    EXPECT_NE(error(empty).find("no rows"), std::string::npos);
  EXPECT_NE(error("\xFF\xFE 1").find("UTF-16"), std::string::npos);
  EXPECT_EQ(error_of([&] { open_libsvm_samples({folder_ / "none"}, {}); }).kind(),
            ErrorKind::input_missing);
}

TEST_F(LibsvmSamples, BadRecordsAreCounted) {
  std::string text = "1 1:1\nx 1:1\n1 1:nan\n1 1:1e40 2:2\n 3:3\n1 9:1 9:1\n1 4294967296:1\n";
  for (int i = 0; i < 20; ++i) text += "1,2 3:4\n";
  text += "0 2:1\n";
  for (const int threads : {1, 3})
    for (const std::int64_t chunk_rows : {1, 1000}) {
      SampleReadOptions options;
      options.bad_records = BadRecords::skip;
      options.threads = threads;
      options.chunk_rows = chunk_rows;
      const auto stream = open_libsvm_samples({folder_.write("a.svm", text)}, options);
      EXPECT_EQ(all_samples(*stream), (Samples{{1, {{0, 1}}}, {0, {{1, 1}}}}));
      const ReadReport& report = stream->report();
      EXPECT_EQ(report.rows, 2);
      EXPECT_EQ(report.skipped, 26);
      EXPECT_EQ(report.skipped_by, (std::array<std::int64_t, 4>{22, 1, 1, 2}));
      ASSERT_EQ(report.examples.size(), 10u);
      EXPECT_NE(report.examples[6].find("a.svm:8:1: label is \"1,2\""), std::string::npos)
          << report.examples[6];
    }
}

TEST_F(LibsvmSamples, EveryRowOnceOverAllPartsThreadsAndChunks) {
  for (const std::size_t rows : {1, 31, 33, 257, 3000}) {
    const Samples samples = random_samples(rows, static_cast<unsigned>(rows), false);
    const std::string text = libsvm_text(samples);
    const std::size_t half = text.find('\n', text.size() / 2) + 1;
    const std::vector<std::vector<std::string>> sources = {
        {folder_.write("whole", text)},
        {folder_.write("whole.gz", gzipped(text))},
        {folder_.write("first.gz", gzipped(text.substr(0, half))), folder_.write("empty", ""),
         folder_.write("rest", text.substr(half, text.size() - half - (half < text.size())))}};
    for (const auto& files : sources)
      for (const int parts : {1, 2, 3, 7})
        for (const int threads : {1, 2, 5}) {
          SampleReadOptions options;
          options.threads = threads;
          options.parts = parts;
          options.index_base = IndexBase::one;
          options.chunk_rows = threads == 2 ? 3 : 100;
          Samples got;
          for (options.part = 0; options.part < parts; ++options.part)
            for (Sample& s : all_samples(*open_libsvm_samples(files, options)))
              got.push_back(std::move(s));
          ASSERT_EQ(got, samples) << rows << " rows, " << parts << " parts, " << threads;
        }
  }
}

TEST_F(LibsvmSamples, ChunksDoNotDependOnThreads) {
  const std::string path = folder_.write("a", libsvm_text(random_samples(2000, 1, false)));
  std::vector<std::int64_t> sizes[2];
  for (const int threads : {1, 4}) {
    SampleReadOptions options;
    options.threads = threads;
    options.chunk_rows = 64;
    const auto stream = open_libsvm_samples({path}, options);
    for (SampleChunk chunk; stream->next(chunk);) sizes[threads > 1].push_back(chunk.rows());
  }
  EXPECT_GT(sizes[0].size(), 10u);
  EXPECT_EQ(sizes[0], sizes[1]);
}

TEST_F(LibsvmSamples, LongRowsAreReadUpToALimit) {
  std::string row = "1";
  for (int i = 1; i <= 700000; ++i) row += fmt::format(" {}:1", i);
  const Samples got = read("0 1:1\n" + row + "\n0 2:1\n");
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(got[1].entries.size(), 700000u);
  EXPECT_EQ(got[2], (Sample{0, {{1, 1}}}));
  LibsvmFormat format;
  format.max_line_bytes = 20;
  format.bad_records = BadRecords::skip;
  ParsedSamples parsed;
  const std::string text = "x\n1 1:1 2:1 3:1 4:1 5:1\n1 2:3\n";
  parse_libsvm(text, format, parsed);
  EXPECT_TRUE(parsed.too_long);
  EXPECT_EQ(parsed.examples.back().line, 1);
}

TEST(LibsvmParse, NumbersRoundAsStrtofDoes) {
  std::mt19937_64 random(7);
  const auto check = [](std::string text) {
    text.resize(text.size() + kDecimalBytes);
    float fast = 0;
    const char* end = fast_decimal(text.data(), fast);
    if (!end) return false;
    const std::string shown(text.c_str());
    EXPECT_EQ(end, text.data() + shown.size()) << shown;
    EXPECT_EQ(std::bit_cast<std::uint32_t>(fast),
              std::bit_cast<std::uint32_t>(std::strtof(shown.c_str(), nullptr)))
        << shown << " " << fast;
    return true;
  };
  int fast = 0;
  constexpr int kTries = 300000;
  for (int i = 0; i < kTries; ++i) {
    const float value =
        std::bit_cast<float>(static_cast<std::uint32_t>(random() % 0x7f000000)) * (i % 2 ? 1 : -1);
    const double scaled =
        std::ldexp(static_cast<double>(random()), -70 - static_cast<int>(random() % 20));
    std::string text;
    switch (i % 8) {
      case 0:
        text = fmt::format("{}", value);
        break;
      case 1:
        text = fmt::format("{:.{}f}", scaled, 1 + random() % 8);
        break;
      case 2:
        text = fmt::format("{:.{}f}", scaled * 1e3, 7 + random() % 10);
        break;
      case 3:
        text = fmt::format("{:.{}e}", value, random() % 15);
        break;
      case 4:
        text = fmt::format("{}", random() >> random() % 64);
        break;
      case 5:
        text = fmt::format("{}.{}", random() >> random() % 64, random() >> random() % 64);
        break;
      case 6:  // halfway between two floats, or nearly
        text = fmt::format(
            "{}",
            (std::bit_cast<float>(0x3f800000u + static_cast<std::uint32_t>(random() % 0x400000)) +
             std::ldexp(1.0, -24)) *
                std::ldexp(1.0, static_cast<int>(random() % 20)));
        break;
      default:
        text = fmt::format("+{}.{:08}e{}", random() % 100, random() % 100000000,
                           static_cast<int>(random() % 50) - 25);
    }
    fast += check(text);
  }
  EXPECT_GT(fast, kTries / 2);
  for (const char* plain : {"0", "-0", "0.0", "5.", ".5", "-.5", "+1", "1e0", "1E+05", "1.5e-22",
                            "12345678", "123456789012345", "0.1234567890123456",
                            "99.123456789012345", "12.345678", "0.00000001", "9007199254740991"})
    check(plain);
  for (const char* other :
       {"", ".", "-", "+", "e5", "nan", "inf", "1e", "1e+", "+-1", "1e40", "1e-46",
        "123456789012345.12345678", "12345678901234567890", "1e9999"}) {
    float value;
    std::string text = other;
    text.resize(text.size() + kDecimalBytes);
    EXPECT_EQ(fast_decimal(text.data(), value), nullptr) << other;
  }
}

TEST_F(LibsvmSamples, IsLibsvm) {
  const auto is = [&](const std::string& text) { return is_libsvm(folder_.write("x", text)); };
  EXPECT_TRUE(is("1 1:2\n"));
  EXPECT_TRUE(is("# comment\n\n+1\n-1 qid:3 5:1e-3 # x\n"));
  EXPECT_TRUE(is(gzipped("1 1:2\n")));
  EXPECT_TRUE(is("1,2 1:2\n"));              // refused by the reader, which says why
  EXPECT_TRUE(is("x 1:2\n1 1:1\n1 3:1\n"));  // likewise
  EXPECT_FALSE(is(""));
  EXPECT_FALSE(is("1\n2\n"));
  EXPECT_FALSE(is("1 2 3\n"));
  EXPECT_FALSE(is("1,2,3.5\n"));
  EXPECT_FALSE(is("1::2::3\n"));
  EXPECT_FALSE(is("user item rating\n1 2 3\n"));
  EXPECT_FALSE(is("ham 12:30 is fine\n"));
  EXPECT_FALSE(is("-1 |f 9:6.2e-02 14:3.3e-02\n"));  // Vowpal Wabbit
  EXPECT_FALSE(is_libsvm(folder_.write("bad.gz", gzipped("1 1:2\n").substr(0, 15))));
  std::string row = "1";
  for (int i = 1; i < 30000; ++i) row += fmt::format(" {}:1", i);
  EXPECT_TRUE(is("1 1:2\n" + row + "\n"));
  EXPECT_THROW(is_libsvm(folder_ / "none"), Error);
}

struct KnownLibsvm {
  const char* file;
  std::size_t rows;
  std::int64_t nnz, features;
};

class LibsvmReal : public ::testing::TestWithParam<KnownLibsvm> {};

// Counts by awk: rows, entries, and the greatest index.
TEST_P(LibsvmReal, HasTheKnownCounts) {
  const KnownLibsvm known = GetParam();
  const auto path = shared_data(known.file);
  if (!path) GTEST_SKIP() << known.file << " is not here";
  EXPECT_TRUE(is_libsvm(*path));
  for (const int threads : {1, 2}) {
    SampleReadOptions options;
    options.threads = threads;
    options.chunk_rows = 50;
    std::int64_t nnz = 0, features = 0;
    const Samples samples = all_samples(*open_libsvm_samples({*path}, options));
    for (const Sample& s : samples) {
      nnz += static_cast<std::int64_t>(s.entries.size());
      if (!s.entries.empty())
        features = std::max<std::int64_t>(features, s.entries.rbegin()->first + 1);
    }
    EXPECT_EQ(samples.size(), known.rows);
    EXPECT_EQ(nnz, known.nnz);
    EXPECT_EQ(features, known.features);
  }
}
INSTANTIATE_TEST_SUITE_P(
    Files, LibsvmReal,
    ::testing::Values(
        KnownLibsvm{"a9a/a9a.gz", 32561, 451592, 123},
        KnownLibsvm{"a9a/a9a.t.gz", 16281, 225731, 122},
        KnownLibsvm{"agaricus/agaricus.txt.train.gz", 6513, 143286, 126},
        KnownLibsvm{"agaricus/agaricus.txt.test.gz", 1611, 35442, 126},
        KnownLibsvm{"spark-mllib-small/sample_libsvm_data.txt", 100, 13510, 692},
        KnownLibsvm{"spark-mllib-small/sample_binary_classification_data.txt", 100, 13510, 692},
        KnownLibsvm{"spark-mllib-small/sample_linear_regression_data.txt", 501, 5010, 10},
        KnownLibsvm{"spark-mllib-small/sample_multiclass_classification_data.txt", 150, 587, 4},
        KnownLibsvm{"formats-libsvm/svmlight_classification.txt", 6, 8, 21},
        KnownLibsvm{"lightgbm-rank/rank.train.gz", 3005, 284736, 300}));

TEST(LibsvmReal, MalformedAndMultiLabelFilesAreRefusedWithTheirPlace) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"malformed-libsvm/sklearn-svmlight_invalid.txt", ":1:1: label is \"python\""},
      {"formats-libsvm/svmlight_multilabel.txt", ":2:1: label is \"1,0\": rows of several labels"}};
  for (const auto& [file, want] : cases) {
    const auto path = shared_data(file);
    if (!path) GTEST_SKIP() << file << " is not here";
    EXPECT_TRUE(is_libsvm(*path));
    const Error e = error_of([&] { all_samples(*open_libsvm_samples({*path}, {})); });
    EXPECT_NE(std::string(e.what()).find(std::string(file).substr(file[0] == 'm' ? 17 : 15) + want),
              std::string::npos)
        << e.what();
  }
  // Entries that are not in order are no fault here: they are sorted.
  const auto path = shared_data("malformed-libsvm/sklearn-svmlight_invalid_order.txt");
  ASSERT_TRUE(path);
  EXPECT_EQ(all_samples(*open_libsvm_samples({*path}, {})),
            (Samples{{-1, {{1, -5.2f}, {4, 2.5f}, {14, 1.5f}}}}));
}

}  // namespace
}  // namespace gradmill
