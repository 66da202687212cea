// What a checkpoint must hold of a model: tensors, each cut by rows over the ranks.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/element_type.h"
#include "runtime/view.h"

namespace gradmill {

/// Rows [first_row, first_row + rows) of a global tensor [global_rows, cols] on the model's device.
/// replicated: every rank holds all of it; one writes it, all read it back.
struct StateTensor {
  std::string name;
  std::int64_t global_rows = 0, first_row = 0;
  std::int64_t rows = 0, cols = 0, stride = 0;
  ElementType type = ElementType::f32;
  void* data = nullptr;
  Device device{};
  bool replicated = false;

  /// The values as what they are; T must agree with type.
  template <class T>
  MatrixView<T> values() const {
    return {static_cast<T*>(data), rows, cols, stride, device};
  }
  template <class T>
  static StateTensor share(std::string name, std::int64_t global_rows, std::int64_t first_row,
                           MatrixView<T> values) {
    return {std::move(name), global_rows,       first_row,   values.rows,   values.cols,
            values.stride,   element_type<T>(), values.data, values.device, false};
  }
  template <class T>
  static StateTensor whole(std::string name, MatrixView<T> values) {
    return {std::move(name), values.rows,       0,           values.rows,   values.cols,
            values.stride,   element_type<T>(), values.data, values.device, true};
  }
};

}  // namespace gradmill
