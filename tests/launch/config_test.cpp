#include "launch/config.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "launch/nearest.h"
#include "launch/options.h"
#include "runtime/error.h"
#include "tests/support/error_of.h"

namespace gradmill {
namespace {
template <class Work>
std::string error_of(Work&& work, ErrorKind kind) {
  const Error error = testing::error_of(work);
  EXPECT_EQ(error.kind(), kind) << error.what();
  return error.what();
}

Options parse(std::vector<const char*> words) {
  words.insert(words.begin(), "gradmill");
  return parse_command_line(static_cast<int>(words.size()), words.data()).options;
}

TEST(Config, WhatIsWrittenReadsBackTheSame) {
  Config config;
  config.run.name = "a \"quoted\" name\\";
  config.mf.regularization = 1.5e-7;
  config.train.epochs = 123456789012;
  config.data.has_ratings = false;
  Config back;
  load_config_text(back, to_toml(config), "x.toml");
  EXPECT_EQ(to_toml(back), to_toml(config));
  EXPECT_EQ(back.run.name, config.run.name);
  EXPECT_EQ(back.mf.regularization, 1.5e-7);
}

TEST(Config, AnUnknownKeyIsNamedWithLineAndNearest) {
  Config config;
  const auto text = error_of(
      [&] { load_config_text(config, "[run]\nseed = 2\n[model]\nnum_factor = 3\n", "c.toml"); },
      ErrorKind::usage);
  EXPECT_EQ(text,
            "c.toml:4: unknown key \"num_factor\" in [model]; did you mean \"model.num_factors\"?");
}

TEST(Config, AWrongTypeIsNamed) {
  Config config;
  EXPECT_NE(
      error_of([&] { load_config_text(config, "[model]\nnum_factors = \"many\"\n", "c.toml"); },
               ErrorKind::usage)
          .find("c.toml:2"),
      std::string::npos);
  error_of([&] { load_config_text(config, "[model]\nnum_factors = [1]\n", "c.toml"); },
           ErrorKind::usage);
  error_of([&] { load_config_text(config, "[model\n", "c.toml"); }, ErrorKind::usage);
  error_of([&] { set_config(config, "train.clip", "maybe", "--set"); }, ErrorKind::usage);
  error_of([&] { set_config(config, "model.alpha", "nan", "--set"); }, ErrorKind::usage);
}

TEST(Config, CommandLineBeatsEnvironment) {
  ::setenv("GRADMILL_MODEL_NUM_FACTORS", "11", 1);
  EXPECT_EQ(parse({"train", "mf", "--data", "x"}).config.mf.num_factors, 11);
  EXPECT_EQ(parse({"train", "mf", "--data", "x", "--num-factors", "12"}).config.mf.num_factors, 12);
  EXPECT_EQ(
      parse({"train", "mf", "--data", "x", "--set", "model.num_factors=13"}).config.mf.num_factors,
      13);
  ::setenv("GRADMILL_MODEL_NUM_FACTOR", "11", 1);
  error_of([] { parse({"train", "mf", "--data", "x"}); }, ErrorKind::usage);
  ::unsetenv("GRADMILL_MODEL_NUM_FACTOR");
  ::unsetenv("GRADMILL_MODEL_NUM_FACTORS");
}

TEST(Options, MistakesAreNamedWithTheNearest) {
  EXPECT_NE(error_of(
                [] {
                  parse({"trian", "mf"});
                },
                ErrorKind::usage)
                .find("\"train\""),
            std::string::npos);
  EXPECT_NE(error_of(
                [] {
                  parse({"train", "mf", "--data", "x", "--epocs", "3"});
                },
                ErrorKind::usage)
                .find("--epochs"),
            std::string::npos);
  EXPECT_NE(error_of(
                [] {
                  parse({"train", "mf"});
                },
                ErrorKind::usage)
                .find("--data"),
            std::string::npos);
  error_of([] { parse({"train", "mf", "--data", "x", "--set", "nothing"}); }, ErrorKind::usage);
  error_of([] { parse({"train", "mf", "--data", "x", "--num-factors", "257"}); }, ErrorKind::usage);
  error_of([] { parse({"train", "mf", "--data", "x", "--device", "tpu"}); }, ErrorKind::usage);
}

TEST(Nearest, FindsTypingMistakesOnly) {
  const std::vector<std::string> names{"epochs", "num_factors", "seed"};
  EXPECT_EQ(nearest("epcohs", names), "epochs");
  EXPECT_EQ(nearest("num_factor", names), "num_factors");
  EXPECT_EQ(nearest("regularization", names), "");
}

}  // namespace
}  // namespace gradmill
