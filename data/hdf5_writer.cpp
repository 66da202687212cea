#include "data/hdf5_writer.h"

#include <algorithm>

#include "data/files.h"
#include "data/hdf5_handle.h"

namespace gradmill {
namespace {

void check(herr_t status, const std::string& path, std::string_view doing) {
  expect(status >= 0, ErrorKind::cannot_write, "{}: HDF5 cannot {}; is the disk full?", path,
         doing);
}

hid_t memory_type(Hdf5WriterColumn::Type type) {
  return type == Hdf5WriterColumn::Type::int32   ? H5T_NATIVE_INT32
         : type == Hdf5WriterColumn::Type::int64 ? H5T_NATIVE_INT64
                                                 : H5T_NATIVE_FLOAT;
}
hid_t file_type(Hdf5WriterColumn::Type type) {
  return type == Hdf5WriterColumn::Type::int32   ? H5T_STD_I32LE
         : type == Hdf5WriterColumn::Type::int64 ? H5T_STD_I64LE
                                                 : H5T_IEEE_F32LE;
}

Hdf5File create_file(const std::string& path) {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  const Hdf5List access(H5Pcreate(H5P_FILE_ACCESS), "make a list", ErrorKind::cannot_write);
  const Hdf5List creation(H5Pcreate(H5P_FILE_CREATE), "make a list", ErrorKind::cannot_write);
  // The latest format has checksums on metadata too.
  check(H5Pset_libver_bounds(access.get(), H5F_LIBVER_LATEST, H5F_LIBVER_LATEST), path,
        "set the version");
  check(H5Pset_obj_track_times(creation.get(), false), path, "leave out times");
  return {H5Fcreate(path.c_str(), H5F_ACC_EXCL, creation.get(), access.get()), "create " + path,
          ErrorKind::cannot_write};
}

void write_attribute(hid_t object, const char* name, const std::string& path, hid_t type,
                     const Hdf5Space& space, const void* value) {
  const Hdf5Attribute attribute(
      H5Acreate2(object, name, type, space.get(), H5P_DEFAULT, H5P_DEFAULT), "create an attribute",
      ErrorKind::cannot_write);
  check(H5Awrite(attribute.get(), type, value), path, "write an attribute");
}

void write_text(hid_t object, const char* name, const std::string& path, const std::string& text) {
  const Hdf5Type type(H5Tcopy(H5T_C_S1), "make a type", ErrorKind::cannot_write);
  check(H5Tset_size(type.get(), std::max<std::size_t>(1, text.size())), path, "make a type");
  const Hdf5Space space(H5Screate(H5S_SCALAR), "make a shape", ErrorKind::cannot_write);
  write_attribute(object, name, path, type.get(), space, text.c_str());
}

void create_matrix_group(const Hdf5File& file, const std::string& path, std::int64_t rows,
                         const Hdf5WriterOptions& options) {
  const Hdf5List creation(H5Pcreate(H5P_GROUP_CREATE), "make a list", ErrorKind::cannot_write);
  check(H5Pset_obj_track_times(creation.get(), false), path, "leave out times");
  const Hdf5Group group(
      H5Gcreate2(file.get(), options.group.c_str(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
      "create a group", ErrorKind::cannot_write);
  const hsize_t two = 2;
  const Hdf5Space space(H5Screate_simple(1, &two, nullptr), "make a shape",
                        ErrorKind::cannot_write);
  const std::int64_t shape[] = {rows, options.num_features};
  write_attribute(group.get(), "shape", path, H5T_STD_I64LE, space, shape);
  write_text(group.get(), "encoding-type", path, "csr_matrix");
}

Hdf5Dataset create_column(const Hdf5File& file, const std::string& path,
                          const Hdf5WriterColumn& column, std::int64_t rows,
                          const Hdf5WriterOptions& options) {
  const bool grows = column.rows == Hdf5WriterColumn::kGrows;
  if (column.rows > 0) rows = column.rows;
  std::int64_t chunk_rows = column.chunk_rows > 0 ? column.chunk_rows : options.chunk_rows;
  if (!grows) chunk_rows = std::min(chunk_rows, rows);
  const auto chunk = static_cast<hsize_t>(chunk_rows);
  const Hdf5List creation(H5Pcreate(H5P_DATASET_CREATE), "make a list", ErrorKind::cannot_write);
  check(H5Pset_chunk(creation.get(), 1, &chunk), path, "set chunks");
  check(H5Pset_obj_track_times(creation.get(), false), path, "leave out times");
  // The rest of the last chunk of a column that grows must not be what memory held.
  check(H5Pset_fill_time(creation.get(), grows ? H5D_FILL_TIME_ALLOC : H5D_FILL_TIME_NEVER), path,
        "set the fill time");
  if (options.deflate > 0) {
    check(H5Pset_shuffle(creation.get()), path, "set shuffle");
    check(H5Pset_deflate(creation.get(), static_cast<unsigned>(options.deflate)), path,
          "set deflate");
  }
  if (options.checksums) check(H5Pset_fletcher32(creation.get()), path, "set fletcher32");
  const hsize_t size = grows ? 0 : static_cast<hsize_t>(rows), most = grows ? H5S_UNLIMITED : size;
  const Hdf5Space space(H5Screate_simple(1, &size, &most), "make a shape", ErrorKind::cannot_write);
  const std::string name = options.group.empty() ? column.name : options.group + "/" + column.name;
  return {H5Dcreate2(file.get(), name.c_str(), file_type(column.type), space.get(), H5P_DEFAULT,
                     creation.get(), H5P_DEFAULT),
          "create the data set " + column.name, ErrorKind::cannot_write};
}

}  // namespace

struct Hdf5Writer::State {
  struct Column {
    Hdf5WriterColumn::Type type;
    Hdf5Dataset dataset;
    std::int64_t rows;  // kGrows: any number
    std::int64_t written = 0;
  };
  std::string path;
  Hdf5File file;
  std::vector<Column> columns;
};

Hdf5Writer::Hdf5Writer(const std::string& path, const std::vector<Hdf5WriterColumn>& columns,
                       std::int64_t rows, const Hdf5WriterOptions& options)
    : state_(new State{path, create_file(path), {}}) {
  require(rows > 0 && options.chunk_rows > 0, "{} rows in chunks of {}", rows, options.chunk_rows);
  if (!options.group.empty()) create_matrix_group(state_->file, path, rows, options);
  for (const Hdf5WriterColumn& column : columns) {
    state_->columns.push_back({column.type,
                               create_column(state_->file, path, column, rows, options),
                               column.rows == 0 ? rows : column.rows});
    write_text(state_->columns.back().dataset.get(), "description", path, column.description);
  }
}
Hdf5Writer::~Hdf5Writer() = default;

void Hdf5Writer::append(std::size_t column, const void* values, std::int64_t rows) {
  State::Column& to = state_->columns.at(column);
  const bool grows = to.rows == Hdf5WriterColumn::kGrows;
  require(rows >= 0 && (grows || to.written + rows <= to.rows), "{} rows after {} of {}", rows,
          to.written, to.rows);
  if (rows == 0) return;
  if (const auto size = static_cast<hsize_t>(to.written + rows); grows)
    check(H5Dset_extent(to.dataset.get(), &size), state_->path, "add rows");
  const Hdf5Space space(H5Dget_space(to.dataset.get()), "read the shape", ErrorKind::cannot_write);
  const auto start = static_cast<hsize_t>(to.written), count = static_cast<hsize_t>(rows);
  check(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, &start, nullptr, &count, nullptr),
        state_->path, "select rows");
  const Hdf5Space here(H5Screate_simple(1, &count, nullptr), "make a shape",
                       ErrorKind::cannot_write);
  check(H5Dwrite(to.dataset.get(), memory_type(to.type), here.get(), space.get(), H5P_DEFAULT,
                 values),
        state_->path, "write");
  to.written += rows;
}

void Hdf5Writer::finish() {
  for (State::Column& column : state_->columns) {
    require(column.rows == Hdf5WriterColumn::kGrows || column.written == column.rows,
            "{}: {} of {} rows were written", state_->path, column.written, column.rows);
    check(column.dataset.close(), state_->path, "write the chunks");
  }
  check(state_->file.close(), state_->path, "close the file");
  sync_file(state_->path);
}

}  // namespace gradmill
