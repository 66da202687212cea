#include "runtime/error.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace gradmill {
namespace {

TEST(ExitCodes, AreAscendingDistinctAndNeverOnesThatShellsAndSchedulersUse) {
  int before = 2;
  for (const ExitCode& each : exit_codes()) {
    EXPECT_GT(each.code, before);
    before = each.code;
    EXPECT_NE(each.code, 99);
    EXPECT_NE(each.code, 100);
    EXPECT_LT(each.code, 124);
    EXPECT_EQ(exit_code(each.kind), each.code);
    EXPECT_EQ(kind_name(each.kind), each.name);
    EXPECT_EQ(find_exit_code(each.code), &each);
  }
  for (const int other : {0, 1, 2, 137, 255, -1}) EXPECT_EQ(find_exit_code(other), nullptr);
}

TEST(ExitCodes, EveryKindHasOne) {
  for (int kind = 0; kind <= static_cast<int>(ErrorKind::crash_loop); ++kind)
    EXPECT_EQ(find_exit_code(exit_code(static_cast<ErrorKind>(kind)))->kind,
              static_cast<ErrorKind>(kind));
}

}  // namespace
}  // namespace gradmill
