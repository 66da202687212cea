// "did you mean …?"
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace gradmill {

/// The candidate with the smallest edit distance to `text`, if it is near enough to be a typing
/// mistake (at most a third of the length, at least 2); else empty.
std::string nearest(std::string_view text, std::span<const std::string> candidates);

/// `; did you mean "x"?` or nothing.
std::string did_you_mean(std::string_view text, std::span<const std::string> candidates);

}  // namespace gradmill
