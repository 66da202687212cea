#include "data/hdf5_table.h"

#include <unistd.h>

#include "data/files.h"
#include "data/hdf5_handle.h"
#include "data/utf8.h"

namespace gradmill {
namespace {

using Type = Hdf5TableColumn::Type;
constexpr hsize_t kChunkRows = 1 << 16;

void check(herr_t status, const std::string& path, std::string_view doing) {
  expect(status >= 0, ErrorKind::cannot_write, "{}: HDF5 cannot {}; is the disk full?", path,
         doing);
}

Hdf5Type text_type() {
  Hdf5Type type(H5Tcopy(H5T_C_S1), "make a type", ErrorKind::cannot_write);
  H5Tset_size(type.get(), H5T_VARIABLE);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  return type;
}

/// In memory and in the file: the same on the little-endian machines that gradmill runs on.
Hdf5Type stored_type(Type type) {
  if (type == Type::text) return text_type();
  const hid_t number = type == Type::float32   ? H5T_IEEE_F32LE
                       : type == Type::float64 ? H5T_IEEE_F64LE
                                               : H5T_STD_I64LE;
  return {H5Tcopy(number), "make a type", ErrorKind::cannot_write};
}

Hdf5File create_file(const std::string& path) {
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  const Hdf5List access(H5Pcreate(H5P_FILE_ACCESS), "make a list", ErrorKind::cannot_write);
  check(H5Pset_libver_bounds(access.get(), H5F_LIBVER_LATEST, H5F_LIBVER_LATEST), path,
        "set the version");
  return {H5Fcreate(path.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, access.get()), "create " + path,
          ErrorKind::cannot_write};
}

}  // namespace

struct Hdf5Table::State {
  struct Column {
    Hdf5Type type;
    Type kind;
    Hdf5Dataset dataset;
    hsize_t rows = 0;
  };
  std::string path, written;
  Hdf5File file;
  std::vector<Column> columns;
  bool finished = false;

  ~State() {
    if (!finished) ::unlink(written.c_str());
  }
};

Hdf5Table::Hdf5Table(const std::string& path, const std::vector<Hdf5TableColumn>& columns) {
  const std::string written = fmt::format("{}.tmp-{}", path, ::getpid());
  ::unlink(written.c_str());  // of a killed run
  state_.reset(new State{path, written, create_file(written), {}, false});
  const hsize_t none = 0, any = H5S_UNLIMITED;
  const Hdf5Space space(H5Screate_simple(1, &none, &any), "make a shape", ErrorKind::cannot_write);
  for (const Hdf5TableColumn& column : columns) {
    const Hdf5List creation(H5Pcreate(H5P_DATASET_CREATE), "make a list", ErrorKind::cannot_write);
    check(H5Pset_chunk(creation.get(), 1, &kChunkRows), path, "set chunks");
    // HDF5 has no filters for text of variable length: its bytes lie outside the chunks.
    if (column.type != Type::text) check(H5Pset_fletcher32(creation.get()), path, "set fletcher32");
    Hdf5Type type = stored_type(column.type);
    Hdf5Dataset dataset(H5Dcreate2(state_->file.get(), column.name.c_str(), type.get(), space.get(),
                                   H5P_DEFAULT, creation.get(), H5P_DEFAULT),
                        "create the data set " + column.name, ErrorKind::cannot_write);
    state_->columns.push_back({std::move(type), column.type, std::move(dataset), 0});
  }
}
Hdf5Table::~Hdf5Table() = default;

void Hdf5Table::append(std::size_t column, const void* values, std::int64_t rows) {
  State::Column& to = state_->columns.at(column);
  if (rows == 0) return;
  const hsize_t start = to.rows, count = static_cast<hsize_t>(rows), size = start + count;
  check(H5Dset_extent(to.dataset.get(), &size), state_->path, "add rows");
  const Hdf5Space all(H5Dget_space(to.dataset.get()), "read the shape", ErrorKind::cannot_write);
  check(H5Sselect_hyperslab(all.get(), H5S_SELECT_SET, &start, nullptr, &count, nullptr),
        state_->path, "select rows");
  const Hdf5Space here(H5Screate_simple(1, &count, nullptr), "make a shape",
                       ErrorKind::cannot_write);
  check(H5Dwrite(to.dataset.get(), to.type.get(), here.get(), all.get(), H5P_DEFAULT, values),
        state_->path, "write");
  to.rows = size;
}

void Hdf5Table::append(std::size_t column, const IdColumn& ids) {
  const bool numbers = ids.kind == IdColumn::Kind::i64;
  require(state_->columns.at(column).kind == (numbers ? Type::int64 : Type::text),
          "hdf5_table: ids of another type");
  if (numbers) return append(column, ids.numbers.data(), ids.size());
  std::vector<std::string> texts;
  std::vector<const char*> pointers;
  for (std::int64_t row = 0; row < ids.size(); ++row) {
    const std::string_view text = ids.text(row);
    expect(is_utf8(text), ErrorKind::data,
           "{}: id {:?} is not UTF-8, which HDF5 text needs; write .csv instead", state_->path,
           text);
    texts.emplace_back(text);
  }
  for (const std::string& text : texts) pointers.push_back(text.c_str());
  append(column, pointers.data(), ids.size());
}

void Hdf5Table::finish() {
  for (State::Column& column : state_->columns)
    check(column.dataset.close(), state_->path, "write the chunks");
  check(state_->file.close(), state_->path, "close the file");
  replace_with(state_->written, state_->path);
  state_->finished = true;
}

}  // namespace gradmill
