// Sums over the entries of a column, in a fixed order that keeps the processor busy.
#pragma once

#include <cstdint>
#include <type_traits>

namespace gradmill {

/// Four chains of additions, which do not wait for each other.
struct Chains {
  double a = 0, b = 0, c = 0, d = 0;
  template <int k>
  double& of() {
    if constexpr (k == 0) return a;
    if constexpr (k == 1) return b;
    if constexpr (k == 2) return c;
    if constexpr (k == 3) return d;
  }
  double total() const { return (a + b) + (c + d); }
};

template <int k>
using Chain = std::integral_constant<int, k>;

/// body(chain, row(e), value(e)) for e in [0, count); chain: 0 .. 3 in turn.
template <class Body, class Row, class Value>
void in_chains(std::int64_t count, const Body& body, const Row& row, const Value& value) {
  std::int64_t e = 0;
  for (; e + 4 <= count; e += 4) {
    body(Chain<0>{}, row(e), value(e));
    body(Chain<1>{}, row(e + 1), value(e + 1));
    body(Chain<2>{}, row(e + 2), value(e + 2));
    body(Chain<3>{}, row(e + 3), value(e + 3));
  }
  for (; e < count; ++e) body(Chain<0>{}, row(e), value(e));
}

}  // namespace gradmill
