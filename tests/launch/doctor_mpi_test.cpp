#include "launch/doctor.h"

#include <gtest/gtest.h>

namespace gradmill {
namespace {

TEST(DoctorRanks, TryACollective) {
  const auto world = World::start(30);
  const auto findings = examine(*world);
  const std::string want = "mpi sum over " + std::to_string(world->world_size()) + " ranks";
  bool tried = false;
  for (const Finding& f : findings) tried |= f.what == want && f.health == Health::ok;
  EXPECT_EQ(tried, world->world_size() > 1) << doctor_report(findings, false);
  EXPECT_TRUE(is_healthy(findings)) << doctor_report(findings, false);
}

}  // namespace
}  // namespace gradmill
