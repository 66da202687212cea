// NumPy's .npz: a zip archive of .npy arrays, readable by numpy.load without pickle.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/rating_stream.h"
#include "launch/safetensors.h"

namespace gradmill {

/// Writes arrays one after another, uncompressed (a reader may map them); archives and arrays above 4 GiB
/// use zip64. Nothing is at `path` before finish().
class NpzWriter {
 public:
  /// Errors of all members: as OutputFile.
  explicit NpzWriter(const std::string& path);
  ~NpzWriter();
  NpzWriter(NpzWriter&&) = delete;

  /// Array `name` of the source's rows, type and shape.
  void add(const TensorSource& source);
  /// Ids: int64, or fixed-width text ('<U', or '|S' if some id is not UTF-8 or has a NUL byte).
  void add(const std::string& name, const IdColumn& ids);
  /// Replaces the file at `path`.
  void finish();

 private:
  struct State;
  void add_array(const std::string& name, const std::string& header, std::int64_t data_bytes,
                 const std::function<void(const std::function<void(std::string_view)>&)>& write_data);
  std::unique_ptr<State> state_;
};

}  // namespace gradmill
