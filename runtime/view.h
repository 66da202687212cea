// Non-owning views of memory on one device. Row-major, trivially copyable, usable in kernels.
#pragma once

#include <cstdint>
#include <type_traits>

#ifdef __CUDACC__
#define GRADMILL_HD __host__ __device__
#else
#define GRADMILL_HD
#endif

namespace gradmill {

enum class DeviceKind : std::uint8_t { cpu, cuda };

struct Device {
  DeviceKind kind = DeviceKind::cpu;
  int ordinal = 0;
  friend constexpr bool operator==(const Device&, const Device&) = default;
};

template <class T>
struct VectorView {
  T* data = nullptr;
  std::int64_t size = 0;
  Device device{};

  GRADMILL_HD T& operator[](std::int64_t i) const { return data[i]; }
  GRADMILL_HD T* begin() const { return data; }
  GRADMILL_HD T* end() const { return data + size; }
  VectorView slice(std::int64_t first, std::int64_t count) const {
    return {data + first, count, device};
  }
  operator VectorView<const T>() const requires(!std::is_const_v<T>) {
    return {data, size, device};
  }
};

/// rows x cols values; row r starts at data + r * stride (in elements, stride >= cols).
template <class T>
struct MatrixView {
  T* data = nullptr;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t stride = 0;
  Device device{};

  GRADMILL_HD T* row(std::int64_t r) const { return data + r * stride; }
  GRADMILL_HD T& operator()(std::int64_t r, std::int64_t c) const { return data[r * stride + c]; }
  MatrixView rows_slice(std::int64_t first, std::int64_t count) const {
    return {data + first * stride, count, cols, stride, device};
  }
  VectorView<T> flat() const { return {data, rows * stride, device}; }  // padding included
  operator MatrixView<const T>() const requires(!std::is_const_v<T>) {
    return {data, rows, cols, stride, device};
  }
};

/// Compressed sparse rows: row r holds entries offsets[r] .. offsets[r + 1].
/// offsets [rows + 1] start at offsets[0], which need not be 0 (a slice of rows shares its parent's
/// arrays); indices in [0, cols).
template <class T>
struct CsrView {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t nnz = 0;
  const std::int64_t* offsets = nullptr;
  const std::int32_t* indices = nullptr;
  const T* values = nullptr;
  Device device{};
};

}  // namespace gradmill
