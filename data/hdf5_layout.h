// Where the rows of HDF5 data sets lie in their file, found by libhdf5 in a child process.
//
// libhdf5 is "not designed to handle maliciously crafted files safely" (its SECURITY.md), so it only ever
// reads a file in a child process (child_process.h). The child says where the bytes lie; the parent
// reads and decodes them itself, or the child sends the rows where the layout is an unusual one.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data/child_process.h"
#include "data/rating_columns.h"
#include "data/sample_stream.h"

namespace gradmill {

/// How one value is stored.
struct Hdf5Element {
  enum class Kind : std::uint8_t { integer, real, text, variable_text } kind = Kind::integer;
  bool is_signed = true, big_endian = false;
  std::uint32_t bytes = 0;
  std::string name() const;  // "int32", "float64 (big-endian)", "text of 8 bytes", …
};

/// A data set of one column: one dimension, or one that is larger than 1.
struct Hdf5Column {
  enum class Filter : std::uint8_t { deflate, shuffle, fletcher32 };
  struct Chunk {
    std::int64_t offset = 0, bytes = 0;
    std::uint32_t skipped_filters = 0;  // bit i: filter i was not applied
  };
  std::string path;
  Hdf5Element element;
  std::int64_t rows = 0;
  std::int64_t width = 1;       // values of a row; above 1 for a matrix
  bool direct = false;          // chunks say where all rows are; else the library must read them
  std::int64_t chunk_rows = 0;  // contiguous: all
  std::vector<Filter> filters;  // in the order of writing
  std::vector<Chunk> chunks;
  std::int64_t row_bytes() const { return width * element.bytes; }
};

/// What inspect prints of each data set.
struct Hdf5Summary {
  std::string path, type, storage;  // storage: "contiguous", "chunks of 65536; shuffle, deflate", …
  std::vector<std::int64_t> shape;
  std::int64_t stored_bytes = 0;
  bool column = false;  // can be a column of ratings
};

/// All data sets of a file that hard links reach, to a depth of 16 groups.
/// Errors (of all functions here): ErrorKind::data naming file and data set.
std::vector<Hdf5Summary> list_hdf5(const std::string& path, const ChildLimits& limits = {});

/// The data sets of these names ("/group/users" or "group/users"); with `matrices` also those of two dimensions.
std::vector<Hdf5Column> locate_hdf5_columns(const std::string& path,
                                            const std::vector<std::string>& names,
                                            const ChildLimits& limits = {}, bool matrices = false);

/// The columns of ratings, found by options.columns or by usual names; rows of all are equal.
struct Hdf5RatingColumns {
  std::vector<Hdf5Column> columns;
  std::array<int, kRatingRoles> of_role;  // index of a column, -1: none
  std::int64_t rows = 0;
};
Hdf5RatingColumns locate_hdf5_ratings(const std::string& path, const RatingReadOptions& options,
                                      const ChildLimits& limits = {});

/// The arrays of a sparse matrix by rows (CSR) and its labels, by options.columns or by usual names.
/// Lengths agree with each other; the numbers in them are still to be checked.
struct Hdf5SampleColumns {
  Hdf5Column labels, offsets, indices, values;
  std::vector<Hdf5Column> weights;  // one or none
  std::int64_t rows = 0, entries = 0;
  std::int64_t num_features = 0;  // by the attribute shape; 0: not said
};
Hdf5SampleColumns locate_hdf5_samples(const std::string& path, const SampleColumns& names,
                                      const ChildLimits& limits = {});

/// Is there a group with the arrays of a sparse matrix by rows?
bool has_hdf5_samples(const std::string& path);

}  // namespace gradmill
