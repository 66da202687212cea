#include "models/mlp/solver.h"

#include <gtest/gtest.h>

#include <cstring>

#include "models/mlp/predictor.h"
#include "runtime/error.h"
#include "tests/support/mlp_problem.h"

namespace gradmill {
namespace {
using testing::MlpCase;
using testing::MlpProblem;
using testing::ReferenceMlp;
using testing::Tensors;
using testing::tensors_of;

constexpr std::uint64_t kSeed = 11;

/// A solver with what it refers to.
struct Training {
  Training(const MlpConfig& config, const MlpProblem& problem, int threads = 2)
      : ctx(Context::cpu(threads)),
        comm(make_self_communicator()),
        solver(make_mlp_solver(ctx, ctx, *comm, config, kSeed, problem.shape, problem.samples)) {}
  MlpSolver* operator->() { return solver.get(); }
  Tensors tensors() { return tensors_of(*solver); }
  Context ctx;
  std::unique_ptr<Communicator> comm;
  std::unique_ptr<MlpSolver> solver;
};

/// One step of plain gradient descent at rate 1 on all samples: the gradient is the difference.
MlpConfig one_step() {
  MlpConfig c;
  c.hidden = "8,6,6";
  c.activation = "tanh";
  c.embedding_dim = 3;
  c.optimizer = "sgd";
  c.learning_rate = 1;
  c.momentum = 0;
  c.global_batch = 1000;
  return c;
}

/// From where training begins, some gradients are 0 by chance, or those of a kink.
void move_parameters(MlpSolver& solver) {
  std::uint32_t number = 0;
  for (const StateTensor& t : solver.state()) {
    ++number;
    if (t.type != ElementType::f32) continue;
    const MatrixView<float> values = t.values<float>();
    for (std::int64_t e = 0; e < values.rows * values.cols; ++e)
      values(e / values.cols, e % values.cols) +=
          0.1f * random_normal(2, RandomStream::split, static_cast<std::uint64_t>(e), number).a;
  }
}

void check_gradients(const MlpConfig& config, const MlpCase& shape) {
  const MlpProblem problem(shape);
  Training run(config, problem);
  move_parameters(*run.solver);
  const Tensors before = run.tensors();
  run->run_epoch(0);
  const Tensors after = run.tensors();
  const ReferenceMlp reference(problem, with_defaults(config), 3, kSeed);
  ReferenceMlp::Parameters p;
  for (const auto& [name, values] : before) p[name].assign(values.begin(), values.end());
  EXPECT_NEAR(run->loss(), reference.loss(p), 2e-6 * (1 + reference.loss(p)));
  double most = 0;
  for (auto& [name, values] : p) {
    if (name.ends_with(".norm.mean") || name.ends_with(".norm.variance")) continue;  // not trained
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double w = values[i], h = 1e-6;
      values[i] = w + h;
      const double above = reference.loss(p);
      values[i] = w - h;
      const double slope = (above - reference.loss(p)) / (2 * h);
      values[i] = w;
      most = std::max(most, std::abs(slope));
      ASSERT_NEAR(double{before.at(name)[i]} - double{after.at(name)[i]}, slope,
                  3e-6 + 1e-5 * std::abs(slope))
          << name << "[" << i << "]";
    }
  }
  EXPECT_GT(most, 1e-3);
}

TEST(MlpSolverTest, GradientsOfEveryActivation) {
  for (const char* activation : {"relu", "gelu", "silu", "tanh", "identity"})
    for (const bool wide : {false, true}) {
      SCOPED_TRACE(activation);
      MlpConfig config = one_step();
      config.activation = activation;
      config.wide = wide;
      check_gradients(config, {});
      if (HasFatalFailure()) return;
    }
}

TEST(MlpSolverTest, GradientsOfDropoutAndResiduals) {
  for (const char* activation : {"relu", "gelu", "tanh"})
    for (const double dropout : {0.0, 0.3})
      for (const bool residual : {false, true}) {
        SCOPED_TRACE(::testing::Message() << activation << " " << dropout << " " << residual);
        MlpConfig config = one_step();
        config.activation = activation;
        config.dropout = dropout;
        config.residual = residual;
        check_gradients(config, {});
        if (HasFatalFailure()) return;
      }
}

TEST(MlpSolverTest, GradientsOfLayerNorm) {
  for (const char* activation : {"relu", "gelu", "tanh"})
    for (const double dropout : {0.0, 0.3})
      for (const int accumulate : {1, 3}) {
        SCOPED_TRACE(::testing::Message() << activation << " " << dropout << " " << accumulate);
        MlpConfig config = one_step();
        config.norm = "layer";
        config.activation = activation;
        config.dropout = dropout;
        config.residual = dropout > 0;
        config.accumulate = accumulate;
        check_gradients(config, {});
        if (HasFatalFailure()) return;
      }
}

TEST(MlpSolverTest, GradientsOfBatchNorm) {
  for (const char* activation : {"relu", "gelu", "tanh"}) {
    SCOPED_TRACE(activation);
    MlpConfig config = one_step();
    config.norm = "batch";
    config.activation = activation;
    check_gradients(config, {});
    if (HasFatalFailure()) return;
  }
}

TEST(MlpSolverTest, GradientsOfTheInteraction) {
  for (const int numeric : {0, 3})
    for (const char* norm : {"none", "batch"}) {
      SCOPED_TRACE(::testing::Message() << numeric << " " << norm);
      MlpConfig config = one_step();
      config.interaction = "dot";
      config.norm = norm;
      check_gradients(config, {.numeric = numeric, .categories = {4, 7, 3}});
      if (HasFatalFailure()) return;
    }
}

TEST(MlpSolverTest, FrozenPartsStayAndTheOthersMoveAsBefore) {
  const MlpProblem problem({.rows = 60, .classes = 3});
  for (const char* frozen : {"hidden.0", "output", "embedding", "hidden.0,embedding,interaction",
                             "wide,hidden.1", "hidden.0,hidden.1,hidden.2"}) {
    SCOPED_TRACE(frozen);
    MlpConfig config = one_step();
    config.interaction = "dot";
    config.norm = "layer";
    config.wide = true;
    Training all(config, problem);
    config.freeze = frozen;
    Training some(config, problem);
    const Tensors before = some.tensors();
    all->run_epoch(0), some->run_epoch(0);
    const Tensors moved = all.tensors(), after = some.tensors();
    const std::string list = std::string(",") + frozen + ",";
    for (const auto& [name, values] : after) {
      const std::size_t cut = name.find('.', name.starts_with("hidden.") ? 7 : 0);
      const bool stays = list.find("," + name.substr(0, cut) + ",") != std::string::npos;
      EXPECT_EQ(values, stays ? before.at(name) : moved.at(name)) << name;
      if (!stays) {
        EXPECT_NE(values, before.at(name)) << name;
      }
    }
  }
}

TEST(MlpSolverTest, PlateausLowerTheRate) {
  const MlpProblem problem({.rows = 60, .classes = 0});
  MlpConfig config = one_step();
  config.schedule = "plateau";
  config.plateau_patience = 2;
  config.plateau_factor = 0.5;
  config.learning_rate = 1e-9;  // nothing gets better
  Training run(config, problem);
  for (int epoch = 0; epoch < 6; ++epoch) run->run_epoch(epoch);
  EXPECT_NEAR(run->progress()[0].second, 0.25e-9, 1e-15);
}

TEST(MlpSolverTest, LayerNormBeginsAsTheIdentity) {
  MlpConfig config = one_step();
  config.norm = "layer";
  Training run(config, MlpProblem({}));
  const Tensors tensors = run.tensors();
  EXPECT_EQ(tensors.at("hidden.1.norm.scale"), std::vector<float>(6, 1.0f));
  EXPECT_EQ(tensors.at("hidden.1.norm.shift"), std::vector<float>(6, 0.0f));
}

TEST(MlpSolverTest, GradientsOfEveryLoss) {
  for (const auto& [loss, classes] : std::vector<std::pair<const char*, int>>{{"logistic", 2},
                                                                              {"softmax", 4},
                                                                              {"squared", 0},
                                                                              {"huber", 0},
                                                                              {"quantile", 0},
                                                                              {"poisson", 0}}) {
    SCOPED_TRACE(loss);
    MlpConfig config = one_step();
    config.loss = loss;
    config.loss_parameter = 0.6;
    check_gradients(config, {.classes = classes});
    if (HasFatalFailure()) return;
  }
}

TEST(MlpSolverTest, GradientsOfBagsWeightsAndPieces) {
  for (const char* bag : {"sum", "mean"}) {
    MlpConfig config = one_step();
    config.bag = bag;
    config.wide = true;
    config.accumulate = 3;
    config.dropout = 0.25;
    check_gradients(config, {.bags = true, .weights = true, .classes = 3});
  }
}

TEST(MlpSolverTest, GradientsOfOneKindOfColumnOnlyAndOfNoLayers) {
  MlpConfig config = one_step();
  check_gradients(config, {.categories = {}});
  check_gradients(config, {.numeric = 0});
  config.wide = true;
  check_gradients(config, {.categories = {}});
  check_gradients(config, {.numeric = 0});
  config.hidden = "";
  check_gradients(config, {});
}

MlpConfig training(const char* optimizer) {
  MlpConfig c;
  c.hidden = "16,16";
  c.activation = "gelu";
  c.optimizer = optimizer;
  c.global_batch = 64;
  c.dropout = 0.1;
  c.wide = true;
  c.norm = "layer";
  c.clip_norm = 1;
  c.average_decay = 0.9;
  c.momentum = optimizer == std::string("sgd") ? 0.9 : 0;
  return c;
}

TEST(MlpSolverTest, LearnsWithEveryOptimizer) {
  const MlpProblem problem({.rows = 600, .classes = 2});
  for (const char* optimizer : {"sgd", "adagrad", "adam", "adamw", "lamb"}) {
    MlpConfig config = training(optimizer);
    config.norm = optimizer == std::string("adam") ? "batch" : "layer";
    config.learning_rate = optimizer == std::string("sgd") ? 0.1 : 0.02;
    Training run(config, problem);
    run->run_epoch(0);
    const double first = run->loss();
    for (int epoch = 1; epoch < 12; ++epoch) run->run_epoch(epoch);
    EXPECT_LT(run->loss(), 0.75 * first) << optimizer;
  }
}

TEST(MlpSolverTest, BitsDoNotDependOnThreads) {
  const MlpProblem problem({.rows = 500, .bags = true, .weights = true, .classes = 3});
  for (const double clip : {0.0, 0.5}) {
    MlpConfig config = training("adam");
    config.clip_norm = clip;
    Training one(config, problem, 1), three(config, problem, 3);
    for (int epoch = 0; epoch < 2; ++epoch) one->run_epoch(epoch), three->run_epoch(epoch);
    EXPECT_EQ(one->loss(), three->loss());
    EXPECT_EQ(one.tensors(), three.tensors());
  }
}

/// Overwrites all of `to` with `from`, as a checkpoint does.
void restore(MlpSolver& to, MlpSolver& from) {
  const auto source = from.state(), target = to.state();
  ASSERT_EQ(source.size(), target.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    ASSERT_EQ(source[i].name, target[i].name);
    const auto row_bytes = static_cast<std::size_t>(source[i].cols * element_size(source[i].type));
    for (std::int64_t r = 0; r < source[i].rows; ++r)
      std::memcpy(
          static_cast<char*>(target[i].data) + r * target[i].stride * element_size(target[i].type),
          static_cast<const char*>(source[i].data) +
              r * source[i].stride * element_size(source[i].type),
          row_bytes);
  }
  to.restored();
}

TEST(MlpSolverTest, RestoredIsUninterrupted) {
  const MlpProblem problem({.rows = 300, .bags = true, .classes = 3});
  for (const char* optimizer : {"sgd", "adagrad", "adamw"}) {
    MlpConfig config = training(optimizer);
    config.schedule = "cosine";
    config.planned_epochs = 5;
    Training whole(config, problem), before(config, problem), after(config, problem);
    for (int epoch = 0; epoch < 4; ++epoch) whole->run_epoch(epoch);
    for (int epoch = 0; epoch < 2; ++epoch) before->run_epoch(epoch);
    restore(*after.solver, *before.solver);
    for (int epoch = 2; epoch < 4; ++epoch) after->run_epoch(epoch);
    EXPECT_EQ(whole.tensors(), after.tensors()) << optimizer;
    EXPECT_EQ(whole->loss(), after->loss());
  }
}

TEST(MlpSolverTest, PredictsWithAveragedWeightsAndNoDropout) {
  const MlpProblem problem({.rows = 1500, .classes = 3});
  MlpConfig config = one_step();
  config.learning_rate = 0.1;
  config.dropout = 0.5;
  config.average_decay = 0.5;
  config.global_batch = 2000;
  Training run(config, problem);
  run->run_epoch(0);
  std::vector<float> margins(1500 * 3);
  run->predict(problem.samples, {margins.data(), 1500, 3, 3, {}});
  config.dropout = 0;
  const ReferenceMlp reference(problem, with_defaults(config), 3, kSeed);
  Tensors now = run.tensors();
  Training fresh(config, problem);
  const Tensors start = fresh.tensors();
  ReferenceMlp::Parameters p;
  for (const auto& [name, values] : now)
    for (std::size_t i = 0; i < values.size(); ++i)
      p[name].push_back(!start.count(name)
                            ? double{values[i]}
                            : 0.5 * double{values[i]} + 0.5 * double{start.at(name)[i]});
  for (std::int64_t r = 0; r < 1500; r += 37) {
    const auto expected = reference.margins(p, r);
    for (std::size_t c = 0; c < 3; ++c)
      ASSERT_NEAR(margins[static_cast<std::size_t>(r) * 3 + c], expected[c], 2e-5);
  }
}

TEST(MlpSolverTest, NormsBeginAsTheIdentity) {
  const MlpProblem problem({.rows = 50});
  MlpConfig config = training("sgd");
  config.norm = "layer";
  config.activation = "relu";
  Training run(config, problem);
  const Tensors start = run.tensors();
  for (const float scale : start.at("hidden.0.norm.scale")) EXPECT_EQ(scale, 1.0f);
  for (const float shift : start.at("hidden.0.norm.shift")) EXPECT_EQ(shift, 0.0f);
  for (const float bias : start.at("hidden.0.bias")) EXPECT_EQ(bias, 0.0f);
}

TEST(MlpSolverTest, APredictorWithTheModelsTensorsPredictsTheSame) {
  for (const bool embeds : {false, true})
    for (const double decay : {0.0, 0.5}) {
      MlpCase size{.rows = 1500, .bags = embeds, .classes = 3};
      if (!embeds) size.categories = {};
      const MlpProblem problem(size);
      MlpConfig config = training("adamw");
      config.wide = true;
      config.norm = "layer";
      config.average_decay = decay;
      Training run(config, problem);
      for (int epoch = 0; epoch < 2; ++epoch) run->run_epoch(epoch);
      std::vector<float> expected(1500 * 3), found(1500 * 3);
      run->predict(problem.samples, {expected.data(), 1500, 3, 3, {}});
      const Context ctx = Context::cpu(1);
      MlpPredictor predictor(ctx, ctx, with_defaults(config), problem.shape,
                             problem.samples.num_features);
      const std::vector<StateTensor> from = run->model(), to = predictor.state();
      ASSERT_EQ(from.size(), to.size());
      for (std::size_t t = 0; t < from.size(); ++t) {
        ASSERT_EQ(from[t].name, to[t].name);
        const MatrixView<float> source = from[t].values<float>(), target = to[t].values<float>();
        ASSERT_EQ(source.rows, target.rows);
        for (std::int64_t r = 0; r < source.rows; ++r)
          std::copy_n(source.row(r), source.cols, target.row(r));
      }
      predictor.predict(problem.samples, {found.data(), 1500, 3, 3, {}});
      EXPECT_EQ(found, expected) << embeds << " " << decay;
    }
}

TEST(MlpSolverTest, WhatIsNotFiniteStopsTheRunOrIsSkippedAndCounted) {
  MlpProblem problem({.rows = 200, .classes = 0});
  problem.samples.labels[7] = std::nanf("");
  MlpConfig config = training("adam");
  config.global_batch = 50;
  Training stops(config, problem);
  try {
    stops->run_epoch(0);
    FAIL() << "a label that is no number passed";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::not_finite);
  }
  config.on_nonfinite = "skip";
  Training skips(config, problem);
  for (int epoch = 0; epoch < 2; ++epoch) skips->run_epoch(epoch);
  EXPECT_TRUE(std::isfinite(skips->loss()));
  for (const auto& [name, value] : skips->progress())
    if (name == "skipped_steps") {
      EXPECT_EQ(value, 2);
    }
  for (const auto& [name, values] : skips.tensors())
    for (const float x : values) ASSERT_TRUE(std::isfinite(x)) << name;
}

TEST(MlpSolverTest, WrongKeysAreRefused) {
  const MlpProblem problem({});
  const auto refuses = [&](auto&& change) {
    MlpConfig config = one_step();
    change(config);
    try {
      Training run(config, problem);
      return false;
    } catch (const Error& e) {
      return e.kind() == ErrorKind::usage;
    }
  };
  EXPECT_TRUE(refuses([](MlpConfig& c) { c.hidden = "12,x"; }));
  EXPECT_TRUE(refuses([](MlpConfig& c) { c.hidden = "0"; }));
  EXPECT_TRUE(refuses([](MlpConfig& c) { c.activation = "swish"; }));
  EXPECT_TRUE(refuses([](MlpConfig& c) { c.dropout = 1; }));
  EXPECT_TRUE(refuses([](MlpConfig& c) { c.optimizer = "lion"; }));
  EXPECT_TRUE(refuses([](MlpConfig& c) { c.nesterov = true, c.optimizer = "adam"; }));
  EXPECT_TRUE(refuses([](MlpConfig& c) { c.precision = "bf16"; }));
}
}  // namespace
}  // namespace gradmill
