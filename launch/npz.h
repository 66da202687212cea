// NumPy's .npz: a zip archive of .npy arrays that numpy.load reads without pickle.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "data/rating_stream.h"
#include "launch/safetensors.h"

namespace gradmill {

/// Writes arrays one after another, uncompressed. The bytes depend only on the arrays. Archives and
/// arrays above 4 GiB use zip64. Nothing is at `path` before finish(), which replaces what was there.
class NpzWriter {
 public:
  /// Errors of all members: as OutputFile.
  explicit NpzWriter(const std::string& path);
  ~NpzWriter();
  NpzWriter(NpzWriter&&) = delete;

  /// An array of the source's name, type and shape.
  void add(const TensorSource& source);
  /// Ids: int64, or text of fixed width ('<U'; '|S' if some id is not UTF-8 or has a NUL byte).
  void add(const std::string& name, const IdColumn& ids);
  void finish();

 private:
  using Sink = std::function<void(std::string_view)>;
  struct State;
  /// `produce` is called twice with the same result: for the checksum, which comes first in the file,
  /// and for the bytes.
  void add_array(const std::string& name, std::string_view descr, const std::string& shape,
                 const std::function<void(const Sink&)>& produce);
  std::unique_ptr<State> state_;
};

}  // namespace gradmill
