// Graphs of repeated work, and marks between streams.
#include <gtest/gtest.h>

#include "runtime/buffer.h"
#include "runtime/event.h"
#include "runtime/replay.h"
#include "runtime/workspace.h"
#include "tests/support/devices.h"

namespace gradmill {
namespace {

TEST(ReplayTest, RunsTheWorkOnTheCpu) {
  const Context ctx = Context::cpu(1);
  Replay replay(ctx);
  int runs = 0;
  for (int i = 0; i < 4; ++i) replay.run({i % 2}, [&] { ++runs; });
  EXPECT_EQ(runs, 4);
  EXPECT_EQ(replay.launched(), 0);
}

TEST(ReplayCuda, LaunchesWhatWasCapturedByKey) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const Context& ctx = *gpus[0];
  Replay replay(ctx);
  Buffer<float> from = Buffer<float>::from_host(ctx, std::vector<float>{1, 2, 3, 4});
  Buffer<float> to(ctx, 4);
  int runs = 0;
  const auto copies = [&](std::int64_t count) {
    replay.run({count}, [&, count] {
      ++runs;
      Workspace::Scope scratch(ctx);
      const VectorView<float> between = scratch.take<float>(count);
      copy<float>(ctx, between, from.view().slice(0, count));
      copy<float>(ctx, to.view().slice(0, count), between);
    });
  };
  for (int i = 0; i < 5; ++i) {
    to.zero();
    copies(2);
    EXPECT_EQ(to.to_host(), (std::vector<float>{1, 2, 0, 0}));
    copies(3);
    EXPECT_EQ(to.to_host(), (std::vector<float>{1, 2, 3, 0}));
  }
  EXPECT_LE(runs, 6);  // once as it is, perhaps again after the workspace grew, once into a graph
  EXPECT_GE(replay.launched(), 6);
  EXPECT_EQ(replay.nodes(), 2);
  const int before = runs;
  {
    Workspace::Scope scratch(ctx);
    (void)scratch.take<float>(10'000'000);  // the workspace moves: no graph may use what it had
  }
  from.upload(std::vector<float>{5, 6});
  copies(2);
  EXPECT_EQ(runs, before + 1);
  EXPECT_EQ(to.to_host()[1], 6);
}

TEST(ReplayCuda, WorkThatThrowsLeavesTheStreamUsable) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const Context& ctx = *gpus[0];
  Replay replay(ctx);
  Buffer<float> to(ctx, 4);
  int runs = 0;
  const auto work = [&] {
    to.zero();
    if (++runs == 2) throw std::runtime_error("no");
  };
  replay.run({1}, work);
  EXPECT_THROW(replay.run({1}, work), std::runtime_error);
  replay.run({1}, work);
  EXPECT_EQ(to.to_host(), std::vector<float>(4, 0.0f));
}

TEST(EventCuda, OrdersCopiesAndTheStream) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const Context& ctx = *gpus[0];
  Event copied(ctx), used(ctx);
  copied.wait();  // never recorded
  auto* pinned = static_cast<float*>(ctx.allocate_pinned(sizeof(float)));
  Buffer<float> slot(ctx, 1), results(ctx, 4);
  ctx.copies_wait_for_stream();
  for (int i = 0; i < 4; ++i) {
    copied.wait();
    *pinned = static_cast<float>(i);
    used.hold(Event::Lane::copies);
    ctx.copy_ahead(slot.view().data, pinned, sizeof(float));
    copied.record(Event::Lane::copies);
    copied.hold(Event::Lane::compute);
    copy<float>(ctx, results.view().slice(i, 1), slot.view());
    used.record(Event::Lane::compute);
  }
  EXPECT_EQ(results.to_host(), (std::vector<float>{0, 1, 2, 3}));
  ctx.deallocate_pinned(pinned);
}
}  // namespace
}  // namespace gradmill
