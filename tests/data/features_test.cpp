// Feature transforms against hand-worked cases; fits that do not depend on how the data were cut.
#include "data/features.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "data/murmur3.h"
#include "tests/support/error_of.h"
#include "tests/support/shared_data.h"
#include "tests/support/temporary_folder.h"

namespace gradmill {
namespace {

using testing::error_of;
using testing::shared_data;
using testing::TemporaryFolder;

FeaturePipeline fit(const std::string& path, const std::vector<FeatureSpec>& specs,
                    const LabelSpec& label = {}, const RecordReadOptions& options = {}) {
  return FeatureFit::merge({fit_features(path, options, specs, label).serialize()});
}

/// Each row as "name=value name=value …", with the pipeline's names.
std::vector<std::string> rows_of(const std::string& path, const FeaturePipeline& pipeline,
                                 const RecordReadOptions& options = {}, bool with_labels = true) {
  std::vector<std::string> rows;
  const auto stream = open_record_samples(path, options, pipeline, with_labels);
  SampleChunk chunk;
  while (stream->next(chunk)) {
    EXPECT_EQ(chunk.first_row, static_cast<std::int64_t>(rows.size()));
    EXPECT_EQ(chunk.labels.size(), static_cast<std::size_t>(chunk.rows()));
    for (std::size_t r = 0; r < static_cast<std::size_t>(chunk.rows()); ++r) {
      auto& row = rows.emplace_back(fmt::format("{}:", chunk.labels[r]));
      for (auto e = static_cast<std::size_t>(chunk.offsets[r]);
           e < static_cast<std::size_t>(chunk.offsets[r + 1]); ++e) {
        const bool first = e == static_cast<std::size_t>(chunk.offsets[r]);
        EXPECT_TRUE(first || chunk.indices[e - 1] < chunk.indices[e]);
        row += fmt::format(" {}={:.6g}", pipeline.feature_name(chunk.indices[e]), chunk.values[e]);
      }
    }
  }
  return rows;
}
using Lines = std::vector<std::string>;

FeatureSpec spec_of(const std::string& column, const std::string& kind) {
  FeatureSpec spec;
  spec.column = column;
  spec.kind = kind;
  return spec;
}

TEST(Features, NumbersAreScaled) {
  TemporaryFolder folder;
  const auto path = folder.write("a.csv", "x,y\n1,0\n2,1\n3,0\n6,1\n");
  FeatureSpec x = spec_of("x", "auto");
  EXPECT_EQ(rows_of(path, fit(path, {x})),
            (Lines{"0: x=-1.06904", "1: x=-0.534522", "0:", "1: x=1.60357"}));
  x.scale = "minmax";
  EXPECT_EQ(rows_of(path, fit(path, {x})), (Lines{"0:", "1: x=0.2", "0: x=0.4", "1: x=1"}));
  x.scale = "none";
  x.log1p = true;
  EXPECT_EQ(rows_of(path, fit(path, {x})),
            (Lines{"0: x=0.693147", "1: x=1.09861", "0: x=1.38629", "1: x=1.94591"}));
}

TEST(Features, ConstantColumnsAreNotDividedByZero) {
  TemporaryFolder folder;
  const auto path = folder.write("a.csv", "x,y\n0.1,0\n0.1,1\n0.1,0\n");
  const auto later = folder.write("b.csv", "x,y\n1.1,0\n");
  for (const char* scale : {"standard", "minmax"}) {
    FeatureSpec x = spec_of("x", "numeric");
    x.scale = scale;
    const auto pipeline = fit(path, {x});
    EXPECT_EQ(rows_of(path, pipeline), (Lines{"0:", "1:", "0:"}));
    EXPECT_EQ(rows_of(later, pipeline), (Lines{"0: x=1"}));
  }
}

TEST(Features, MissingNumbers) {
  TemporaryFolder folder;
  const auto path = folder.write("a.csv", "x,y\n1,0\n?,1\n4,0\n");
  FeatureSpec x = spec_of("x", "numeric");
  x.scale = "none";
  EXPECT_EQ(rows_of(path, fit(path, {x})), (Lines{"0: x=1", "1: x=2.5", "0: x=4"}));
  x.missing = "zero";
  EXPECT_EQ(rows_of(path, fit(path, {x})), (Lines{"0: x=1", "1:", "0: x=4"}));
  x.missing = "indicator";
  EXPECT_EQ(rows_of(path, fit(path, {x})), (Lines{"0: x=1", "1: x=2.5 x missing=1", "0: x=4"}));
  x.missing = "fail";
  EXPECT_EQ(std::string(error_of([&] { fit(path, {x}); }).what()),
            path + ":3:1: column \"x\" is missing (\"?\"); expected a number");
}

TEST(Features, LogarithmsThatDoNotExist) {
  TemporaryFolder folder;
  const auto path = folder.write("a.csv", "x,y\n1,0\n-1,1\n");
  FeatureSpec x = spec_of("x", "numeric");
  x.log1p = true;
  const Error error = error_of([&] { fit(path, {x}); });
  EXPECT_EQ(error.kind(), ErrorKind::data);
  EXPECT_EQ(std::string(error.what()),
            "column \"x\", record 2: log1p of -1 does not exist; expected numbers above -1");
}

TEST(Features, CategoriesByFrequencyThenName) {
  TemporaryFolder folder;
  const auto path = folder.write(
      "a.csv", "c,label\nred,no\nblue,yes\nred,no\n,yes\ngreen,yes\nblue,no\nblue,no\n");
  FeatureSpec c = spec_of("c", "auto");
  const auto pipeline = fit(path, {c});
  EXPECT_EQ(pipeline.num_features(), 4);
  EXPECT_EQ(pipeline.feature_name(0), "c=blue");
  EXPECT_EQ(pipeline.feature_name(1), "c=red");
  EXPECT_EQ(pipeline.feature_name(2), "c=green");
  EXPECT_EQ(pipeline.feature_name(3), "c missing");
  EXPECT_EQ(pipeline.label_classes(), (Lines{"no", "yes"}));
  EXPECT_EQ(rows_of(path, pipeline).at(3), "1: c missing=1");
  const auto later = folder.write("b.csv", "c,label\nblack,no\nred,yes\n");
  EXPECT_EQ(rows_of(later, pipeline), (Lines{"0:", "1: c=red=1"}));

  c.min_count = 2;
  c.missing = "zero";
  const auto rare = fit(path, {c});
  EXPECT_EQ(rare.num_features(), 3);
  EXPECT_EQ(rows_of(path, rare).at(3), "1:");
  EXPECT_EQ(rows_of(path, rare).at(4), "1: c other=1");
  EXPECT_EQ(rows_of(later, rare).at(0), "0: c other=1");
}

TEST(Features, NumbersCanBeCategories) {
  TemporaryFolder folder;
  const auto path = folder.write("a.csv", "zip,y\n007,0\n8,1\n007,1\n");
  EXPECT_EQ(rows_of(path, fit(path, {spec_of("zip", "categorical"), spec_of("zip", "numeric")})),
            (Lines{"0: zip=007=1 zip=-0.707107", "1: zip=8=1 zip=1.41421",
                   "1: zip=007=1 zip=-0.707107"}));
}

TEST(Features, Labels) {
  TemporaryFolder folder;
  const auto path = folder.write("a.csv", "x,c\n1,<=50K.\n2,>50K.\n");
  LabelSpec label{"c", "", "."};
  EXPECT_EQ(fit(path, {}, label).label_classes(), (Lines{"<=50K", ">50K"}));
  const auto train = folder.write("b.csv", "x,c,w\n1,<=50K,2\n2,>50K,0.5\n");
  label.weight = "w";
  const auto pipeline = fit(train, {}, label);
  EXPECT_EQ(pipeline.num_features(), 1);  // neither label nor weight
  SampleChunk chunk;
  ASSERT_TRUE(open_record_samples(train, {}, pipeline)->next(chunk));
  EXPECT_EQ(chunk.weights, (std::vector<float>{2, 0.5f}));
  EXPECT_EQ(chunk.labels, (std::vector<float>{0, 1}));
  const auto other = folder.write("c.csv", "x,c,w\n1,<=50K,2\n2,often,1\n");
  EXPECT_EQ(std::string(error_of([&] { rows_of(other, pipeline); }).what()),
            other + ":3:3: column \"c\" is \"often\"; expected one of <=50K, >50K");
  EXPECT_EQ(rows_of(folder.write("d.csv", "x,z\n1,1\n2,1\n"), pipeline, {}, false),
            (Lines{"0: x=-1", "0: x=1"}));
}

TEST(Features, TextAsSparkDoes) {
  TemporaryFolder folder;
  const auto path = folder.write("a.tsv", "y\ttext\n0\ta b A\n1\t  c b\n");
  FeatureSpec text = spec_of("text", "text");
  text.hash_size = 1000;
  const auto count = [&](std::map<std::string, double> terms, int label) {
    std::map<std::int32_t, double> buckets;
    for (const auto& [term, n] : terms) buckets[hash_bucket(term, 1000)] += n;
    std::string row = fmt::format("{}:", label);
    for (const auto& [bucket, n] : buckets) row += fmt::format(" text#{}={:.6g}", bucket, n);
    return row;
  };
  EXPECT_EQ(rows_of(path, fit(path, {text})),
            (Lines{count({{"a", 2}, {"b", 1}}, 0), count({{"", 2}, {"c", 1}, {"b", 1}}, 1)}));
  text.terms = "binary";
  EXPECT_EQ(rows_of(path, fit(path, {text})).at(0), count({{"a", 1}, {"b", 1}}, 0));
  text.terms = "tfidf";
  EXPECT_EQ(rows_of(path, fit(path, {text})).at(0),
            count({{"a", 2 * std::log(3.0 / 2)}, {"b", 0}}, 0).substr(0, 0) +
                fmt::format("0: text#{}={:.6g}", hash_bucket("a", 1000), 2 * std::log(3.0 / 2)));
  text.terms = "count";
  text.ngrams = 2;
  EXPECT_EQ(rows_of(path, fit(path, {text})).at(0),
            count({{"a", 2}, {"b", 1}, {"a b", 1}, {"b a", 1}}, 0));
  text.tokenizer = "words";
  EXPECT_EQ(rows_of(path, fit(path, {text})).at(1), count({{"c", 1}, {"b", 1}, {"c b", 1}}, 1));
}

TEST(Features, HashedCategoriesAndInteractions) {
  TemporaryFolder folder;
  const auto path = folder.write("a.csv", "a,b,n,y\nx,u,2,0\nx,v,-3,1\n,u,?,1\n");
  FeatureSpec hashed = spec_of("a", "hashed"), both;
  hashed.hash_size = 1 << 20;
  both.columns = {"a", "b", "n"};
  both.scale = "none";
  const auto pipeline = fit(path, {hashed, both});
  EXPECT_EQ(pipeline.num_features(), (1 << 20) + (1 << 18));
  EXPECT_EQ(rows_of(path, pipeline),
            (Lines{fmt::format("0: a#{}=1 a*b*n#{}=2", hash_bucket("a=x", 1 << 20),
                               hash_bucket("a=x&b=u&n", 1 << 18)),
                   fmt::format("1: a#{}=1 a*b*n#{}=-3", hash_bucket("a=x", 1 << 20),
                               hash_bucket("a=x&b=v&n", 1 << 18)),
                   "1:"}));
}

TEST(Features, HashSpacesUpTo31Bits) {
  TemporaryFolder folder;
  const auto path = folder.write("a.tsv", "y\ttext\n0\ta b\n1\tb\n");
  FeatureSpec text = spec_of("text", "text");
  text.hash_size = 2147483647;
  text.terms = "tfidf";
  const auto pipeline = fit(path, {text});
  EXPECT_EQ(pipeline.num_features(), 2147483647);
  EXPECT_EQ(rows_of(path, pipeline).at(0),
            fmt::format("0: text#{}={:.6g}", hash_bucket("a", 2147483647), std::log(1.5)));
  EXPECT_EQ(error_of([&] { fit(path, {text, text}); }).kind(), ErrorKind::usage);
}

TEST(Features, OptionsThatMakeNoSense) {
  TemporaryFolder folder;
  const auto path = folder.write("a.csv", "n,t,y\n1,a,0\n2,b,1\n");
  const auto refuses = [&](const FeatureSpec& spec, const std::string& part) {
    const Error error = error_of([&] { fit(path, {spec}); });
    EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  };
  refuses(spec_of("z", "auto"), "there is no column \"z\"; there are: n, t, y");
  refuses(spec_of("n", "number"), "kind = \"number\"; expected one of numeric, categorical");
  refuses(spec_of("t", "numeric"), "its first values are texts");
  FeatureSpec spec = spec_of("n", "numeric");
  spec.missing = "own";
  refuses(spec, "missing = \"own\" is not for numeric features");
  spec = spec_of("t", "text");
  spec.hash_size = std::int64_t{1} << 31;
  refuses(spec, "hash_size = 2147483648");
  spec = {};
  spec.columns = {"n"};
  refuses(spec, "two or more");
  LabelSpec label;
  label.column = "none";
  EXPECT_EQ(error_of([&] { fit(path, {}, label); }).kind(), ErrorKind::usage);
}

/// Numbers whose sums depend on the order if they are rounded, texts, and categories.
std::string awkward_table(std::uint32_t seed, int rows) {
  std::mt19937_64 random(seed);
  std::string text = "n,c,t,y\n";
  for (int r = 0; r < rows; ++r) {
    const double n = std::ldexp(static_cast<double>(random() % 1000000) - 5e5,
                                static_cast<int>(random() % 60) - 30);
    text += fmt::format("{},{},w{} w{} w{},{}\n", random() % 9 ? fmt::format("{}", n) : "NA",
                        static_cast<char>('a' + random() % 20), random() % 50, random() % 50,
                        random() % 7, random() % 3);
  }
  return text;
}

TEST(Features, FitsAreTheSameForAnyNumberOfPartsAndThreads) {
  TemporaryFolder folder;
  FeatureSpec n = spec_of("n", "auto"), c = spec_of("c", "auto"), t = spec_of("t", "text"), both;
  t.terms = "tfidf";
  t.hash_size = 512;
  both.columns = {"c", "n"};
  for (const int rows : {1, 33, 257, 5000}) {
    const auto path = folder.write("a.csv", awkward_table(static_cast<std::uint32_t>(rows), rows));
    const auto pipeline = fit(path, {n, c, t, both});
    const std::string want = pipeline.serialize();
    const Lines want_rows = rows_of(path, pipeline);
    for (const int parts : {1, 2, 3, 7})
      for (const int threads : {1, 2}) {
        std::vector<std::string> fits;
        Lines got;
        for (int part = 0; part < parts; ++part) {
          RecordReadOptions options;
          options.threads = threads;
          options.part = part;
          options.parts = parts;
          options.chunk_rows = 77;
          fits.push_back(fit_features(path, options, {n, c, t, both}, {}).serialize());
        }
        const auto merged = FeatureFit::merge(fits);
        ASSERT_EQ(merged.serialize(), want) << rows << " rows, " << parts << " parts";
        std::reverse(fits.begin(), fits.end());
        ASSERT_EQ(FeatureFit::merge(fits).serialize(), want);
        RecordReadOptions options;
        options.threads = threads;
        options.chunk_rows = 1000;
        ASSERT_EQ(rows_of(path, merged, options), want_rows);
      }
  }
}

TEST(Features, VarianceOfFarAwayNumbers) {
  TemporaryFolder folder;
  std::string text = "x,y\n";
  for (int r = 0; r < 1000; ++r) text += fmt::format("{},0\n", 1e9 + (r % 2 ? 1 : -1));
  const auto path = folder.write("a.csv", text);
  EXPECT_EQ(rows_of(path, fit(path, {spec_of("x", "numeric")})).at(1), "0: x=1");
}

TEST(Features, JsonMeansTheSameWhenReadAgain) {
  TemporaryFolder folder;
  FeatureSpec n = spec_of("n", "auto"), c = spec_of("c", "auto"), t = spec_of("t", "text"), both;
  t.terms = "tfidf";
  t.hash_size = 512;
  both.columns = {"c", "n"};
  const auto path = folder.write("a.csv", awkward_table(5, 300));
  const auto pipeline = fit(path, {n, c, t, both});
  const std::string text = pipeline.serialize();
  const auto again = FeaturePipeline::deserialize(text, "features.json");
  EXPECT_EQ(again.serialize(), text);
  EXPECT_EQ(rows_of(path, again), rows_of(path, pipeline));
  for (const auto& [from, to, what] : std::vector<std::array<std::string, 3>>{
           {"gradmill features", "other", "\"format\" is \"other\""},
           {"\"version\": 1", "\"version\": 2", "version 2"},
           {"\"hash_size\": 512", "\"hash_size\": 5", "\"buckets\" is no whole number from 0 to 4"},
           {"\"label\": 3", "\"label\": 1", "label and weight are not the last columns"},
           {"\"numeric\"", "\"hashed\"", "\"hash_size\" is 0"},
       }) {
    std::string broken = text;
    const auto at = broken.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    broken.replace(at, from.size(), to);
    const Error error = error_of([&] { FeaturePipeline::deserialize(broken, "features.json"); });
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_NE(std::string(error.what()).find(what), std::string::npos) << error.what();
  }
  EXPECT_EQ(error_of([&] { FeaturePipeline::deserialize("{", "f"); }).kind(), ErrorKind::data);
}

TEST(Features, RanksThatSawOtherColumns) {
  TemporaryFolder folder;
  const auto a = folder.write("a.csv", "x,y\n1,0\n"), b = folder.write("b.csv", "z,y\n1,0\n");
  const auto fit_of = [](const std::string& path) {
    return fit_features(path, {}, {}, {}).serialize();
  };
  EXPECT_EQ(error_of([&] { FeatureFit::merge({fit_of(a), fit_of(b)}); }).kind(), ErrorKind::data);
}

TEST(Features, AdultWithTheDotsOfItsTestLabels) {
  const auto train = shared_data("adult/adult-train.csv.gz"),
             test = shared_data("adult/adult-test.csv.gz");
  if (!train || !test) GTEST_SKIP() << "adult is not here";
  const auto pipeline = fit(*train, {}, {"15", "", "."});
  EXPECT_EQ(pipeline.label_classes(), (Lines{"<=50K", ">50K"}));
  // 6 numbers; 8 + 16 + 7 + 14 + 6 + 5 + 2 + 41 categories, and 8 for missing ones.
  EXPECT_EQ(pipeline.num_features(), 6 + 99 + 8);
  SampleChunk chunk;
  std::int64_t rows = 0;
  double positive = 0;
  for (const auto stream = open_record_samples(*test, {}, pipeline); stream->next(chunk);) {
    rows += chunk.rows();
    for (const float label : chunk.labels) positive += label;
  }
  EXPECT_EQ(rows, 16281);
  EXPECT_EQ(positive, 3846);
}

}  // namespace
}  // namespace gradmill
