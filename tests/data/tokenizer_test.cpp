// Tokens, hashes and weights against what Spark gives (tests/golden/spark_text.py).
#include "data/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/byte_source.h"
#include "data/features.h"
#include "data/lower_case.h"
#include "data/murmur3.h"
#include "tests/support/temporary_folder.h"

namespace gradmill {
namespace {

using Texts = std::vector<std::string>;

const nlohmann::json& spark() {
  static const nlohmann::json golden = [] {
    const auto source =
        open_byte_source(std::string(GRADMILL_SOURCE_DIR) + "/tests/golden/spark_text.json.gz");
    std::string text(1 << 24, '\0');
    text.resize(source->read(text.data(), text.size()));
    return nlohmann::json::parse(text);
  }();
  return golden;
}

Texts tokens_of(std::string_view text, TokenizerKind kind = TokenizerKind::spark) {
  Tokenizer tokenizer(kind);
  tokenizer.cut(text);
  Texts tokens;
  for (std::size_t t = 0; t < tokenizer.size(); ++t) tokens.emplace_back(tokenizer.token(t));
  return tokens;
}

TEST(Tokenizer, GivesSparksTokens) {
  std::size_t different = 0;
  for (std::size_t i = 0; i < spark().at("texts").size(); ++i) {
    const auto text = spark()["texts"][i].get<std::string>();
    const auto want = spark()["tokens"].at(i).get<Texts>();
    EXPECT_EQ(tokens_of(text), want) << "of \"" << text << '"';
    different += tokens_of(text) != want;
  }
  EXPECT_EQ(different, 0u);
  EXPECT_GT(spark()["texts"].size(), 1800u);
}

TEST(Tokenizer, SplitsAsJavaDoes) {
  EXPECT_EQ(tokens_of(""), (Texts{""}));
  EXPECT_EQ(tokens_of(" "), (Texts{}));
  EXPECT_EQ(tokens_of(" \t a  b\n "), (Texts{"", "", "", "a", "", "b"}));
}

TEST(Tokenizer, Words) {
  EXPECT_EQ(tokens_of("It's 3.5, \xC3\x89T\xC3\x89!", TokenizerKind::words),
            (Texts{"it", "s", "3", "5", "\xC3\xA9t\xC3\xA9"}));
  EXPECT_EQ(tokens_of("", TokenizerKind::words), (Texts{}));
  EXPECT_EQ(tokens_of(" .,", TokenizerKind::words), (Texts{}));
}

TEST(Tokenizer, RunsAreJoinedByABlank) {
  for (const TokenizerKind kind : {TokenizerKind::spark, TokenizerKind::words}) {
    Tokenizer tokenizer(kind);
    tokenizer.cut("A\tb\nc");
    ASSERT_EQ(tokenizer.size(), 3u);
    EXPECT_EQ(tokenizer.run(0, 2), "a b");
    EXPECT_EQ(tokenizer.run(1, 2), "b c");
    EXPECT_EQ(tokenizer.run(0, 3), "a b c");
  }
}

TEST(Tokenizer, LowerCaseWhereverTheLettersStand) {
  // Eight bytes are taken at a time, so letters are tried at each place.
  for (std::size_t length = 0; length < 40; ++length)
    for (std::size_t at = 0; at < length; ++at) {
      std::string text(length, '@'), lower;
      text[at] = 'Z';
      append_lower_case(text, lower);
      text[at] = 'z';
      EXPECT_EQ(lower, text);
    }
  for (int c = 0; c < 128; ++c) {
    std::string lower;
    append_lower_case(std::string(9, static_cast<char>(c)), lower);
    EXPECT_EQ(lower, std::string(9, static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c)));
  }
}

TEST(Murmur3, GivesSparksBuckets) {
  const auto& terms = spark().at("terms");
  ASSERT_EQ(terms.size(), 10000u);
  for (const auto& [size, buckets] : spark().at("buckets").items())
    for (std::size_t t = 0; t < terms.size(); ++t)
      ASSERT_EQ(hash_bucket(terms[t].get_ref<const std::string&>(), std::stoll(size)),
                buckets.at(t).get<std::int32_t>())
          << terms[t] << " in " << size;
}

TEST(Features, TermWeightsAreSparks) {
  const auto& tfidf = spark().at("tfidf");
  // The empty text comes last: here it is a missing value, which has no terms.
  testing::TemporaryFolder folder;
  std::string text = "text\ty\n";
  std::vector<std::size_t> kept;
  for (std::size_t i = 0; i < tfidf["texts"].size(); ++i)
    if (const auto line = tfidf["texts"][i].get<std::string>(); !line.empty()) {
      text += line + "\t0\n";
      kept.push_back(i);
    }
  text += "\t0\n";  // counts as a document
  const auto path = folder.write("a.tsv", text);
  FeatureSpec spec;
  spec.column = "text";
  spec.kind = "text";
  spec.terms = "tfidf";
  spec.hash_size = tfidf["buckets"].get<std::int64_t>();
  RecordReadOptions options;
  options.header = RecordReadOptions::Header::yes;
  const auto pipeline = FeatureFit::merge({fit_features(path, options, {spec}, {}).serialize()});
  SampleChunk chunk;
  ASSERT_TRUE(open_record_samples(path, options, pipeline)->next(chunk));
  ASSERT_EQ(chunk.rows(), static_cast<std::int64_t>(kept.size()) + 1);
  // Spark hashes the empty text as one empty term.
  const auto empty_bucket = hash_bucket("", spec.hash_size);
  for (std::size_t r = 0; r < kept.size(); ++r) {
    const auto want_indices = tfidf["indices"][kept[r]].get<std::vector<std::int32_t>>();
    const auto want_values = tfidf["values"][kept[r]].get<std::vector<double>>();
    std::size_t e = static_cast<std::size_t>(chunk.offsets[r]);
    for (std::size_t w = 0; w < want_indices.size(); ++w) {
      ASSERT_NE(want_indices[w], empty_bucket);
      if (want_values[w] == 0) continue;
      ASSERT_LT(e, static_cast<std::size_t>(chunk.offsets[r + 1]));
      EXPECT_EQ(chunk.indices[e], want_indices[w]);
      EXPECT_FLOAT_EQ(chunk.values[e], static_cast<float>(want_values[w]));
      ++e;
    }
    EXPECT_EQ(static_cast<std::int64_t>(e), chunk.offsets[r + 1]);
  }
}

}  // namespace
}  // namespace gradmill
