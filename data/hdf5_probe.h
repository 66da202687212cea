// What libhdf5 is asked to do with files of others; runs in a child process only.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "data/hdf5_layout.h"

namespace gradmill {

/// An open file; external links, external storage and plugins are refused.
/// Errors of all members: ErrorKind::data naming the data set.
class Hdf5Probe {
 public:
  explicit Hdf5Probe(const std::string& path);
  ~Hdf5Probe();
  Hdf5Probe(Hdf5Probe&&) = delete;

  /// Data sets that cannot be opened are left out.
  std::vector<Hdf5Summary> list() const;
  /// A column; with `matrices` also a data set of rows x width values.
  Hdf5Column locate(const std::string& name, bool matrices = false) const;
  /// Of a group that holds a sparse matrix; what it does not say is empty.
  struct MatrixAttributes {
    std::vector<std::int64_t> shape;  // "shape" or "h5sparse_shape"
    std::string format;  // "csr", "csc_matrix", …: "encoding-type", "h5sparse_format" or "format"
  };
  MatrixAttributes matrix_attributes(const std::string& group) const;
  /// Sends rows [first, first + count) in blocks, a row's values one after the other: 8-byte native
  /// integers or reals, or text (for variable_text: each with its length in 4 bytes before it).
  void send_rows(const std::string& name, std::int64_t first, std::int64_t count,
                 const ChildProcess::Send& send) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The element that send_rows gives for a column.
Hdf5Element sent_element(const Hdf5Element& stored);

}  // namespace gradmill
