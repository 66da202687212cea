// What the elements of an array are, where that is known only at run time (files, collectives).
#pragma once

#include <cstdint>
#include <type_traits>

namespace gradmill {

enum class ElementType : std::uint8_t { f32, f64, i32, i64, byte };

template <class T>
constexpr ElementType element_type() {
  if constexpr (std::is_same_v<T, float>)
    return ElementType::f32;
  else if constexpr (std::is_same_v<T, double>)
    return ElementType::f64;
  else if constexpr (std::is_same_v<T, std::int32_t>)
    return ElementType::i32;
  else if constexpr (std::is_same_v<T, std::int64_t>)
    return ElementType::i64;
  else if constexpr (sizeof(T) == 1)
    return ElementType::byte;
  else
    static_assert(!sizeof(T), "no element type");
}

constexpr std::int64_t element_size(ElementType type) {
  switch (type) {
    case ElementType::f32:
    case ElementType::i32:
      return 4;
    case ElementType::f64:
    case ElementType::i64:
      return 8;
    case ElementType::byte:
      return 1;
  }
  return 0;
}

/// "f32", "i64", …
constexpr const char* element_name(ElementType type) {
  constexpr const char* kNames[] = {"f32", "f64", "i32", "i64", "u8"};
  return kNames[static_cast<int>(type)];
}

}  // namespace gradmill
