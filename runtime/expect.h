// Checks with formatted messages; never included by a .cu file (nvcc should not have to parse fmt).
#pragma once

#include <fmt/format.h>

#include <concepts>
#include <source_location>
#include <utility>

#include "runtime/error.h"

namespace gradmill {

/// Throws an Error of this kind with a formatted message: `expect(ok, ErrorKind::data, "{}:{}: …", file, line)`.
/// The arguments are evaluated even if ok (C++ has no other way without a macro), so they must be cheap
/// and valid then, too: names, numbers, views. Otherwise give a function that makes the message:
/// `expect(ok, ErrorKind::data, [&] { return fmt::format("{}: there are {}", file, joined(names)); })`.
template <class... Args>
void expect(bool ok, ErrorKind kind, fmt::format_string<Args...> text, Args&&... args) {
  if (!ok) [[unlikely]]
    fail(kind, fmt::format(text, std::forward<Args>(args)...));
}

/// The same; `message` is called only on failure.
template <std::invocable Message>
void expect(bool ok, ErrorKind kind, Message&& message) {
  if (!ok) [[unlikely]]
    fail(kind, message());
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

/// The same; `message` is called only on failure.
template <std::invocable Message>
void require(bool ok, Message&& message,
             const std::source_location& at = std::source_location::current()) {
  if (!ok) [[unlikely]]
    fail_contract(message(), at);
}

}  // namespace gradmill
