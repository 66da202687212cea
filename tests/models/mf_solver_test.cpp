// Explicit and implicit solvers on one rank: they learn, resume and fold in.
#include <gtest/gtest.h>

#include <cmath>

#include "models/mf/evaluate.h"
#include "models/mf/fold_in.h"
#include "runtime/error.h"
#include "tests/support/mf_problem.h"

namespace gradmill {
namespace {
using testing::mf_problem;

MfConfig config_of(const std::string& algorithm) {
  MfConfig config;
  config.algorithm = algorithm;
  config.num_factors = 8;
  config.regularization = algorithm == "ials" ? 0.01 : 0.05;
  return config;
}

class MfSolverTest : public ::testing::TestWithParam<std::string> {
 protected:
  Context ctx_ = Context::cpu(2);
  std::unique_ptr<Communicator> comm_ = make_self_communicator();
  testing::MfProblem problem_ = mf_problem(80, 60, 0.4, 3);

  std::unique_ptr<MfSolver> solver(const MfConfig& config) const {
    return make_mf_solver(ctx_, ctx_, *comm_, config, 1, problem_.size, problem_.ratings);
  }
  static std::vector<float> bits(MfSolver& solver) {
    std::vector<float> all;
    for (const StateTensor& t : solver.state()) {
      const auto values = t.values<float>();
      for (std::int64_t r = 0; r < values.rows; ++r)
        all.insert(all.end(), values.row(r), values.row(r) + values.cols);
    }
    return all;
  }
};

TEST_P(MfSolverTest, TheLossFalls) {
  const auto s = solver(config_of(GetParam()));
  s->run_epoch(0);
  const double first = s->loss();
  for (int epoch = 1; epoch < 8; ++epoch) s->run_epoch(epoch);
  EXPECT_LT(s->loss(), 0.9 * first);
  EXPECT_GT(s->loss(), 0);
}

TEST_P(MfSolverTest, TwoRunsHaveTheSameBits) {
  const auto a = solver(config_of(GetParam())), b = solver(config_of(GetParam()));
  for (int epoch = 0; epoch < 3; ++epoch) {
    a->run_epoch(epoch);
    b->run_epoch(epoch);
  }
  EXPECT_EQ(bits(*a), bits(*b));
}

TEST_P(MfSolverTest, ARestoredStateGoesOnWithTheSameBits) {
  const auto a = solver(config_of(GetParam())), b = solver(config_of(GetParam()));
  for (int epoch = 0; epoch < 2; ++epoch) a->run_epoch(epoch);
  const auto from = a->state(), to = b->state();
  ASSERT_EQ(from.size(), to.size());
  for (std::size_t t = 0; t < from.size(); ++t)
    for (std::int64_t r = 0; r < from[t].rows; ++r)
      std::copy_n(from[t].values<float>().row(r), from[t].cols, to[t].values<float>().row(r));
  b->restored();
  a->run_epoch(2);
  b->run_epoch(2);
  EXPECT_EQ(bits(*a), bits(*b));
}

TEST_P(MfSolverTest, AFoldedInUserGetsWhatAHalfStepWouldGive) {
  if (GetParam() == "sgd") GTEST_SKIP() << "SGD has no half-step to compare with";
  MfConfig config = config_of(GetParam());
  config.solver = "cholesky";
  const auto s = solver(config);
  for (int epoch = 0; epoch < 40; ++epoch) s->run_epoch(epoch);  // near the fixed point
  const FactorsView model = s->factors();
  const FoldedUsers folded =
      fold_in(ctx_, ctx_, config, model, problem_.size.users, problem_.ratings);
  for (std::int64_t u = 0; u < problem_.size.users; ++u)
    for (std::int64_t c = 0; c < model.users.cols; ++c)
      EXPECT_NEAR(folded.factors.view()(u, c), model.users(u, c), 0.05) << u << ' ' << c;
}

TEST_P(MfSolverTest, ConjugateGradientsLearnWhatExactSolutionsDo) {
  if (GetParam() == "sgd") GTEST_SKIP() << "SGD solves no rows";
  MfConfig exact = config_of(GetParam()), steps = exact;
  exact.solver = "cholesky";
  steps.solver = "cg";
  const auto a = solver(exact), b = solver(steps);
  for (int epoch = 0; epoch < 10; ++epoch) {
    a->run_epoch(epoch);
    b->run_epoch(epoch);
  }
  EXPECT_NE(bits(*a), bits(*b));
  EXPECT_NEAR(b->loss(), a->loss(), 0.02 * a->loss());
}

INSTANTIATE_TEST_SUITE_P(Algorithms, MfSolverTest, ::testing::Values("als", "sgd", "ials"));

TEST(SgdSolver, AWeightOfTwoCountsLikeTheRatingTwice) {
  const Context ctx = Context::cpu(2);
  const auto comm = make_self_communicator();
  const testing::MfProblem problem = mf_problem(80, 60, 0.4, 3);
  MfConfig config = config_of("sgd");
  config.learning_rate = 0.002;  // so that what two steps add to one of twice the size is small
  config.adagrad = false;
  Ratings weighted = problem.ratings, twice = problem.ratings, ones = problem.ratings;
  weighted.weights.assign(weighted.users.size(), 2);
  ones.weights.assign(ones.users.size(), 1);
  for (auto* column : {&twice.users, &twice.items}) {
    const auto once = *column;
    column->insert(column->end(), once.begin(), once.end());
  }
  twice.values.insert(twice.values.end(), problem.ratings.values.begin(),
                      problem.ratings.values.end());
  const auto train = [&](const Ratings& ratings) {
    auto solver = make_mf_solver(ctx, ctx, *comm, config, 1, problem.size, ratings);
    for (int epoch = 0; epoch < 10; ++epoch) solver->run_epoch(epoch);
    return solver->loss();
  };
  const double plain = train(problem.ratings), by_two = train(weighted);
  EXPECT_EQ(train(ones), plain);
  EXPECT_LT(by_two, 0.98 * plain);
  EXPECT_NEAR(by_two, train(twice), 0.01 * by_two);
}

TEST(HeldOut, MetricsOfAHandMadeRanking) {
  const Context ctx = Context::cpu(1);
  const auto comm = make_self_communicator();
  FactorTable users(ctx, 2, 1), items(ctx, 4, 1);
  for (std::int64_t u = 0; u < 2; ++u) users.view()(u, 0) = 1;
  for (std::int64_t i = 0; i < 4; ++i) items.view()(i, 0) = static_cast<float>(4 - i);  // 0 is best
  const std::vector<std::int32_t> seen_users{0}, seen_items{0};
  const std::vector<float> ones{1.0f};
  const CsrRatings seen = CsrRatings::build(ctx, 0, 2, 4, seen_users, seen_items, ones, {});
  // User 0 ranks 1, 2, 3 (0 is seen) and wants 2; user 1 ranks 0, 1, 2, 3 and wants 0 and 3.
  const HeldOut held(ctx, ctx, *comm, {0, 2}, {{0, 1, 1, -1}, {2, 0, 3, 1}, {4, 4, 1, 2}, {}, {}});
  const FactorTable &u = users, &i = items;
  const FactorsView view{0, u.view(), i.view(), {}, {}, 0};
  const RankingMetrics m = held.ranking_metrics(view, seen.view(), 2);
  EXPECT_EQ(m.users, 2);
  EXPECT_EQ(held.unknown(), 1);
  EXPECT_DOUBLE_EQ(m.precision, (0.5 + 0.5) / 2);
  EXPECT_DOUBLE_EQ(m.recall, (1.0 + 0.5) / 2);
  const double second = 1 / std::log2(3.0);
  EXPECT_DOUBLE_EQ(m.ndcg, (second + 1 / (1 + second)) / 2);
  EXPECT_DOUBLE_EQ(m.map, (0.5 + 0.5) / 2);
  const RatingMetrics r =
      held.rating_metrics(view, 0, 10);  // predictions 2, 4, 1 and 0 for the unknown user
  EXPECT_EQ(r.ratings, 4);
  EXPECT_DOUBLE_EQ(r.rmse, std::sqrt((4.0 + 0 + 0 + 4) / 4));
  EXPECT_DOUBLE_EQ(r.mae, (2.0 + 0 + 0 + 2) / 4);
}

TEST(MfConfig, ValuesOutOfRangeAreNamed) {
  MfConfig config;
  config.num_factors = 257;
  try {
    validate(config);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::usage);
    EXPECT_NE(std::string(e.what()).find("num_factors"), std::string::npos);
  }
}

TEST(MfConfig, NormalEquationsThatAreReducedAreSolvedExactly) {
  for (const char* algorithm : {"als", "ials"}) {
    MfConfig config = config_of(algorithm);
    config.exchange = "reduce";
    config.solver = "cholesky";
    EXPECT_NO_THROW(validate(with_defaults(config)));
    config.solver = "cg";
    EXPECT_THROW(validate(with_defaults(config)), Error);
  }
}

TEST(CsrRatings, RowsAreSortedAndStable) {
  const Context ctx = Context::cpu(2);
  const std::vector<std::int32_t> rows{1, 0, 1, 1, 3}, cols{2, 5, 0, 2, 1};
  const std::vector<float> values{1, 2, 3, 4, 5};
  const CsrRatings csr = CsrRatings::build(ctx, 0, 4, 6, rows, cols, values, {});
  const auto v = csr.view();
  EXPECT_EQ(std::vector<std::int64_t>(v.offsets, v.offsets + 5),
            (std::vector<std::int64_t>{0, 1, 4, 4, 5}));
  EXPECT_EQ(std::vector<std::int32_t>(v.indices, v.indices + 5),
            (std::vector<std::int32_t>{5, 0, 2, 2, 1}));
  EXPECT_EQ(std::vector<float>(v.values, v.values + 5), (std::vector<float>{2, 3, 1, 4, 5}));
}

TEST(CsrRatings, TransposedTwiceIsTheSame) {
  const Context ctx = Context::cpu(1);
  const auto problem = mf_problem(31, 17, 0.4, 9);
  const std::vector<float> weights(problem.ratings.values.rbegin(), problem.ratings.values.rend());
  const auto& r = problem.ratings;
  const CsrRatings a = CsrRatings::build(ctx, 0, 31, 17, r.users, r.items, r.values, weights);
  const CsrRatings t = a.transposed(ctx), b = t.transposed(ctx);
  const CsrRatings direct = CsrRatings::build(ctx, 0, 17, 31, r.items, r.users, r.values, weights);
  auto same = [](const CsrRatings& x, const CsrRatings& y) {
    const auto v = x.view(), w = y.view();
    return v.rows == w.rows && v.cols == w.cols && x.nnz() == y.nnz() &&
           std::equal(v.offsets, v.offsets + v.rows + 1, w.offsets) &&
           std::equal(v.indices, v.indices + x.nnz(), w.indices) &&
           std::equal(v.values, v.values + x.nnz(), w.values) &&
           std::equal(x.weights().begin(), x.weights().end(), y.weights().begin());
  };
  EXPECT_TRUE(same(a, b));
  EXPECT_TRUE(
      same(a, CsrRatings::by_user(ctx, 0, 31, 17, {r.users, r.items, r.values, weights, {}})));
  EXPECT_TRUE(same(t, direct));
}

TEST(RowBoundaries, BalanceRatingsAndCoverAllRows) {
  const std::vector<std::int64_t> counts{100, 1, 1, 1, 1, 1, 1, 94};
  const RowBoundaries two =
      balanced_boundaries(counts, 2, 1);  // 104 each, a row costing its ratings and 1
  ASSERT_EQ(two.size(), 3u);
  EXPECT_GE(two[1], 1);
  EXPECT_LE(two[1], 4);
  const RowBoundaries many = balanced_boundaries(counts, 20, 1);
  EXPECT_EQ(many.front(), 0);
  EXPECT_EQ(many.back(), 8);
  EXPECT_TRUE(std::is_sorted(many.begin(), many.end()));
}

}  // namespace
}  // namespace gradmill
