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

TEST(Config, KeysOfAnotherKindOfModelAreNamed) {
  EXPECT_EQ(error_of(
                [] {
                  parse({"train", "linear", "--data", "x", "--num-factors", "3"});
                },
                ErrorKind::usage),
            "-k,--num-factors: model.num_factors does not apply to a model of kind \"linear\"");
  error_of([] { parse({"train", "mf", "--data", "x", "--l1", "1"}); }, ErrorKind::usage);
  Config mf;
  load_config_text(mf, "[[features]]\ncolumn = \"a\"\n[data]\ntrain = \"x\"\n", "c.toml");
  complete(mf);
  EXPECT_NE(error_of([&] { validate(mf); }, ErrorKind::usage).find("c.toml:1"), std::string::npos);
}

TEST(Config, AFlagMeansTheKeyOfTheModelsKind) {
  EXPECT_EQ(parse({"train", "mf", "--data", "x", "--l2", "0.5"}).config.mf.regularization, 0.5);
  const Config linear = parse({"train", "linear", "--data", "x", "--l2", "0.5", "-b", "12", "-q",
                               "a,b", "-q", "c,d", "--text", "t,u"})
                            .config;
  EXPECT_EQ(linear.linear.l2, 0.5);
  EXPECT_EQ(linear.data.hash_bits, 12);
  EXPECT_EQ(linear.data.interactions, (std::vector<std::string>{"a*b", "c*d"}));
  EXPECT_EQ(linear.data.text, (std::vector<std::string>{"t", "u"}));
}

TEST(Config, DefaultsDependOnTheOptimizer) {
  const auto of = [](const char* optimizer) {
    return parse({"train", "linear", "--data", "x", "--optimizer", optimizer}).config;
  };
  EXPECT_EQ(of("lbfgs").train.epochs, 1000);
  EXPECT_EQ(of("lbfgs").checkpoint.seconds, 30);
  EXPECT_EQ(of("adagrad").train.epochs, 15);
  EXPECT_EQ(of("adagrad").checkpoint.seconds, 0);
  EXPECT_EQ(parse({"train", "linear", "--data", "x", "--loss", "hinge"}).config.train.epochs, 15);
}

TEST(Config, ALinearConfigurationReadsBackTheSame) {
  Config config;
  load_config_text(config,
                   "[data]\nmissing_values = [\"?\", \"a,b\"]\n[[features]]\ncolumn = \"t\"\n"
                   "kind = \"text\"\n[[features]]\ncolumns = [\"a\", \"b\"]\n"
                   "kind = \"interaction\"\n[model]\nkind = \"linear\"\n",
                   "c.toml");
  EXPECT_EQ(config.data.missing_values, (std::vector<std::string>{"?", "a,b"}));
  ASSERT_EQ(config.features.size(), 2u);
  const std::string text = to_toml(config);
  EXPECT_EQ(text.find("num_factors"), std::string::npos);
  Config back;
  load_config_text(back, text, "x.toml");
  EXPECT_EQ(to_toml(back), text);
  EXPECT_EQ(back.features[1].columns, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(model_toml(back), model_toml(config));
  error_of([&] { load_config_text(back, "[[features]]\ncolum = \"t\"\n", "x"); }, ErrorKind::usage);
  error_of([&] { load_config_text(back, "[[features]]\nkind = \"text\"\n", "x"); },
           ErrorKind::usage);
  error_of([&] { load_config_text(back, "[optimizer]\nl2 = [1, 2]\n", "x"); }, ErrorKind::usage);
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
