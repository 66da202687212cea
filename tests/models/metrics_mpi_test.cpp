// Metrics over ranks against one rank that has all samples.
#include <gtest/gtest.h>

#include "dist/shard.h"
#include "dist/world.h"
#include "models/metrics/metrics.h"
#include "tests/support/metric_cases.h"
#include "tests/support/test_world.h"

namespace gradmill {
namespace {
using testing::scored_case;
using testing::ScoredCase;
using testing::test_world;

TEST(MetricsMpiTest, RanksAgreeWithOneRank) {
  const Context host = Context::cpu(1);
  World& world = test_world();
  const auto comm = world.communicator(host);
  for (const int steps : {1, 3, 500})
    for (const std::int64_t rows : {0, 1, 2, 33, 5000}) {
      const ScoredCase c = scored_case(rows, 2, steps, 3);
      const RowRange mine = shard_rows(rows, world.rank(), world.world_size());
      const auto self = make_self_communicator();
      const auto whole = classification_metrics(host, *self, Link::logistic, 2, c.rows_of(0, rows));
      const auto shared = classification_metrics(host, *comm, Link::logistic, 2,
                                                 c.rows_of(mine.begin, mine.size()));
      const auto same = [&](double a, double b, const char* name) {
        EXPECT_EQ(std::isnan(a), std::isnan(b)) << name;
        if (!std::isnan(a)) {
          EXPECT_NEAR(a, b, 1e-12) << name << ", " << rows << " rows";
        }
      };
      same(whole.accuracy, shared.accuracy, "accuracy");
      same(whole.log_loss, shared.log_loss, "log loss");
      same(whole.auc, shared.auc, "auc");
      same(whole.pr_auc, shared.pr_auc, "pr auc");
      same(whole.f1, shared.f1, "f1");
      EXPECT_EQ(whole.confusion, shared.confusion);
    }
}

TEST(MetricsMpiTest, AllSamplesOnTheLastRank) {
  const Context host = Context::cpu(1);
  World& world = test_world();
  const auto comm = world.communicator(host);
  const ScoredCase c = scored_case(300, 2, 20, 8);
  const bool last = world.rank() + 1 == world.world_size();
  const auto m =
      classification_metrics(host, *comm, Link::logistic, 2, c.rows_of(0, last ? 300 : 0));
  EXPECT_NEAR(m.auc, testing::slow_auc(c), 1e-12);
  EXPECT_NEAR(m.pr_auc, testing::slow_average_precision(c), 1e-12);
}
}  // namespace
}  // namespace gradmill
