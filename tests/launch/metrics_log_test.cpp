#include "launch/metrics_log.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "tests/support/error_of.h"
#include "tests/support/temporary_folder.h"

namespace gradmill {
namespace {

using testing::error_of;
using testing::read_bytes;
using testing::TemporaryFolder;
using testing::write_bytes;

TEST(MetricsLog, ALineHasEveryDigitAndNullForWhatIsNotFinite) {
  const MetricsRecord record{12, 1, 3.25, {{"rmse", 0.1 + 0.2}, {"auc", NAN}, {"loss", -INFINITY}}};
  const std::string line = metrics_line(record);
  EXPECT_EQ(line,
            "{\"step\":12,\"epoch\":1,\"seconds\":3.25,\"rmse\":0.30000000000000004,\"auc\":null,"
            "\"loss\":null}\n");
  const MetricsRecord back = parse_metrics_line(line);
  EXPECT_EQ(back.step, 12);
  EXPECT_EQ(back.epoch, 1);
  EXPECT_EQ(back.seconds, 3.25);
  ASSERT_EQ(back.values.size(), 3U);
  EXPECT_EQ(back.values[0], (std::pair<std::string, double>{"rmse", 0.1 + 0.2}));
  EXPECT_TRUE(std::isnan(back.values[1].second));
}

TEST(MetricsLog, AResumedRunContinuesWhereItsCheckpointWas) {
  const TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  std::int64_t at_checkpoint = 0;
  {
    MetricsLog log(path, 0);
    log.append({1, 1, 1, {{"rmse", 2}}});
    log.sync();
    at_checkpoint = log.bytes();
    log.append({2, 1, 2, {{"rmse", 3}}});
  }
  MetricsLog log(path, at_checkpoint);
  log.append({2, 1, 2, {{"rmse", 4}}});
  EXPECT_EQ(log.bytes(), static_cast<std::int64_t>(std::filesystem::file_size(path)));
  const auto records = read_metrics(path);
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(records[1].values[0].second, 4);
  EXPECT_EQ(error_of([&] { MetricsLog(path, 1'000'000); }).kind(), ErrorKind::checkpoint);
}

TEST(MetricsLog, AKilledRunsHalfLineIsLeftOutAndABadLineIsNamed) {
  const TemporaryFolder folder;
  const std::string path = folder / "metrics.jsonl";
  const std::string line = metrics_line({1, 1, 1, {}});
  write_bytes(path, line + line + line.substr(0, 9));
  EXPECT_EQ(read_metrics(path).size(), 2U);
  for (const char* bad : {"{}", "[1]", "", "{\"step\":-1,\"epoch\":1}",
                          "{\"step\":1,\"epoch\":1,\"a\":\"b\"}", "{\"step\":1"}) {
    write_bytes(path, line + bad + "\n" + line);
    const Error e = error_of([&] { read_metrics(path); });
    EXPECT_EQ(e.kind(), ErrorKind::data);
    EXPECT_NE(std::string(e.what()).find("metrics.jsonl:2: "), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace gradmill
