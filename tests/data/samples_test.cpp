// Samples through every format, and what is refused in each.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "data/convert.h"
#include "data/dataset.h"
#include "data/hdf5_writer.h"
#include "data/inspect.h"
#include "data/tf_example.h"
#include "data/tfrecord.h"
#include "data/validate.h"
#include "runtime/error.h"
#include "tests/data/sample_files.h"
#include "tests/support/error_of.h"
#include "tests/support/shared_data.h"
#include "tests/support/temporary_folder.h"

namespace gradmill {
namespace {

namespace fs = std::filesystem;
using testing::all_samples;
using testing::error_of;
using testing::libsvm_text;
using testing::random_samples;
using testing::Sample;
using testing::shared_data;
using testing::TemporaryFolder;
using Samples = std::vector<Sample>;

/// Samples in memory as a stream, in chunks of uneven sizes.
class MemorySamples : public SampleStream {
 public:
  MemorySamples(Samples samples, bool weights, std::int64_t num_features = 0)
      : samples_(std::move(samples)), weights_(weights), num_features_(num_features) {}
  bool next(SampleChunk& chunk) override {
    chunk = {};
    chunk.first_row = static_cast<std::int64_t>(next_);
    for (std::size_t n = 1 + next_ % 7 * 10; n > 0 && next_ < samples_.size(); --n, ++next_) {
      const Sample& sample = samples_[next_];
      chunk.labels.push_back(sample.label);
      for (const auto& [index, value] : sample.entries) {
        chunk.indices.push_back(index);
        chunk.values.push_back(value);
      }
      if (weights_) chunk.weights.push_back(sample.weight);
      chunk.offsets.push_back(chunk.nnz());
    }
    return chunk.rows() > 0;
  }
  const ReadReport& report() const override { return report_; }
  std::int64_t num_features() const override { return num_features_; }

 private:
  Samples samples_;
  bool weights_;
  std::int64_t num_features_;
  std::size_t next_ = 0;
  ReadReport report_;
};

Samples read_parts(const std::string& path, SampleReadOptions options) {
  Samples got;
  for (options.part = 0; options.part < options.parts; ++options.part) {
    const auto stream = open_samples(path, options);
    for (Sample& sample : all_samples(*stream)) got.push_back(std::move(sample));
  }
  return got;
}

TEST(Samples, ReadBackTheSameFromEveryFormat) {
  const TemporaryFolder folder;
  for (const std::size_t rows : {1, 33, 1500})
    for (const bool weights : {false, true}) {
      const Samples samples = random_samples(rows, static_cast<unsigned>(rows) + weights, weights);
      std::int64_t entries = 0;
      for (const Sample& s : samples) entries += static_cast<std::int64_t>(s.entries.size());
      for (const ShardFormat format : {ShardFormat::hdf5, ShardFormat::tfrecord})
        for (const int shards : {1, 3}) {
          ConvertOptions convert;
          convert.to = format;
          convert.shards = shards;
          convert.deflate = shards == 3 ? 1 : 0;
          convert.force = true;
          convert.chunk_rows = 100;
          const std::string set = folder / "set";
          const ConvertReport report = convert_samples(
              [&] { return std::make_unique<MemorySamples>(samples, weights, 100007); }, set,
              convert);
          EXPECT_EQ(report.entries, entries);
          EXPECT_EQ(report.num_features, 100007);
          EXPECT_EQ(find_data_kind(set), DataKind::samples);
          for (const int parts : {1, 3, 7}) {
            SampleReadOptions options;
            options.parts = parts;
            options.threads = parts == 3 ? 3 : 1;
            options.chunk_rows = parts == 1 ? 1000 : 64;
            ASSERT_EQ(read_parts(set, options), samples)
                << rows << " rows, " << shards << " shards, " << parts << " parts, weights "
                << weights << ", " << (format == ShardFormat::hdf5 ? "hdf5" : "tfrecord");
          }
          const auto stream = open_samples(set, {});
          EXPECT_EQ(stream->num_features(), 100007);
          EXPECT_EQ(stream->row_estimate(), static_cast<std::int64_t>(rows));
          // The shards are found by their content too, without dataset.json.
          const std::string part = set + "/" + read_dataset(set).shards[0].file.name;
          EXPECT_EQ(find_data_kind(part), DataKind::samples);
          if (shards == 1) {
            EXPECT_EQ(read_parts(part, {}), samples);
          }
        }
    }
}

TEST(Samples, ConvertedTextHasItsStatistics) {
  const TemporaryFolder folder;
  const std::string path = folder.write("a.svm", "1 1:0.5 3:-2\n-1\n1 2:1 4:8 9:0.25\n-1 1:4\n");
  ConvertOptions convert;
  convert.shards = 2;
  const ConvertReport report =
      convert_samples([&] { return open_samples(path, {}); }, folder / "set", convert);
  EXPECT_EQ(report.read.rows, 4);
  const Dataset set = read_dataset(folder / "set");
  const SampleSummary& s = set.samples;
  EXPECT_EQ(set.rows, 4);
  EXPECT_EQ(s.entries, 6);
  EXPECT_EQ(s.num_features, 9);
  EXPECT_EQ(s.label.min, -1);
  EXPECT_EQ(s.label.max, 1);
  EXPECT_EQ(s.label.mean, 0);
  EXPECT_EQ(s.value.min, -2);
  EXPECT_EQ(s.value.max, 8);
  EXPECT_EQ(s.row_entries.min, 0);
  EXPECT_EQ(s.row_entries.max, 3);
  EXPECT_EQ(s.row_entries.mean, 1.5);
  EXPECT_EQ(s.classes, (std::vector<SampleSummary::LabelCount>{{-1, 2}, {1, 2}}));
  ASSERT_EQ(set.shards.size(), 2u);
  EXPECT_EQ(set.shards[0].entries, 2);
  EXPECT_EQ(set.shards[1].entries, 4);
  // The same rows give the same bytes.
  convert_samples([&] { return open_samples(path, {}); }, folder / "again", convert);
  EXPECT_EQ(testing::read_bytes(folder / "set/dataset.json"),
            testing::read_bytes(folder / "again/dataset.json"));
  const Error e = error_of([&] { open_ratings(folder / "set", {}); });
  EXPECT_NE(std::string(e.what()).find("not of ratings"), std::string::npos);
}

TEST(Samples, AFailedConversionLeavesNothing) {
  const TemporaryFolder folder;
  const std::string path = folder.write("a.svm", "1 1:0.5\n1 1:nan\n");
  EXPECT_EQ(error_of([&] {
              convert_samples([&] { return open_samples(path, {}); }, folder / "sets/set", {});
            }).kind(),
            ErrorKind::data);
  EXPECT_FALSE(fs::exists(folder / "sets"));
  int reading = 0;
  const Error changed = error_of([&] {
    convert_samples(
        [&] {
          return std::make_unique<MemorySamples>(random_samples(50, ++reading > 1 ? 1 : 2, false),
                                                 false);
        },
        folder / "sets/set", {});
  });
  EXPECT_NE(std::string(changed.what()).find("changed"), std::string::npos);
  EXPECT_TRUE(fs::is_empty(folder / "sets"));
}

TEST(Samples, EveryChangedByteOfADataSetIsFound) {
  const TemporaryFolder folder;
  for (const ShardFormat format : {ShardFormat::hdf5, ShardFormat::tfrecord}) {
    ConvertOptions convert;
    convert.to = format;
    convert.force = true;
    const Samples samples = random_samples(5, 3, true);
    convert_samples([&] { return std::make_unique<MemorySamples>(samples, true); }, folder / "set",
                    convert);
    const std::string shard = folder / ("set/" + read_dataset(folder / "set").shards[0].file.name);
    const std::string bytes = testing::read_bytes(shard);
    for (std::size_t i = 0; i < bytes.size(); i += 7) {
      std::string other = bytes;
      other[i] ^= 0x10;
      testing::write_bytes(shard, other);
      EXPECT_EQ(error_of([&] { read_parts(folder / "set", {}); }).kind(), ErrorKind::data) << i;
    }
    testing::write_bytes(shard, bytes.substr(0, bytes.size() - 1));
    EXPECT_NE(
        std::string(error_of([&] { open_samples(folder / "set", {}); }).what()).find("truncated"),
        std::string::npos);
  }
}

/// A file with the arrays under the names that scipy's users give them.
class ForeignHdf5 : public ::testing::Test {
 protected:
  struct Arrays {
    std::vector<std::int64_t> indptr{0, 2, 2, 3}, indices{4, 1, 0};
    std::vector<float> data{0.5f, 2, -1}, labels{1, 0, 1}, weights;
    std::int64_t num_features = 5;
    std::string offsets_name = "indptr", values_name = "data", labels_name = "y";
  };
  std::string write(const Arrays& a) const {
    using Type = Hdf5WriterColumn::Type;
    const std::string path = folder_ / "f.h5";
    fs::remove(path);
    const auto size = [](const auto& v) { return static_cast<std::int64_t>(v.size()); };
    std::vector<Hdf5WriterColumn> columns{{Type::float32, a.labels_name, "", size(a.labels), 2},
                                          {Type::int64, a.offsets_name, "", size(a.indptr), 2},
                                          {Type::int64, "indices", "", size(a.indices), 2},
                                          {Type::float32, a.values_name, "", size(a.data), 2}};
    if (!a.weights.empty())
      columns.push_back({Type::float32, "sample_weight", "", size(a.weights), 2});
    Hdf5WriterOptions options;
    options.group = "X";
    options.num_features = a.num_features;
    Hdf5Writer writer(path, columns, size(a.labels), options);
    writer.append(0, a.labels.data(), size(a.labels));
    writer.append(1, a.indptr.data(), size(a.indptr));
    writer.append(2, a.indices.data(), size(a.indices));
    writer.append(3, a.data.data(), size(a.data));
    if (!a.weights.empty()) writer.append(4, a.weights.data(), size(a.weights));
    writer.finish();
    return path;
  }
  std::string error(const Arrays& arrays, const SampleReadOptions& options = {}) const {
    const std::string path = write(arrays);
    const Error e = error_of([&] { read_parts(path, options); });
    EXPECT_EQ(e.kind(), ErrorKind::data);
    return e.what();
  }
  TemporaryFolder folder_;
};

TEST_F(ForeignHdf5, IsReadByItsNames) {
  const Samples want{{1, {{1, 2}, {4, 0.5f}}}, {0, {}}, {1, {{0, -1}}}};
  Arrays arrays;
  EXPECT_EQ(read_parts(write(arrays), {}), want);
  arrays.offsets_name = "offsets";
  arrays.values_name = "values";
  arrays.labels_name = "Labels of mine";
  EXPECT_NE(error(arrays).find("no labels"), std::string::npos);
  SampleReadOptions options;
  options.columns.label = "X/Labels of mine";
  EXPECT_EQ(read_parts(write(arrays), options), want);
  options.columns = {"X/Labels of mine", "-", "X/indices", "X/values", "X/offsets"};
  for (options.parts = 1; options.parts < 5; ++options.parts)
    EXPECT_EQ(read_parts(write(arrays), options), want);
  arrays.weights = {1, 2, 3};
  options = {};
  options.columns.label = "X/Labels of mine";
  EXPECT_EQ(read_parts(write(arrays), options)[2].weight, 3);
  EXPECT_EQ(open_samples(write(arrays), options)->num_features(), 5);
}

TEST_F(ForeignHdf5, WhatIsWrongIsSaid) {
  const auto has = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  Arrays a;
  a.indices = {4, 4, 0};
  has(error(a), "f.h5: row 0 (/X/indices): feature index 4 stands twice");
  a.indices = {4, 1, 5};
  has(error(a), "row 2 (/X/indices): feature index is 5, but there are 5 features");
  a.indices = {4, -1, 0};
  has(error(a), "row 0 (/X/indices): a feature index is negative");
  a.num_features = 2147483647;
  a.indices = {4, 1, 2147483647};
  has(error(a), "row 2 (/X/indices): a feature index");
  a.indices = {4, 1, 2147483646};
  EXPECT_EQ(read_parts(write(a), {})[2].entries.begin()->first, 2147483646);
  a = {};
  a.data[2] = std::nanf("");
  has(error(a), "row 2 (/X/indices): the value of feature 0 is nan");
  a = {};
  a.labels[1] = INFINITY;
  has(error(a), "row 1 (/X/indices): the label is inf");
  a = {};
  a.weights = {1, -1, 1};
  has(error(a), "row 1 (/X/indices): the weight is -1");
  for (const std::vector<std::int64_t>& indptr : {std::vector<std::int64_t>{0, 2, 1, 3},
                                                  {0, 2, 2, 4},
                                                  {-1, 2, 2, 3},
                                                  {0, 2, 2, std::int64_t{1} << 62}}) {
    a = {};
    a.indptr = indptr;
    has(error(a), "expected offsets that ascend to 3");
    SampleReadOptions options;
    options.parts = 3;
    has(error(a, options), "ascend");
  }
  a = {};
  a.indptr.push_back(3);
  has(error(a), "/X/indptr has 5 rows, expected 4");
  a = {};
  a.data.push_back(3);
  has(error(a), "/X/data has 4 rows, expected 3");
  a = {};
  a.indices = {4, 4, 0};
  SampleReadOptions skip;
  skip.bad_records = BadRecords::skip;
  const auto stream = open_samples(write(a), skip);
  EXPECT_EQ(all_samples(*stream), (Samples{{0, {}}, {1, {{0, -1}}}}));
  EXPECT_EQ(stream->report().skipped, 1);
}

TEST(TfRecordSamples, SparseDenseAndWithoutValues) {
  const TemporaryFolder folder;
  const auto write = [&](const auto& add) {
    fs::remove(folder / "a.tfrecord");
    TfRecordWriter writer(folder / "a.tfrecord", 0);
    ExampleWriter example;
    for (int record = 0; record < 3; ++record) {
      add(example, record);
      writer.write(example.finish());
    }
    writer.finish();
    return folder / "a.tfrecord";
  };
  const std::string dense = write([](ExampleWriter& to, int r) {
    to.add_int64("label", r);
    to.add_floats("values", {0, static_cast<float>(r), -0.0f, 2});
  });
  EXPECT_EQ(read_parts(dense, {}),
            (Samples{{0, {{3, 2}}}, {1, {{1, 1}, {3, 2}}}, {2, {{1, 2}, {3, 2}}}}));
  const std::string named = write([](ExampleWriter& to, int r) {
    to.add_float("clicked", static_cast<float>(r));
    to.add_int64s("pixels", {r, 0, 7});
    to.add_float("importance", 0.5f);
  });
  EXPECT_EQ(find_data_kind(named), DataKind::ratings);
  SampleReadOptions options;
  options.columns = {"clicked", "importance", "-", "pixels", ""};
  EXPECT_EQ(read_parts(named, options)[1], (Sample{1, {{0, 1}, {2, 7}}, 0.5f}));
  const std::string hashed = write([](ExampleWriter& to, int r) {
    to.add_int64("label", 1);
    if (r > 0) to.add_int64s("indices", {9, r});
  });
  options = {};
  options.columns.indices = "indices";
  EXPECT_EQ(read_parts(hashed, options),
            (Samples{{1, {}}, {1, {{1, 1}, {9, 1}}}, {1, {{2, 1}, {9, 1}}}}));
}

TEST(TfRecordSamples, WhatIsWrongIsSaid) {
  const TemporaryFolder folder;
  const auto error = [&](const auto& add) {
    fs::remove(folder / "a.tfrecord");
    TfRecordWriter writer(folder / "a.tfrecord", 0);
    ExampleWriter example;
    example.add_float("label", 1);
    example.add_int64s("indices", {1, 5});
    example.add_floats("values", {1, 2});
    writer.write(example.finish());
    add(example);
    writer.write(example.finish());
    writer.finish();
    const Error e = error_of([&] { read_parts(folder / "a.tfrecord", {}); });
    EXPECT_EQ(e.kind(), ErrorKind::data);
    SampleReadOptions skip;
    skip.bad_records = BadRecords::skip;
    EXPECT_EQ(read_parts(folder / "a.tfrecord", skip), (Samples{{1, {{1, 1}, {5, 2}}}}));
    const std::string what = e.what();
    return what.substr(std::min(what.size(), what.find(": ", what.find("record 2")) + 2));
  };
  using Writer = ExampleWriter;
  EXPECT_EQ(error([](Writer& to) { to.add_float("x", 1); }), "has no \"label\"");
  EXPECT_EQ(error([](Writer& to) { to.add_bytes("label", "1"); }),
            "\"label\" is text; expected one number");
  EXPECT_EQ(error([](Writer& to) {
              to.add_floats("label", {1, 2});
            }),
            "\"label\" is 2 values; expected one number");
  EXPECT_EQ(error([](Writer& to) { to.add_float("label", NAN); }),
            "\"label\" is nan; expected a finite number");
  const auto entries = [&](std::vector<std::int64_t> indices, std::vector<float> values) {
    return error([&](Writer& to) {
      to.add_float("label", 1);
      to.add_int64s("indices", indices);
      to.add_floats("values", values);
    });
  };
  EXPECT_EQ(entries({1, 2}, {1}), "\"indices\" has 2 entries, but \"values\" has 1");
  EXPECT_EQ(entries({2, 2}, {1, 1}), "feature index 2 stands twice in the row");
  EXPECT_EQ(entries({2, -2}, {1, 1}).substr(0, 27), "a feature index is negative");
  EXPECT_EQ(entries({2, std::int64_t{1} << 40}, {1, 1}).substr(0, 15), "a feature index");
  EXPECT_EQ(entries({2, 3}, {1, INFINITY}), "the value of feature 3 is inf");
}

TEST(TfRecordSamples, MalformedFilesEndInAnError) {
  const auto folder = shared_data("malformed-tfrecord");
  if (!folder) GTEST_SKIP() << "malformed-tfrecord is not here";
  SampleReadOptions options;
  options.columns = {"y", "-", "-", "x0", ""};
  for (const auto& entry : fs::directory_iterator(*folder))
    if (entry.path().extension() == ".tfrecord") {
      EXPECT_EQ(error_of([&] {
                  const auto stream = open_tfrecord_samples({entry.path()}, options);
                  SampleChunk chunk;
                  while (stream->next(chunk)) continue;
                }).kind(),
                ErrorKind::data)
          << entry.path();
    }
}

TEST(ValidateSamples, CountsWhatIsThere) {
  const TemporaryFolder folder;
  const std::string path = folder.write(
      "a.svm", "1 1:0.5 3:-2\n-1\n1 2:nan\n7 4:8 2:1\n1 3:1 3:1\n1,2 1:1\n1 4294967296:1\n 1:1\n");
  SampleValidationOptions options;
  options.max_value = 1;
  const SampleValidationReport report = validate_samples(path, options);
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(report.rows, 3);
  EXPECT_EQ(report.summary.entries, 4);
  EXPECT_EQ(report.summary.num_features, 4);
  EXPECT_EQ(report.malformed, 2);
  EXPECT_EQ(report.missing, 1);
  EXPECT_EQ(report.non_finite, 1);
  EXPECT_EQ(report.out_of_range, 1);
  EXPECT_EQ(report.outside, 1);
  ASSERT_EQ(report.problems.size(), 6u);
  EXPECT_NE(report.problems[1].find("a.svm:5:7: feature index 3 stands twice"), std::string::npos)
      << report.problems[1];
  EXPECT_NE(report.problems[5].find("1 labels outside of [-inf, 1]; the first is 7 in sound row 2"),
            std::string::npos)
      << report.problems[5];
  for (const std::string& text : {report.to_text(), report.to_json()})
    EXPECT_NE(text.find("stands twice"), std::string::npos);
  const std::string sound = folder.write("b.svm", "1 1:1\n0 2:2\n");
  EXPECT_TRUE(validate_samples(sound, {}).ok());
  EXPECT_NE(validate_samples(sound, {}).to_text().find("valid\n"), std::string::npos);
  EXPECT_EQ(error_of([&] { validate_samples(folder / "none", {}); }).kind(),
            ErrorKind::input_missing);
}

TEST(ValidateSamples, ChecksDataSetsAndInspectDescribesThem) {
  const TemporaryFolder folder;
  const std::string set = folder / "set";
  convert_samples(
      [&] { return std::make_unique<MemorySamples>(random_samples(60, 9, true), true); }, set, {});
  const SampleValidationReport report = validate_samples(set, {});
  EXPECT_TRUE(report.ok()) << report.to_text();
  EXPECT_EQ(report.shards, 1);
  for (const bool json : {false, true}) {
    const std::string text = inspect_data(set, json);
    for (const char* part :
         {"gradmill samples", "num_features", "row_entries", "classes", "weight"})
      EXPECT_NE(text.find(part), std::string::npos) << text;
  }
  const std::string shard = set + "/" + read_dataset(set).shards[0].file.name;
  std::string bytes = testing::read_bytes(shard);
  bytes[bytes.size() / 2] ^= 1;
  testing::write_bytes(shard, bytes);
  EXPECT_FALSE(validate_samples(set, {}).ok());
  const std::string text = folder.write("a.svm", "1 3:0.5 7:2\n");
  EXPECT_NE(inspect_data(text, false).find("2:0.5 6:2"), std::string::npos);
}

}  // namespace
}  // namespace gradmill
