#include "runtime/log.h"

#include <gtest/gtest.h>

namespace gradmill {
namespace {

TEST(Log, KeepsTheFirstWarningsOnly) {
  Log log(0, LogLevel::error);
  log.info("an info");
  log.warning("one");
  log.warning("two");
  EXPECT_EQ(log.warnings(), (std::vector<std::string>{"one", "two"}));
  for (int i = 0; i < 1000; ++i) log.warning("more");
  EXPECT_EQ(log.warnings().size(), Log::kKeptWarnings);
}

}  // namespace
}  // namespace gradmill
