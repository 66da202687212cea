// What a call fails with: `const Error e = error_of([&] { open(path); }); EXPECT_EQ(e.kind(), …)`.
#pragma once

#include <gtest/gtest.h>

#include "runtime/error.h"

namespace gradmill::testing {

template <class Work>
Error error_of(Work&& work) {
  try {
    work();
  } catch (const Error& e) {
    return e;
  }
  ADD_FAILURE() << "no error was thrown";
  return Error(ErrorKind::internal, "no error was thrown");
}

}  // namespace gradmill::testing
