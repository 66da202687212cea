#include "launch/npz.h"

#include <zlib.h>

#include <algorithm>
#include <vector>

#include "data/utf8.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

// Zip records: PKWARE's APPNOTE.TXT, sections 4.3 and 4.5.3.
constexpr std::uint32_t kLocalHeader = 0x04034b50, kCentralHeader = 0x02014b50, kEnd = 0x06054b50;
constexpr std::uint32_t kZip64End = 0x06064b50, kZip64Locator = 0x07064b50;
constexpr std::uint16_t kVersion = 45;  // knows zip64
constexpr std::uint16_t kFirstDay =
    (1 << 5) | 1;  // 1980-01-01, so that bytes do not depend on the time
constexpr std::uint64_t kMax32 = 0xffffffff;

/// Little-endian fields, one after another.
class Record {
 public:
  Record& u16(std::uint64_t v) { return put(v, 2); }
  Record& u32(std::uint64_t v) { return put(v, 4); }
  Record& u64(std::uint64_t v) { return put(v, 8); }
  Record& text(std::string_view t) {
    bytes_ += t;
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  Record& put(std::uint64_t v, int size) {
    for (int i = 0; i < size; ++i) bytes_ += static_cast<char>(v >> (8 * i));
    return *this;
  }
  std::string bytes_;
};

struct Entry {
  std::string name;
  std::uint64_t offset, size;
  std::uint32_t crc;
};

/// Both headers of an entry from "version needed" to the name; sizes that need it are in `extra`.
Record& put_entry(Record& record, const Entry& e, std::size_t extra_bytes) {
  const std::uint64_t size = std::min(e.size, kMax32);
  return record.u16(kVersion)
      .u16(0)
      .u16(0)
      .u16(0)
      .u16(kFirstDay)
      .u32(e.crc)
      .u32(size)
      .u32(size)
      .u16(e.name.size())
      .u16(extra_bytes);
}

std::string zip64_extra(std::initializer_list<std::uint64_t> large) {
  if (large.size() == 0) return {};
  Record extra;
  extra.u16(1).u16(8 * large.size());
  for (const std::uint64_t value : large) extra.u64(value);
  return extra.bytes();
}

std::string local_header(const Entry& e) {
  const std::string extra = e.size >= kMax32 ? zip64_extra({e.size, e.size}) : std::string();
  Record record;
  put_entry(record.u32(kLocalHeader), e, extra.size()).text(e.name).text(extra);
  return record.bytes();
}

std::string central_header(const Entry& e) {
  const bool large = e.size >= kMax32, far = e.offset >= kMax32;
  const std::string extra = large && far ? zip64_extra({e.size, e.size, e.offset})
                            : large      ? zip64_extra({e.size, e.size})
                            : far        ? zip64_extra({e.offset})
                                         : std::string();
  Record record;
  put_entry(record.u32(kCentralHeader).u16(kVersion), e, extra.size());
  record.u16(0).u16(0).u16(0).u32(0).u32(std::min(e.offset, kMax32)).text(e.name).text(extra);
  return record.bytes();
}

std::string end_records(std::uint64_t entries, std::uint64_t offset, std::uint64_t size) {
  Record record;
  if (offset >= kMax32 || size >= kMax32 || entries >= 0xffff) {
    const std::uint64_t at = offset + size;
    record.u32(kZip64End)
        .u64(44)
        .u16(kVersion)
        .u16(kVersion)
        .u32(0)
        .u32(0)
        .u64(entries)
        .u64(entries)
        .u64(size)
        .u64(offset);
    record.u32(kZip64Locator).u32(0).u64(at).u32(1);
  }
  const std::uint64_t few = std::min<std::uint64_t>(entries, 0xffff);
  record.u32(kEnd)
      .u16(0)
      .u16(0)
      .u16(few)
      .u16(few)
      .u32(std::min(size, kMax32))
      .u32(std::min(offset, kMax32))
      .u16(0);
  return record.bytes();
}

/// Version 1.0 of the .npy format (numpy/lib/format.py): the data start at a multiple of 64 bytes.
std::string npy_header(std::string_view descr, const std::string& shape) {
  std::string dictionary =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, shape);
  constexpr std::size_t kMagicBytes = 10;
  dictionary.append(63 - (kMagicBytes + dictionary.size()) % 64, ' ');
  dictionary += '\n';
  return Record()
      .text("\x93NUMPY")
      .text(std::string_view("\x01\x00", 2))
      .u16(dictionary.size())
      .text(dictionary)
      .bytes();
}

std::string_view type_text(ElementType type) {
  switch (type) {
    case ElementType::f32:
      return "<f4";
    case ElementType::f64:
      return "<f8";
    case ElementType::i32:
      return "<i4";
    case ElementType::i64:
      return "<i8";
    case ElementType::byte:
      return "|u1";
  }
  return "?";
}

/// The code points of valid UTF-8 as UTF-32, little-endian.
void append_utf32(std::string_view text, std::string& out) {
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[i + k]); };
    const std::size_t bytes = byte(0) < 0x80 ? 1 : byte(0) < 0xe0 ? 2 : byte(0) < 0xf0 ? 3 : 4;
    std::uint32_t code = bytes == 1 ? byte(0) : byte(0) & (0x7f >> bytes);
    for (std::size_t k = 1; k < bytes; ++k) code = code << 6 | (byte(k) & 0x3f);
    for (int b = 0; b < 4; ++b) out += static_cast<char>(code >> (8 * b));
    i += bytes;
  }
}

}  // namespace

struct NpzWriter::State {
  OutputFile file;
  std::vector<Entry> entries;
};

NpzWriter::NpzWriter(const std::string& path)
    : state_(new State{OutputFile(path, Existing::replace), {}}) {}
NpzWriter::~NpzWriter() = default;

void NpzWriter::add_array(const std::string& name, std::string_view descr, const std::string& shape,
                          const std::function<void(const Sink&)>& produce) {
  const std::string header = npy_header(descr, shape);
  Entry entry{name + ".npy", static_cast<std::uint64_t>(state_->file.size()), 0, 0};
  unsigned long crc = ::crc32(0, nullptr, 0);
  const Sink measure = [&](std::string_view bytes) {
    crc = ::crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
    entry.size += bytes.size();
  };
  measure(header);
  produce(measure);
  entry.crc = static_cast<std::uint32_t>(crc);
  state_->file.write(local_header(entry));
  state_->file.write(header);
  produce([&](std::string_view bytes) { state_->file.write(bytes); });
  state_->entries.push_back(std::move(entry));
}

void NpzWriter::add(const TensorSource& source) {
  const std::string shape =
      fmt::format("{}{}", fmt::join(source.shape, ", "), source.shape.size() == 1 ? "," : "");
  add_array(source.name, type_text(source.type), shape, [&](const Sink& sink) {
    const auto* row = static_cast<const char*>(source.data);
    const bool contiguous = source.stride_bytes == source.row_bytes;
    if (contiguous) return sink({row, static_cast<std::size_t>(source.rows * source.row_bytes)});
    for (std::int64_t r = 0; r < source.rows; ++r, row += source.stride_bytes) {
      sink({row, static_cast<std::size_t>(source.row_bytes)});
    }
  });
}

void NpzWriter::add(const std::string& name, const IdColumn& ids) {
  if (ids.kind == IdColumn::Kind::i64) {
    return add(tensor_source(name, VectorView<const std::int64_t>{ids.numbers.data(), ids.size()}));
  }
  bool unicode = true;
  for (std::int64_t row = 0; unicode && row < ids.size(); ++row) unicode = is_utf8(ids.text(row));
  const auto encoded = [&](std::int64_t row, std::string& out) {
    out.clear();
    if (unicode)
      append_utf32(ids.text(row), out);
    else
      out = ids.text(row);
  };
  std::string id;
  std::size_t width = unicode ? 4 : 1;
  for (std::int64_t row = 0; row < ids.size(); ++row) {
    encoded(row, id);
    width = std::max(width, id.size());
  }
  const std::string descr = unicode ? fmt::format("<U{}", width / 4) : fmt::format("|S{}", width);
  add_array(name, descr, fmt::format("{},", ids.size()), [&](const Sink& sink) {
    for (std::int64_t row = 0; row < ids.size(); ++row) {
      encoded(row, id);
      id.resize(width, '\0');
      sink(id);
    }
  });
}

void NpzWriter::finish() {
  const auto offset = static_cast<std::uint64_t>(state_->file.size());
  std::uint64_t size = 0;
  for (const Entry& entry : state_->entries) {
    const std::string header = central_header(entry);
    size += header.size();
    state_->file.write(header);
  }
  state_->file.write(end_records(state_->entries.size(), offset, size));
  state_->file.finish();
}

}  // namespace gradmill
