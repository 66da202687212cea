#include "data/hdf5_layout.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "data/files.h"
#include "data/hdf5_probe.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

constexpr std::int64_t kMaxRowBytes = std::int64_t{1} << 28;

/// Plain values and texts, one after the other, for the way from the child to the parent.
class Packer {
 public:
  template <class T>
  void put(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  template <class T>
  void put_all(const std::vector<T>& values) {
    put(static_cast<std::uint64_t>(values.size()));
    bytes_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  }
  void put_text(const std::string& text) {
    put(static_cast<std::uint64_t>(text.size()));
    bytes_ += text;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

/// The child may have been damaged by the file that it read: nothing is believed.
class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) : bytes_(bytes) {}
  template <class T>
  T get() {
    T value;
    std::memcpy(&value, take(1, sizeof value), sizeof value);
    return value;
  }
  template <class T>
  std::vector<T> get_all() {
    const auto count = get<std::uint64_t>();
    const char* from = take(count, sizeof(T));
    std::vector<T> values(static_cast<std::size_t>(count));
    if (count) std::memcpy(values.data(), from, values.size() * sizeof(T));
    return values;
  }
  std::string get_text() {
    const auto size = get<std::uint64_t>();
    const char* from = take(size, 1);
    return {from, static_cast<std::size_t>(size)};
  }

 private:
  const char* take(std::uint64_t count, std::size_t size) {
    expect(count <= bytes_.size() / size, ErrorKind::data, "the file is damaged");
    const char* from = bytes_.data();
    bytes_.remove_prefix(static_cast<std::size_t>(count) * size);
    return from;
  }
  std::string_view bytes_;
};

void pack(const Hdf5Column& column, Packer& to) {
  to.put_text(column.path);
  to.put(column.element);
  to.put(column.rows);
  to.put(column.width);
  to.put(column.direct);
  to.put(column.chunk_rows);
  to.put_all(column.filters);
  to.put_all(column.chunks);
}

Hdf5Column unpack_column(Unpacker& from) {
  Hdf5Column column;
  column.path = from.get_text();
  column.element = from.get<Hdf5Element>();
  column.rows = from.get<std::int64_t>();
  column.width = from.get<std::int64_t>();
  column.direct = from.get<std::uint8_t>() != 0;
  column.chunk_rows = from.get<std::int64_t>();
  column.filters = from.get_all<Hdf5Column::Filter>();
  column.chunks = from.get_all<Hdf5Column::Chunk>();
  return column;
}

void pack(const Hdf5Summary& summary, Packer& to) {
  to.put_text(summary.path);
  to.put_text(summary.type);
  to.put_text(summary.storage);
  to.put_all(summary.shape);
  to.put(summary.stored_bytes);
  to.put(summary.column);
}

Hdf5Summary unpack_summary(Unpacker& from) {
  Hdf5Summary summary;
  summary.path = from.get_text();
  summary.type = from.get_text();
  summary.storage = from.get_text();
  summary.shape = from.get_all<std::int64_t>();
  summary.stored_bytes = from.get<std::int64_t>();
  summary.column = from.get<std::uint8_t>() != 0;
  return summary;
}

/// One message from a child that probes the file.
std::string ask(const std::string& path, const ChildLimits& limits,
                const std::function<void(const Hdf5Probe&, Packer&)>& question) {
  (void)InputFile::open_following_links(path);  // a plain message if it is not there
  ChildProcess child(
      path,
      [&](const ChildProcess::Send& send) {
        Packer answer;
        question(Hdf5Probe(path), answer);
        send(answer.bytes());
      },
      limits);
  std::string message;
  expect(child.next(message), ErrorKind::data, "{}: the file is damaged", path);
  return message;
}

void check_column(const std::string& path, const Hdf5Column& column, std::int64_t file_bytes) {
  const auto sound = [&](bool ok) {
    expect(ok, ErrorKind::data, "{}: data set {} lies outside of the file: truncated or damaged",
           path, column.path);
  };
  const Hdf5Element& element = column.element;
  sound(column.rows >= 0 && element.bytes > 0 && element.bytes <= 65536 &&
        element.kind <= Hdf5Element::Kind::variable_text);
  sound(column.width > 0 && column.width <= kMaxRowBytes / element.bytes);
  sound(column.rows <= (std::int64_t{1} << 62) / column.row_bytes());
  if (!column.direct || column.rows == 0) return;
  sound(column.chunk_rows > 0 &&
        column.chunk_rows <= std::max(column.rows, std::int64_t{1} << 28) &&
        column.filters.size() <= 32);
  for (const Hdf5Column::Filter filter : column.filters)
    sound(filter <= Hdf5Column::Filter::fletcher32);
  sound(static_cast<std::int64_t>(column.chunks.size()) ==
        (column.rows - 1) / column.chunk_rows + 1);
  const std::int64_t raw = column.chunk_rows * column.row_bytes();
  for (const Hdf5Column::Chunk& chunk : column.chunks) {
    sound(chunk.offset >= 0 && chunk.bytes >= 0 && chunk.bytes <= file_bytes &&
          chunk.offset <= file_bytes - chunk.bytes);
    std::int64_t least = raw, most = raw;
    for (std::size_t f = 0; f < column.filters.size(); ++f) {
      if (chunk.skipped_filters >> f & 1) continue;
      if (column.filters[f] == Hdf5Column::Filter::fletcher32) least += 4, most += 4;
      // Deflate cannot shrink by more than 1032:1 (zlib, "Technical details").
      if (column.filters[f] == Hdf5Column::Filter::deflate)
        least = least / 1033, most += most / 16 + 1024;
    }
    sound(chunk.bytes >= least && chunk.bytes <= most);
  }
}

std::string rooted(const std::string& name) {
  if (name.empty() || name == "-" || name.front() == '/') return name;
  return fmt::format("/{}", name);
}

/// With the names of all data sets rooted, and those that are columns of them.
Hdf5RatingColumns find_columns(const Hdf5Probe& probe, const std::string& path,
                               RatingReadOptions options) {
  RatingColumns& asked = options.columns;
  std::vector<std::string> names;
  bool all_asked = true;
  for (std::string* name :
       {&asked.user, &asked.item, &asked.value, &asked.weight, &asked.timestamp}) {
    *name = rooted(*name);
    if (name == &asked.value && !options.has_values) continue;
    all_asked = all_asked && !name->empty();
    if (!name->empty() && *name != "-") names.push_back(*name);
  }
  if (!all_asked)
    for (const Hdf5Summary& summary : probe.list())
      if (summary.column && std::find(names.begin(), names.end(), summary.path) == names.end())
        names.push_back(summary.path);
  const auto of_role = find_rating_columns(path, names, options);
  Hdf5RatingColumns found;
  found.of_role.fill(-1);
  for (std::size_t role = 0; role < of_role.size(); ++role) {
    if (of_role[role] < 0) continue;
    found.of_role[role] = static_cast<int>(found.columns.size());
    found.columns.push_back(probe.locate(names[static_cast<std::size_t>(of_role[role])]));
  }
  return found;
}

std::string parent_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

using Names = std::initializer_list<const char*>;
constexpr Names kOffsets{"indptr", "offsets"}, kIndices{"indices"}, kValues{"data", "values"},
    kLabels{"label", "labels", "y", "target", "targets"},
    kWeights{"weight", "weights", "sample_weight", "sample_weights"};

/// The data set of one of these names in the group, or "".
std::string find_in(const std::vector<Hdf5Summary>& all, const std::string& group, Names names) {
  for (const char* name : names)
    for (const Hdf5Summary& summary : all)
      if (summary.column && summary.path == group + "/" + name) return summary.path;
  return "";
}

/// In the group or one that it lies in.
std::string find_above(const std::vector<Hdf5Summary>& all, std::string group, Names names) {
  for (;; group = parent_of(group)) {
    if (std::string found = find_in(all, group, names); !found.empty() || group.empty())
      return found;
  }
}

/// Groups that hold a sparse matrix.
std::vector<std::string> matrix_groups(const std::vector<Hdf5Summary>& all) {
  std::vector<std::string> groups;
  for (const Hdf5Summary& summary : all) {
    const std::string group = parent_of(summary.path);
    if (find_in(all, group, kOffsets) == summary.path && !find_in(all, group, kIndices).empty() &&
        !find_in(all, group, kValues).empty())
      groups.push_back(group);
  }
  return groups;
}

/// Fills in the names that were not given.
SampleColumns find_sample_names(const Hdf5Probe& probe, const std::string& path,
                                SampleColumns names) {
  for (std::string* name :
       {&names.label, &names.weight, &names.offsets, &names.indices, &names.values})
    *name = rooted(*name);
  const auto all = probe.list();
  std::string group;
  if (!names.offsets.empty()) {
    group = parent_of(names.offsets);
  } else {
    std::vector<std::string> groups = matrix_groups(all);
    for (const char* usual : {"/samples", "/X", ""})
      if (groups.size() > 1 && std::count(groups.begin(), groups.end(), usual)) groups = {usual};
    expect(!groups.empty(), ErrorKind::data,
           "{}: no group holds a sparse matrix; expected data sets indptr, indices and data (or "
           "offsets, indices and values)",
           path);
    expect(groups.size() == 1, ErrorKind::data,
           "{}: {} groups hold a sparse matrix, {} and {} among them; name the offsets of one",
           path, groups.size(), groups[0], groups.back());
    group = groups[0];
    names.offsets = find_in(all, group, kOffsets);
  }
  const auto otherwise = [&](std::string& name, const std::string& found, const char* what) {
    if (name.empty()) name = found;
    expect(!name.empty(), ErrorKind::data,
           "{}: no {} with the sparse matrix in group {}/; give the name of the data set", path,
           what, group);
  };
  otherwise(names.indices, find_in(all, group, kIndices), "indices");
  otherwise(names.values, find_in(all, group, kValues), "values");
  otherwise(names.label, find_above(all, group, kLabels), "labels");
  if (names.weight.empty()) names.weight = find_above(all, group, kWeights);
  if (names.weight == "-") names.weight.clear();
  return names;
}

}  // namespace

std::string Hdf5Element::name() const {
  switch (kind) {
    case Kind::text:
      return fmt::format("text of {} bytes", bytes);
    case Kind::variable_text:
      return "text";
    default:
      break;
  }
  const std::string base = kind == Kind::real ? "float" : is_signed ? "int" : "uint";
  return fmt::format("{}{}{}", base, 8 * bytes, big_endian && bytes > 1 ? " (big-endian)" : "");
}

std::vector<Hdf5Summary> list_hdf5(const std::string& path, const ChildLimits& limits) {
  const std::string message = ask(path, limits, [](const Hdf5Probe& probe, Packer& to) {
    const auto all = probe.list();
    to.put(static_cast<std::uint64_t>(all.size()));
    for (const Hdf5Summary& summary : all) pack(summary, to);
  });
  Unpacker from(message);
  std::vector<Hdf5Summary> all;
  for (auto count = from.get<std::uint64_t>(); count > 0; --count)
    all.push_back(unpack_summary(from));
  return all;
}

std::vector<Hdf5Column> locate_hdf5_columns(const std::string& path,
                                            const std::vector<std::string>& names,
                                            const ChildLimits& limits, bool matrices) {
  const std::string message = ask(path, limits, [&](const Hdf5Probe& probe, Packer& to) {
    for (const std::string& name : names) pack(probe.locate(rooted(name), matrices), to);
  });
  const std::int64_t file_bytes = static_cast<std::int64_t>(std::filesystem::file_size(path));
  Unpacker from(message);
  std::vector<Hdf5Column> columns;
  for (std::size_t c = 0; c < names.size(); ++c) {
    columns.push_back(unpack_column(from));
    check_column(path, columns.back(), file_bytes);
  }
  return columns;
}

Hdf5RatingColumns locate_hdf5_ratings(const std::string& path, const RatingReadOptions& options,
                                      const ChildLimits& limits) {
  const std::string message = ask(path, limits, [&](const Hdf5Probe& probe, Packer& to) {
    const Hdf5RatingColumns found = find_columns(probe, path, options);
    to.put(found.of_role);
    for (const Hdf5Column& column : found.columns) pack(column, to);
  });
  const auto file_bytes = static_cast<std::int64_t>(std::filesystem::file_size(path));
  Unpacker from(message);
  Hdf5RatingColumns found;
  found.of_role = from.get<std::array<int, kRatingRoles>>();
  for (std::size_t role = 0; role < found.of_role.size(); ++role) {
    const int column = found.of_role[role];
    expect(column == -1 || column == static_cast<int>(found.columns.size()), ErrorKind::data,
           "{}: the file is damaged", path);
    if (column < 0) continue;
    found.columns.push_back(unpack_column(from));
    const Hdf5Column& last = found.columns.back();
    check_column(path, last, file_bytes);
    expect(last.rows == found.columns[0].rows, ErrorKind::data,
           "{}: data set {} has {} rows, but {} has {}", path, last.path, last.rows,
           found.columns[0].path, found.columns[0].rows);
  }
  expect(found.of_role[0] >= 0 && found.of_role[1] >= 0, ErrorKind::data, "{}: the file is damaged",
         path);
  found.rows = found.columns[0].rows;
  return found;
}

Hdf5SampleColumns locate_hdf5_samples(const std::string& path, const SampleColumns& asked,
                                      const ChildLimits& limits) {
  const std::string message = ask(path, limits, [&](const Hdf5Probe& probe, Packer& to) {
    const SampleColumns names = find_sample_names(probe, path, asked);
    const std::string group = parent_of(names.offsets);
    const auto attributes = probe.matrix_attributes(group.empty() ? "/" : group);
    expect(!attributes.format.starts_with("csc"), ErrorKind::data,
           "{}: the sparse matrix in {}/ is stored by columns ({}); store it by rows (tocsr())",
           path, group, attributes.format);
    to.put_all(attributes.shape);
    to.put(static_cast<std::uint8_t>(!names.weight.empty()));
    for (const std::string* name : {&names.label, &names.offsets, &names.indices, &names.values})
      pack(probe.locate(*name), to);
    if (!names.weight.empty()) pack(probe.locate(names.weight), to);
  });
  const auto file_bytes = static_cast<std::int64_t>(std::filesystem::file_size(path));
  Unpacker from(message);
  Hdf5SampleColumns found;
  const auto shape = from.get_all<std::int64_t>();
  const bool weights = from.get<std::uint8_t>() != 0;
  const auto take = [&] {
    Hdf5Column column = unpack_column(from);
    check_column(path, column, file_bytes);
    const auto kind = column.element.kind;
    expect(kind == Hdf5Element::Kind::integer || kind == Hdf5Element::Kind::real, ErrorKind::data,
           "{}: data set {} is {}, expected numbers", path, column.path, column.element.name());
    return column;
  };
  found.labels = take();
  found.offsets = take();
  found.indices = take();
  found.values = take();
  if (weights) found.weights.push_back(take());
  found.rows = found.labels.rows;
  found.entries = found.indices.rows;
  const auto same = [&](const Hdf5Column& column, std::int64_t rows, const Hdf5Column& other) {
    expect(column.rows == rows, ErrorKind::data,
           "{}: data set {} has {} rows, expected {} as {} has {}", path, column.path, column.rows,
           rows, other.path, other.rows);
  };
  same(found.offsets, found.rows + 1, found.labels);
  same(found.values, found.entries, found.indices);
  for (const Hdf5Column& column : found.weights) same(column, found.rows, found.labels);
  if (shape.size() == 2) {
    expect(shape[0] == found.rows && shape[1] >= 0 && shape[1] <= kMaxFeatures, ErrorKind::data,
           "{}: the attribute shape is {} x {}; expected {} rows and at most {} features", path,
           shape[0], shape[1], found.rows, kMaxFeatures);
    found.num_features = shape[1];
  }
  return found;
}

bool has_hdf5_samples(const std::string& path) { return !matrix_groups(list_hdf5(path)).empty(); }

}  // namespace gradmill
