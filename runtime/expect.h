// Checks with formatted messages; never included by a .cu file (nvcc should not have to parse fmt).
#pragma once

#include <fmt/format.h>

#include <source_location>
#include <utility>

#include "runtime/error.h"

namespace gradmill {

/// Throws an Error of this kind with a formatted message: `expect(ok, ErrorKind::data, "{}:{}: …", file, line)`.
template <class... Args>
void expect(bool ok, ErrorKind kind, fmt::format_string<Args...> text, Args&&... args) {
  if (!ok) [[unlikely]]
    fail(kind, fmt::format(text, std::forward<Args>(args)...));
}

template <class... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> text,
                       Args&&... args) requires(sizeof...(Args) > 0) {
  fail(kind, fmt::format(text, std::forward<Args>(args)...));
}

/// A format string that remembers where it was written.
template <class... Args>
struct LocatedFormat {
  template <class Text>
  consteval LocatedFormat(const Text& s,
                          std::source_location l = std::source_location::current())  // NOLINT
      : text(s), at(l) {}
  fmt::format_string<Args...> text;
  std::source_location at;
};

/// Contract between our own parts (shapes, devices): `require(a == b, "mf_sgd: {} users but {} rows", a, b)`.
template <class... Args>
void require(bool ok, LocatedFormat<std::type_identity_t<Args>...> text, Args&&... args) {
  if (!ok) [[unlikely]]
    fail_contract(fmt::format(text.text, std::forward<Args>(args)...), text.at);
}

}  // namespace gradmill
