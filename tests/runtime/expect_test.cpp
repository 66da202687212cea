#include "runtime/expect.h"

#include <gtest/gtest.h>

#include "tests/support/error_of.h"

namespace gradmill {
namespace {
using testing::error_of;

TEST(Expect, FormatsTheMessage) {
  expect(true, ErrorKind::data, "{}", 1);
  const Error error = error_of([] { expect(false, ErrorKind::io, "{}:{}", "f", 2); });
  EXPECT_EQ(error.kind(), ErrorKind::io);
  EXPECT_STREQ(error.what(), "f:2");
}

TEST(Expect, AMessageThatIsAFunctionIsCalledOnlyOnFailure) {
  int calls = 0;
  const auto message = [&] { return std::string("call ") + std::to_string(++calls); };
  expect(true, ErrorKind::data, message);
  require(true, message);
  EXPECT_EQ(calls, 0);
  EXPECT_STREQ(error_of([&] { expect(false, ErrorKind::data, message); }).what(), "call 1");
  const Error error = error_of([&] { require(false, message); });
  EXPECT_EQ(error.kind(), ErrorKind::internal);
  EXPECT_NE(std::string(error.what()).find("expect_test.cpp"), std::string::npos) << error.what();
}

}  // namespace
}  // namespace gradmill
