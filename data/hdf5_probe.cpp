#include "data/hdf5_probe.h"

#include <algorithm>
#include <cstring>

#include "data/hdf5_handle.h"

namespace gradmill {
namespace {

constexpr int kMaxDepth = 16;
constexpr std::size_t kMaxDatasets = 4096;
// H5Dget_chunk_info walks the index from its beginning at each call (1.10), so a table of all chunks takes time
// that grows with the square of their number. Beyond this the library reads the rows.
constexpr hsize_t kMaxChunks = 8192;
constexpr hsize_t kMaxChunkBytes = hsize_t{1} << 28;
constexpr std::size_t kBlockBytes = 1 << 20;

using Filter = Hdf5Column::Filter;

std::vector<std::int64_t> shape_of(const Hdf5Dataset& dataset) {
  const Hdf5Space space(H5Dget_space(dataset.get()), "read the shape");
  const int rank = H5Sget_simple_extent_ndims(space.get());
  expect(rank >= 0 && rank <= H5S_MAX_RANK && H5Sget_simple_extent_type(space.get()) != H5S_NULL,
         ErrorKind::data, "has no shape");
  std::vector<hsize_t> dims(static_cast<std::size_t>(rank));
  expect(H5Sget_simple_extent_dims(space.get(), dims.data(), nullptr) == rank, ErrorKind::data,
         "has no shape");
  return {dims.begin(), dims.end()};
}

/// Position of the one dimension that may be larger than 1; -1 if this is no column.
int row_dimension(const std::vector<std::int64_t>& shape) {
  int found = shape.empty() ? -1 : 0;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 1) continue;
    if (found > 0 || (found == 0 && d > 0 && shape[0] != 1)) return -1;
    found = static_cast<int>(d);
  }
  return found;
}

bool is_matrix(const std::vector<std::int64_t>& shape) {
  return shape.size() == 2 && shape[0] > 1 && shape[1] > 1;
}

int dimension_of_rows(const std::vector<std::int64_t>& shape) {
  return is_matrix(shape) ? 0 : row_dimension(shape);
}

Hdf5Element element_of(hid_t type) {
  Hdf5Element element;
  const H5T_class_t kind = H5Tget_class(type);
  element.bytes = static_cast<std::uint32_t>(H5Tget_size(type));
  element.big_endian = H5Tget_order(type) == H5T_ORDER_BE;
  if (kind == H5T_INTEGER || kind == H5T_ENUM) {
    const Hdf5Type base(kind == H5T_ENUM ? H5Tget_super(type) : H5Tcopy(type), "read the type");
    element.is_signed = H5Tget_sign(base.get()) != H5T_SGN_NONE;
  } else if (kind == H5T_FLOAT) {
    element.kind = Hdf5Element::Kind::real;
  } else {
    expect(kind == H5T_STRING, ErrorKind::data, "is neither numbers nor text");
    element.kind =
        H5Tis_variable_str(type) > 0 ? Hdf5Element::Kind::variable_text : Hdf5Element::Kind::text;
  }
  expect(element.bytes > 0 && element.bytes <= 65536, ErrorKind::data, "has values of {} bytes",
         element.bytes);
  return element;
}

/// True if the bytes in the file are what they seem: whole numbers of 1 to 8 bytes, IEEE reals, fixed text.
bool is_plain(hid_t type, const Hdf5Element& element) {
  switch (element.kind) {
    case Hdf5Element::Kind::text:
      return true;
    case Hdf5Element::Kind::variable_text:
      return false;
    case Hdf5Element::Kind::real:
      for (const hid_t known : {H5T_IEEE_F32LE, H5T_IEEE_F32BE, H5T_IEEE_F64LE, H5T_IEEE_F64BE})
        if (H5Tequal(type, known) > 0) return true;
      return false;
    default:
      return H5Tget_class(type) == H5T_INTEGER &&
             H5Tget_precision(type) == 8 * std::size_t{element.bytes} && H5Tget_offset(type) == 0 &&
             (H5Tget_order(type) == H5T_ORDER_LE || H5Tget_order(type) == H5T_ORDER_BE) &&
             (element.bytes == 1 || element.bytes == 2 || element.bytes == 4 || element.bytes == 8);
  }
}

/// False if the pipeline has a filter that only the library can undo.
/// Errors: a filter that would have to be loaded.
bool read_filters(hid_t creation, std::vector<Filter>& filters) {
  bool own = true;
  const int count = H5Pget_nfilters(creation);
  for (int f = 0; f < count; ++f) {
    unsigned flags = 0, config = 0;
    std::size_t values = 0;
    const H5Z_filter_t id = H5Pget_filter2(creation, static_cast<unsigned>(f), &flags, &values,
                                           nullptr, 0, nullptr, &config);
    if (id == H5Z_FILTER_DEFLATE) {
      filters.push_back(Filter::deflate);
    } else if (id == H5Z_FILTER_SHUFFLE) {
      filters.push_back(Filter::shuffle);
    } else if (id == H5Z_FILTER_FLETCHER32) {
      filters.push_back(Filter::fletcher32);
    } else {
      expect(id > 0 && H5Zfilter_avail(id) > 0, ErrorKind::data,
             "is packed with filter {}, which this HDF5 library has not; repack it (h5repack -f "
             "GZIP=1)",
             id);
      own = false;
    }
  }
  return own;
}

const char* filter_name(H5Z_filter_t id) {
  switch (id) {
    case H5Z_FILTER_DEFLATE:
      return "deflate";
    case H5Z_FILTER_SHUFFLE:
      return "shuffle";
    case H5Z_FILTER_FLETCHER32:
      return "fletcher32";
    case H5Z_FILTER_SZIP:
      return "szip";
    case H5Z_FILTER_NBIT:
      return "nbit";
    case H5Z_FILTER_SCALEOFFSET:
      return "scaleoffset";
    default:
      return "a plugin's filter";
  }
}

std::string storage_name(hid_t creation) {
  switch (H5Pget_layout(creation)) {
    case H5D_COMPACT:
      return "compact";
    case H5D_CONTIGUOUS:
      return H5Pget_external_count(creation) > 0 ? "external files" : "contiguous";
    case H5D_VIRTUAL:
      return "virtual";
    case H5D_CHUNKED:
      break;
    default:
      return "unknown";
  }
  hsize_t dims[H5S_MAX_RANK];
  const int rank = H5Pget_chunk(creation, H5S_MAX_RANK, dims);
  std::string text = "chunks of ";
  for (int d = 0; d < rank; ++d) text += fmt::format("{}{}", d ? "x" : "", dims[d]);
  const int count = H5Pget_nfilters(creation);
  for (int f = 0; f < count; ++f) {
    std::size_t values = 0;
    text += f ? ", " : "; ";
    text += filter_name(H5Pget_filter2(creation, static_cast<unsigned>(f), nullptr, &values,
                                       nullptr, 0, nullptr, nullptr));
  }
  return text;
}

herr_t refuse_external_link(const char*, const char*, const char*, const char*, unsigned*, hid_t,
                            void*) {
  return -1;
}

}  // namespace

Hdf5Element sent_element(const Hdf5Element& stored) {
  Hdf5Element sent = stored;
  sent.big_endian = false;
  if (stored.kind == Hdf5Element::Kind::integer || stored.kind == Hdf5Element::Kind::real)
    sent.bytes = 8;
  return sent;
}

struct Hdf5Probe::State {
  explicit State(const std::string& path)
      : access(H5Pcreate(H5P_DATASET_ACCESS), "make an access list"),
        file(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT),
             "open the file: not HDF5, truncated or damaged") {
    H5Pset_elink_cb(access.get(), refuse_external_link, nullptr);
    hsize_t block = 0;
    const Hdf5List creation(H5Fget_create_plist(file.get()), "read the file's properties");
    has_user_block = H5Pget_userblock(creation.get(), &block) < 0 || block > 0;
  }
  Hdf5Dataset open(const std::string& name) const {
    return {H5Dopen2(file.get(), name.c_str(), access.get()),
            "open the data set; there is none of this name, or it is damaged or a link to another "
            "file"};
  }
  void visit(const Hdf5Group& group, const std::string& prefix, int depth,
             std::vector<Hdf5Summary>& found) const;
  Hdf5Summary summary(const std::string& path) const;
  void find_chunks(const Hdf5Dataset& dataset, const Hdf5List& creation,
                   const std::vector<std::int64_t>& shape, Hdf5Column& column) const;

  Hdf5List access;
  Hdf5File file;
  bool has_user_block = false;
};

Hdf5Probe::Hdf5Probe(const std::string& path) {
  H5PLset_loading_state(0);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  state_ = std::make_unique<State>(path);
}
Hdf5Probe::~Hdf5Probe() = default;

Hdf5Summary Hdf5Probe::State::summary(const std::string& path) const {
  Hdf5Summary summary;
  summary.path = path;
  const Hdf5Dataset dataset = open(path);
  summary.shape = shape_of(dataset);
  const Hdf5List creation(H5Dget_create_plist(dataset.get()), "read the properties");
  summary.storage = storage_name(creation.get());
  summary.stored_bytes = static_cast<std::int64_t>(H5Dget_storage_size(dataset.get()));
  const Hdf5Type type(H5Dget_type(dataset.get()), "read the type");
  try {
    summary.type = element_of(type.get()).name();
    summary.column = row_dimension(summary.shape) >= 0;
  } catch (const Error&) {
    summary.type = "other";
  }
  return summary;
}

void Hdf5Probe::State::visit(const Hdf5Group& group, const std::string& prefix, int depth,
                             std::vector<Hdf5Summary>& found) const {
  H5G_info_t info{};
  if (H5Gget_info(group.get(), &info) < 0) return;
  for (hsize_t i = 0; i < info.nlinks && i < kMaxDatasets && found.size() < kMaxDatasets; ++i) {
    H5L_info_t link{};
    const auto by = H5_INDEX_NAME;
    if (H5Lget_info_by_idx(group.get(), ".", by, H5_ITER_INC, i, &link, H5P_DEFAULT) < 0) continue;
    if (link.type != H5L_TYPE_HARD) continue;
    char name[1024];
    const ssize_t length =
        H5Lget_name_by_idx(group.get(), ".", by, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT);
    if (length <= 0 || length >= static_cast<ssize_t>(sizeof name)) continue;
    const std::string path = prefix + "/" + name;
    H5O_info_t object{};
    if (H5Oget_info_by_name2(group.get(), name, &object, H5O_INFO_BASIC, H5P_DEFAULT) < 0) continue;
    try {
      if (object.type == H5O_TYPE_DATASET)
        found.push_back(summary(path));
      else if (object.type == H5O_TYPE_GROUP && depth < kMaxDepth)
        visit(Hdf5Group(H5Gopen2(group.get(), name, H5P_DEFAULT), "open a group"), path, depth + 1,
              found);
    } catch (const Error&) {  // damaged: left out
    }
  }
}

std::vector<Hdf5Summary> Hdf5Probe::list() const {
  std::vector<Hdf5Summary> found;
  state_->visit(Hdf5Group(H5Gopen2(state_->file.get(), "/", H5P_DEFAULT), "open the root group"),
                "", 0, found);
  return found;
}

void Hdf5Probe::State::find_chunks(const Hdf5Dataset& dataset, const Hdf5List& creation,
                                   const std::vector<std::int64_t>& shape,
                                   Hdf5Column& column) const {
  const auto rows_at = static_cast<std::size_t>(dimension_of_rows(shape));
  hsize_t dims[H5S_MAX_RANK] = {};
  const int rank = H5Pget_chunk(creation.get(), H5S_MAX_RANK, dims);
  expect(rank == static_cast<int>(shape.size()), ErrorKind::data, "has chunks of another rank");
  hsize_t chunk_values = 1;
  for (int d = 0; d < rank; ++d) {
    expect(dims[d] > 0 && dims[d] <= kMaxChunkBytes, ErrorKind::data, "has chunks of {} values",
           dims[d]);
    chunk_values *= dims[d];
    expect(chunk_values * column.element.bytes <= kMaxChunkBytes, ErrorKind::data,
           "has chunks of more than {} bytes", kMaxChunkBytes);
  }
  column.chunk_rows = static_cast<std::int64_t>(dims[rows_at]);
  hsize_t needed = (static_cast<hsize_t>(column.rows) + dims[rows_at] - 1) / dims[rows_at];
  if (column.width > 1) needed *= (static_cast<hsize_t>(column.width) + dims[1] - 1) / dims[1];
  hsize_t stored = 0;
  const Hdf5Space space(H5Dget_space(dataset.get()), "read the shape");
  expect(H5Dget_num_chunks(dataset.get(), space.get(), &stored) >= 0, ErrorKind::data,
         "has a damaged chunk index");
  expect(stored >= needed, ErrorKind::data, "was never written in whole: {} of {} chunks are there",
         stored, needed);
  unsigned options = 0;
  if (H5Pget_chunk_opts(creation.get(), &options) < 0 || options != 0) column.direct = false;
  if (chunk_values != dims[rows_at] * static_cast<hsize_t>(column.width) || needed > kMaxChunks ||
      has_user_block)
    column.direct = false;
  if (!column.direct) return;
  hsize_t at[H5S_MAX_RANK] = {};
  for (hsize_t c = 0; c < needed; ++c) {
    at[rows_at] = c * dims[rows_at];
    unsigned mask = 0;
    haddr_t offset = HADDR_UNDEF;
    hsize_t bytes = 0;
    expect(H5Dget_chunk_info_by_coord(dataset.get(), at, &mask, &offset, &bytes) >= 0,
           ErrorKind::data, "has a damaged chunk index");
    expect(offset != HADDR_UNDEF, ErrorKind::data,
           "was never written in whole: chunk {} is not there", c);
    column.chunks.push_back(
        {static_cast<std::int64_t>(offset), static_cast<std::int64_t>(bytes), mask});
  }
}

Hdf5Column Hdf5Probe::locate(const std::string& name, bool matrices) const {
  try {
    Hdf5Column column;
    column.path = name;
    const Hdf5Dataset dataset = state_->open(name);
    const std::vector<std::int64_t> shape = shape_of(dataset);
    const bool matrix = matrices && is_matrix(shape);
    const int rows_at = matrix ? 0 : row_dimension(shape);
    expect(rows_at >= 0, ErrorKind::data, "is no column: it has {} dimensions", shape.size());
    if (matrix) column.width = shape[1];
    column.rows = shape[static_cast<std::size_t>(rows_at)];
    const Hdf5Type type(H5Dget_type(dataset.get()), "read the type");
    column.element = element_of(type.get());
    const Hdf5List creation(H5Dget_create_plist(dataset.get()), "read the properties");
    const H5D_layout_t layout = H5Pget_layout(creation.get());
    expect(layout != H5D_VIRTUAL && H5Pget_external_count(creation.get()) <= 0, ErrorKind::data,
           "lies in other files, which are not followed; copy it into one file (h5repack)");
    const bool own_filters = read_filters(creation.get(), column.filters);
    column.direct = own_filters && is_plain(type.get(), column.element) && layout != H5D_COMPACT;
    if (layout == H5D_CHUNKED) {
      if (column.rows > 0) state_->find_chunks(dataset, creation, shape, column);
    } else if (layout == H5D_CONTIGUOUS && column.rows > 0) {
      const haddr_t offset = H5Dget_offset(dataset.get());
      expect(offset != HADDR_UNDEF, ErrorKind::data, "was never written");
      column.chunk_rows = column.rows;
      const auto bytes = static_cast<std::int64_t>(H5Dget_storage_size(dataset.get()));
      if (column.direct) column.chunks = {{static_cast<std::int64_t>(offset), bytes, 0}};
    }
    return column;
  } catch (const Error& error) {
    fail(error.kind(), "data set {}: {}", name, error.what());
  }
}

Hdf5Probe::MatrixAttributes Hdf5Probe::matrix_attributes(const std::string& group) const {
  MatrixAttributes found;
  const Hdf5Object object(H5Oopen(state_->file.get(), group.c_str(), state_->access.get()),
                          "open the group " + group);
  const auto open = [&](const char* name) {
    return Hdf5Attribute(H5Aopen(object.get(), name, H5P_DEFAULT), "open an attribute");
  };
  for (const char* name : {"shape", "h5sparse_shape"}) {
    if (H5Aexists(object.get(), name) <= 0 || !found.shape.empty()) continue;
    const Hdf5Attribute attribute = open(name);
    const Hdf5Type type(H5Aget_type(attribute.get()), "read the type");
    const Hdf5Space space(H5Aget_space(attribute.get()), "read the shape");
    if (H5Tget_class(type.get()) != H5T_INTEGER || H5Sget_simple_extent_npoints(space.get()) != 2)
      continue;
    found.shape.resize(2);
    expect(H5Aread(attribute.get(), H5T_NATIVE_INT64, found.shape.data()) >= 0, ErrorKind::data,
           "group {}: its attribute {} cannot be read", group, name);
  }
  for (const char* name : {"encoding-type", "h5sparse_format", "format"}) {
    if (H5Aexists(object.get(), name) <= 0 || !found.format.empty()) continue;
    const Hdf5Attribute attribute = open(name);
    const Hdf5Type type(H5Aget_type(attribute.get()), "read the type");
    const Hdf5Space space(H5Aget_space(attribute.get()), "read the shape");
    const std::size_t bytes = H5Tget_size(type.get());
    if (H5Tget_class(type.get()) != H5T_STRING || bytes > 4096 ||
        H5Sget_simple_extent_npoints(space.get()) != 1)
      continue;
    if (H5Tis_variable_str(type.get()) > 0) {
      char* text = nullptr;
      if (H5Aread(attribute.get(), type.get(), &text) >= 0 && text) found.format = text;
      H5Dvlen_reclaim(type.get(), space.get(), H5P_DEFAULT, &text);
    } else {
      std::string text(bytes, '\0');
      if (H5Aread(attribute.get(), type.get(), text.data()) >= 0) found.format = text.c_str();
    }
  }
  return found;
}

void Hdf5Probe::send_rows(const std::string& name, std::int64_t first, std::int64_t count,
                          const ChildProcess::Send& send) const {
  const Hdf5Dataset dataset = state_->open(name);
  const std::vector<std::int64_t> shape = shape_of(dataset);
  const auto rows_at = static_cast<std::size_t>(dimension_of_rows(shape));
  const hsize_t values = is_matrix(shape) ? static_cast<hsize_t>(shape[1]) : 1;  // of a row
  const Hdf5Type stored(H5Dget_type(dataset.get()), "read the type");
  const Hdf5Element element = sent_element(element_of(stored.get()));
  const bool variable = element.kind == Hdf5Element::Kind::variable_text;
  const bool number =
      element.kind == Hdf5Element::Kind::integer || element.kind == Hdf5Element::Kind::real;
  const hid_t native = element.kind == Hdf5Element::Kind::real ? H5T_NATIVE_DOUBLE
                       : element.is_signed                     ? H5T_NATIVE_INT64
                                                               : H5T_NATIVE_UINT64;
  const Hdf5Type memory(H5Tcopy(number ? native : stored.get()), "make a type");
  const std::size_t width = variable ? sizeof(char*) : element.bytes;
  const Hdf5Space space(H5Dget_space(dataset.get()), "read the shape");
  const auto block = static_cast<hsize_t>(std::max<std::size_t>(1, kBlockBytes / width / values));
  std::string bytes, message;
  for (std::int64_t done = 0; done < count;) {
    const hsize_t rows = std::min<hsize_t>(block, static_cast<hsize_t>(count - done));
    std::vector<hsize_t> start(shape.size(), 0), extent(shape.size(), 1);
    start[rows_at] = static_cast<hsize_t>(first + done);
    extent[rows_at] = rows;
    if (values > 1) extent[1] = values;
    const hsize_t count_here = rows * values;
    H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, extent.data(), nullptr);
    const Hdf5Space here(H5Screate_simple(1, &count_here, nullptr), "make a shape");
    bytes.assign(static_cast<std::size_t>(count_here) * width, '\0');
    expect(H5Dread(dataset.get(), memory.get(), here.get(), space.get(), H5P_DEFAULT,
                   bytes.data()) >= 0,
           ErrorKind::data,
           "data set {}: rows {} to {} cannot be read: damaged, or their type cannot be converted",
           name, first + done, first + done + static_cast<std::int64_t>(rows) - 1);
    if (variable) {
      message.clear();
      for (hsize_t r = 0; r < count_here; ++r) {
        const char* text;
        std::memcpy(&text, bytes.data() + r * sizeof text, sizeof text);
        const auto length = static_cast<std::uint32_t>(text ? std::strlen(text) : 0);
        message.append(reinterpret_cast<const char*>(&length), sizeof length);
        if (text) message.append(text, length);
      }
      H5Dvlen_reclaim(memory.get(), here.get(), H5P_DEFAULT, bytes.data());
      send(message);
    } else {
      send(bytes);
    }
    done += static_cast<std::int64_t>(rows);
  }
}

}  // namespace gradmill
