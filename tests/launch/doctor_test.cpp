#include "launch/doctor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace gradmill {
namespace {

const Finding* find(const std::vector<Finding>& findings, std::string_view what) {
  const auto at = std::find_if(findings.begin(), findings.end(),
                               [&](const Finding& f) { return f.what == what; });
  return at == findings.end() ? nullptr : &*at;
}

TEST(Doctor, LooksAtEverything) {
  const auto world = World::start(10);
  const std::vector<Finding> findings = examine(*world);
  for (const char* what :
       {"host", "build", "processor", "cores", "memory", "huge pages", "/dev/shm", "locked memory",
        "open files", "stack", "MPI", "launcher", "NCCL", "HDF5", "zlib", "CUDA"}) {
    const Finding* found = find(findings, what);
    ASSERT_TRUE(found) << what;
    EXPECT_FALSE(found->value.empty()) << what;
    EXPECT_EQ(found->health == Health::ok, found->fix.empty()) << what << ": " << found->fix;
  }
  EXPECT_NE(find(findings, "MPI")->value.find("MPI 3"), std::string::npos);
  EXPECT_EQ(find(findings, "HDF5")->value.rfind("1.", 0), 0u);
}

TEST(Doctor, CudaNamesTheDevices) {
  if (Context::cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device on this machine";
  const auto world = World::start(10);
  const Finding* device = nullptr;
  const auto findings = examine(*world);
  ASSERT_TRUE(device = find(findings, "cuda:0"));
  EXPECT_NE(device->value.find("GiB"), std::string::npos) << device->value;
}

TEST(Doctor, ReportSaysWhatToDo) {
  const std::vector<Finding> findings{{"huge pages", Health::warning, "never", "echo madvise"},
                                      {"MPI", Health::ok, "Open MPI \"4\"", ""}};
  EXPECT_EQ(doctor_report(findings, false),
            "warning  huge pages  never\n"
            "                     -> echo madvise\n"
            "ok       MPI         Open MPI \"4\"\n"
            "Everything that gradmill needs is there.\n");
  const auto json = nlohmann::json::parse(doctor_report(findings, true));
  EXPECT_TRUE(json["healthy"]);
  EXPECT_EQ(json["findings"][0]["fix"], "echo madvise");
  EXPECT_EQ(json["findings"][1]["value"], "Open MPI \"4\"");
}

TEST(Doctor, BrokenIsNotHealthy) {
  const std::vector<Finding> findings{{"/dev/shm", Health::broken, "not there", "mount it"}};
  EXPECT_FALSE(is_healthy(findings));
  EXPECT_NE(doctor_report(findings, false).find("will not work"), std::string::npos);
  EXPECT_FALSE(nlohmann::json::parse(doctor_report(findings, true))["healthy"]);
}

}  // namespace
}  // namespace gradmill
