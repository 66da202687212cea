// The decision about a step on CUDA against the CPU's.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/device_run.h"
#include "tests/support/devices.h"
#include "tests/support/step_control_problem.h"

namespace gradmill {
namespace {
using testing::StepControlProblem;

TEST(StepControlCuda, SizesAndWhatIsNotFinite) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  for (const std::int64_t size : {0, 1, 33, 257, 10'000})
    for (const float bad : {0.0f, INFINITY})
      for (const bool dynamic : {false, true}) {
        StepControlProblem p(size);
        if (size) p.gradient[static_cast<std::size_t>(size / 2)] += bad;
        p.state[StepState::loss_scale] = dynamic ? 512 : 0;
        StepControlArgs args = p.args();
        args.clip = 2;
        args.dynamic = dynamic;
        testing::expect_device_matches(
            *gpus[0], fmt::format("step_control {}", size), args, {1e-10, 1e-12}, step_control,
            [](const auto& a) { step_control(Context::cpu(1), a); },
            [&](const auto& device) {
              std::int32_t ticket = 7;
              copy_bytes(*gpus[0], &ticket, Device{}, device.ticket.data, gpus[0]->device(),
                         sizeof ticket);
              gpus[0]->synchronize();
              EXPECT_EQ(ticket, 0);
            });
      }
}
}  // namespace
}  // namespace gradmill
