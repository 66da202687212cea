// Tables that grow, as HDF5: one data set a column, numbers or text. For results; data sets for training are
// written by hdf5_writer.h, which knows the number of rows.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/rating_stream.h"

namespace gradmill {

struct Hdf5TableColumn {
  enum class Type : std::uint8_t { float32, float64, int64, text } type = Type::float32;
  std::string name;  // of the data set, in the root group
};

/// libver=latest, chunked, numbers with fletcher32; text is UTF-8 of variable length. Nothing is at `path` before finish(),
/// which replaces what was there. Errors of all members: ErrorKind::cannot_write naming the file.
class Hdf5Table {
 public:
  Hdf5Table(const std::string& path, const std::vector<Hdf5TableColumn>& columns);
  ~Hdf5Table();
  Hdf5Table(Hdf5Table&&) = delete;

  /// Appends `rows` values of the column's type.
  void append(std::size_t column, const void* values, std::int64_t rows);
  /// Appends ids to a column of their type. Errors: ErrorKind::data for text that is not UTF-8 or has a NUL byte.
  void append(std::size_t column, const IdColumn& ids);
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace gradmill
