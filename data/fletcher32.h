// The checksum of HDF5's fletcher32 filter.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gradmill {

/// Fletcher-32 over 16-bit big-endian words, an odd last byte padded with 0, as HDF5 stores it.
/// Source   H5_checksum_fletcher32 (H5checksum.c); J. Fletcher, IEEE Trans. Comm. 30(1), 1982.
std::uint32_t fletcher32(const void* bytes, std::size_t size);

}  // namespace gradmill
