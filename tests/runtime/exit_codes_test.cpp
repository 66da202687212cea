#include "runtime/exit_codes.h"

#include <gtest/gtest.h>

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
    EXPECT_EQ(find_exit_code(each.code), &each);
  }
  for (const int other : {0, 1, 2, 137, 255, -1}) EXPECT_EQ(find_exit_code(other), nullptr);
}

TEST(ExitCodes, EveryKindHasOne) {
  EXPECT_EQ(exit_code(ErrorKind::usage), 64);
  EXPECT_EQ(exit_code(ErrorKind::peer_lost), 76);
  EXPECT_EQ(exit_code(ErrorKind::replicas_differ), 81);
  for (int i = 0; i <= static_cast<int>(ErrorKind::replicas_differ); ++i) {
    const auto kind = static_cast<ErrorKind>(i);
    EXPECT_EQ(error_kind(exit_code(kind)), kind);
    EXPECT_EQ(find_exit_code(exit_code(kind))->name, kind_name(kind));
  }
  for (const int other : {0, 1, 82, 137}) EXPECT_EQ(error_kind(other), ErrorKind::internal);
}

}  // namespace
}  // namespace gradmill
