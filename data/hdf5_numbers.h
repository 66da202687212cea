// The numbers of an HDF5 column from its bytes.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "data/hdf5_layout.h"

namespace gradmill {

/// Calls each(position, number) for numbers of any width and byte order; number is int64_t, uint64_t (for
/// uint64 columns) or double.
template <class Each>
void for_numbers(const Hdf5Element& element, std::string_view raw, Each&& each) {
  const auto run = [&]<class Stored, class Number>(Stored, Number) {
    const std::size_t count = raw.size() / sizeof(Stored);
    for (std::size_t r = 0; r < count; ++r) {
      char bytes[sizeof(Stored)];
      std::memcpy(bytes, raw.data() + r * sizeof(Stored), sizeof(Stored));
      if (element.big_endian) std::reverse(bytes, bytes + sizeof(Stored));
      each(static_cast<std::int64_t>(r), static_cast<Number>(std::bit_cast<Stored>(bytes)));
    }
  };
  static_assert(std::endian::native == std::endian::little);
  const bool is_signed = element.is_signed;
  if (element.kind == Hdf5Element::Kind::real)
    return element.bytes == 4 ? run(float(), double()) : run(double(), double());
  switch (element.bytes) {
    case 1:
      return is_signed ? run(std::int8_t(), std::int64_t()) : run(std::uint8_t(), std::int64_t());
    case 2:
      return is_signed ? run(std::int16_t(), std::int64_t()) : run(std::uint16_t(), std::int64_t());
    case 4:
      return is_signed ? run(std::int32_t(), std::int64_t()) : run(std::uint32_t(), std::int64_t());
    default:
      return is_signed ? run(std::int64_t(), std::int64_t())
                       : run(std::uint64_t(), std::uint64_t());
  }
}

}  // namespace gradmill
