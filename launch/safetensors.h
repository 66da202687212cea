// Safetensors files: 8 bytes header length (little-endian), a JSON header, the tensors' raw bytes.
// Format: github.com/huggingface/safetensors; other programs read what we write and the reverse.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "data/files.h"
#include "runtime/element_type.h"
#include "runtime/view.h"

namespace gradmill {

/// What a reader accepts at most; a header beyond is refused before memory is taken for it.
struct SafetensorsLimits {
  static constexpr std::int64_t kHeaderBytes = std::int64_t{16} << 20;
  static constexpr std::size_t kTensors = 65536;
  static constexpr std::size_t kNameBytes = 512;
  static constexpr std::size_t kDimensions = 8;
};

/// Takes the next bytes of a tensor.
using ByteSink = std::function<void(const void* bytes, std::size_t size)>;

/// A tensor to write: rows of host memory that stay valid and unchanged until the write returns, or
/// rows that `produce` makes piece by piece, in order, when they are written.
struct TensorSource {
  std::string name;
  ElementType type = ElementType::f32;
  std::vector<std::int64_t> shape;
  const void* data = nullptr;
  std::int64_t rows = 0, row_bytes = 0, stride_bytes = 0;
  std::function<void(const ByteSink&)> produce = {};  // instead of data
};

template <class T>
TensorSource tensor_source(std::string name, MatrixView<const T> m) {
  constexpr auto kSize = static_cast<std::int64_t>(sizeof(T));
  return {std::move(name), element_type<T>(), {m.rows, m.cols}, m.data,
          m.rows,          m.cols * kSize,    m.stride * kSize, {}};
}
template <class T>
TensorSource tensor_source(std::string name, VectorView<const T> v) {
  constexpr auto kSize = static_cast<std::int64_t>(sizeof(T));
  return {std::move(name), element_type<T>(), {v.size}, v.data, v.size, kSize, kSize, {}};
}

/// Writes and syncs a new file without a copy of the data. Tensors come in the order of descending
/// element size, so all are aligned. Errors: as OutputFile; ErrorKind::internal for a repeated
/// name or a tensor that is produced with another size than announced.
FileRecord write_safetensors(const std::string& path, std::vector<TensorSource> tensors,
                             const std::map<std::string, std::string>& metadata = {},
                             Existing existing = Existing::refuse);

struct TensorInfo {
  std::string name;
  ElementType type = ElementType::f32;
  std::vector<std::int64_t> shape;
  std::int64_t begin = 0, end = 0;  // bytes in the file

  std::int64_t rows() const { return shape.empty() ? 1 : shape.front(); }
  std::int64_t row_elements() const;  // product of the other dimensions
};

/// The checked header of a file: what is in it and where.
class SafetensorsHeader {
 public:
  /// Every range is inside the file, none overlap, nothing is left over.
  /// Errors: ErrorKind::data with file, tensor and field.
  static SafetensorsHeader read(const InputFile& file);

  const std::vector<TensorInfo>& tensors() const { return tensors_; }  // by position in the file
  const TensorInfo* find(std::string_view name) const;                 // nullptr if absent
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  std::vector<TensorInfo> tensors_;
  std::map<std::string, std::string> metadata_;
};

/// Rows [first, first + count) of a tensor into `to`, whose rows are stride_bytes apart.
/// Errors: as InputFile::read_at; ErrorKind::internal if the rows are not in the tensor.
void read_tensor_rows(const InputFile& file, const TensorInfo& tensor, std::int64_t first,
                      std::int64_t count, void* to, std::int64_t stride_bytes);

/// "F32", "F64", "I32", "I64", "U8".
std::string_view dtype_name(ElementType type);
/// False for a name that is none of these.
bool parse_dtype(std::string_view name, ElementType& type);

}  // namespace gradmill
