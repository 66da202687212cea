#include "launch/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "runtime/expect.h"

namespace gradmill {
namespace {

using Json = nlohmann::json;
static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr std::array<std::pair<ElementType, std::string_view>, 5> kDtypes{
    {{ElementType::f32, "F32"},
     {ElementType::f64, "F64"},
     {ElementType::i32, "I32"},
     {ElementType::i64, "I64"},
     {ElementType::byte, "U8"}}};
constexpr std::size_t kPrefixBytes = 8;
constexpr std::string_view kMetadata = "__metadata__";

std::string json_text(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string_view dtype_name(ElementType type) {
  for (const auto& [t, name] : kDtypes) {
    if (t == type) return name;
  }
  return "?";
}

bool parse_dtype(std::string_view name, ElementType& type) {
  for (const auto& [t, n] : kDtypes) {
    if (n == name) return type = t, true;
  }
  return false;
}

std::int64_t TensorInfo::row_elements() const {
  std::int64_t product = 1;
  for (std::size_t d = 1; d < shape.size(); ++d) product *= shape[d];
  return product;
}

// ---- writing

namespace {

std::string header_text(const std::vector<TensorSource>& tensors,
                        const std::map<std::string, std::string>& metadata) {
  std::string text = "{";
  const auto comma = [&] { return text.size() > 1 ? "," : ""; };
  if (!metadata.empty())
    text += fmt::format("{}:{}", json_text(std::string(kMetadata)), Json(metadata).dump());
  std::int64_t at = 0;
  for (const TensorSource& t : tensors) {
    const std::int64_t end = at + t.rows * t.row_bytes;
    text +=
        fmt::format("{}{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", comma(),
                    json_text(t.name), dtype_name(t.type), fmt::join(t.shape, ","), at, end);
    at = end;
  }
  text += "}";
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data start at a multiple of 8 bytes
  return text;
}

void write_produced(OutputFile& file, const TensorSource& t, const std::string& path) {
  const std::int64_t announced = t.rows * t.row_bytes;
  std::int64_t written = 0;
  t.produce([&](const void* bytes, std::size_t size) {
    file.write(bytes, size);
    written += static_cast<std::int64_t>(size);
  });
  require(written == announced, "{}: tensor {:?}: {} bytes were produced, {} announced", path,
          t.name, written, announced);
}

void write_rows(OutputFile& file, const TensorSource& t) {
  const auto* row = static_cast<const char*>(t.data);
  if (t.stride_bytes == t.row_bytes)
    return file.write(row, static_cast<std::size_t>(t.rows * t.row_bytes));
  for (std::int64_t r = 0; r < t.rows; ++r, row += t.stride_bytes) {
    file.write(row, static_cast<std::size_t>(t.row_bytes));
  }
}

}  // namespace

FileRecord write_safetensors(const std::string& path, std::vector<TensorSource> tensors,
                             const std::map<std::string, std::string>& metadata,
                             Existing existing) {
  std::stable_sort(tensors.begin(), tensors.end(),
                   [](const TensorSource& a, const TensorSource& b) {
                     return element_size(a.type) > element_size(b.type);
                   });
  std::set<std::string_view> names{kMetadata};
  for (const TensorSource& t : tensors) {
    require(names.insert(t.name).second, "{}: tensor {:?} is there twice, or its name is reserved",
            path, t.name);
    require(!t.name.empty() && t.name.size() <= SafetensorsLimits::kNameBytes,
            "{}: tensor name of {} bytes", path, t.name.size());
  }
  const std::string header = header_text(tensors, metadata);
  require(static_cast<std::int64_t>(header.size()) <= SafetensorsLimits::kHeaderBytes,
          "{}: header of {} bytes", path, header.size());

  OutputFile file(path, existing);
  const std::uint64_t length = header.size();
  file.write(&length, sizeof length);
  file.write(header);
  for (const TensorSource& t : tensors) {
    if (t.produce)
      write_produced(file, t, path);
    else
      write_rows(file, t);
  }
  return file.finish();
}

// ---- reading

namespace {

/// Takes the parser's events one by one and accepts only what the format has, so that a hostile
/// header cannot make a document grow or nest in memory.
class HeaderEvents {
 public:
  HeaderEvents(const std::string& path, std::int64_t data_begin, std::int64_t data_bytes)
      : path_(path), data_begin_(data_begin), data_bytes_(data_bytes) {}

  std::vector<TensorInfo> tensors;
  std::map<std::string, std::string> metadata;

  bool start_object(std::size_t) {
    if (place_ == Place::start) return enter(Place::top);
    if (place_ != Place::top) refuse("an object is not expected here");
    if (name_ == kMetadata) return enter(Place::metadata);
    open_ = TensorInfo{name_, {}, {}, -1, -1};
    has_type_ = has_shape_ = false;
    return enter(Place::tensor);
  }
  bool end_object() {
    if (place_ == Place::tensor) close_tensor();
    return enter(place_ == Place::top ? Place::end : Place::top);
  }
  bool key(std::string& text) {
    if (place_ == Place::top) {
      name_ = text;
      field_.clear();
      if (name_.empty() || name_.size() > SafetensorsLimits::kNameBytes)
        refuse("tensor name of 1 to 512 bytes expected");
      if (!names_.insert(name_).second) refuse("the name is there twice");
      if (names_.size() > SafetensorsLimits::kTensors) refuse("more than 65536 tensors");
    } else {
      field_ = text;
      if (place_ == Place::tensor && field_ != "dtype" && field_ != "shape" &&
          field_ != "data_offsets") {
        refuse("unknown field");
      }
    }
    return true;
  }
  bool string(std::string& text) {
    if (place_ == Place::metadata) {
      if (!metadata.emplace(field_, text).second) refuse("the name is there twice");
      return true;
    }
    if (place_ != Place::tensor || field_ != "dtype" || has_type_)
      refuse("a string is not expected here");
    if (!parse_dtype(text, open_.type))
      refuse("type " + json_text(text) + " is not one of F32, F64, I32, I64, U8");
    return has_type_ = true;
  }
  bool start_array(std::size_t) {
    if (place_ != Place::tensor || field_ == "dtype") refuse("a list is not expected here");
    if (field_ == "shape" ? has_shape_ : open_.begin >= 0) refuse("the field is there twice");
    numbers_.clear();
    return enter(Place::list);
  }
  bool end_array() {
    if (field_ == "shape") {
      open_.shape = numbers_;
      has_shape_ = true;
    } else {
      if (numbers_.size() != 2) refuse("two numbers expected");
      if (numbers_[0] > numbers_[1] || numbers_[1] > data_bytes_) {
        refuse(fmt::format("[{}, {}] is not a range within the file's {} data bytes", numbers_[0],
                           numbers_[1], data_bytes_));
      }
      open_.begin = data_begin_ + numbers_[0];
      open_.end = data_begin_ + numbers_[1];
    }
    return enter(Place::tensor);
  }
  bool number_unsigned(std::uint64_t value) {
    if (place_ != Place::list) refuse("a number is not expected here");
    if (numbers_.size() >= SafetensorsLimits::kDimensions) refuse("more than 8 numbers");
    if (value > static_cast<std::uint64_t>(INT64_MAX)) refuse("number too large");
    numbers_.push_back(static_cast<std::int64_t>(value));
    return true;
  }
  bool number_integer(std::int64_t) { refuse("a negative number is not allowed"); }
  bool number_float(double, const std::string&) { refuse("a whole number below 2^63 expected"); }
  bool boolean(bool) { refuse("true and false are not expected here"); }
  bool null() { refuse("null is not expected here"); }
  bool binary(Json::binary_t&) { refuse("binary data are not expected here"); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) {
    fail(ErrorKind::data, "{}: the header is not JSON at byte {}", path_,
         kPrefixBytes + position - (position > 0));
  }

 private:
  enum class Place { start, top, metadata, tensor, list, end };

  bool enter(Place place) {
    place_ = place;
    return true;
  }
  [[noreturn]] void refuse(const std::string& why) const {
    fail(ErrorKind::data, "{}: header{}{}: {}", path_, name_.empty() ? "" : ": " + json_text(name_),
         field_.empty() ? "" : ": " + json_text(field_), why);
  }
  void close_tensor() {
    field_.clear();
    if (!has_type_ || !has_shape_ || open_.begin < 0)
      refuse("dtype, shape and data_offsets are all needed");
    std::int64_t bytes = element_size(open_.type);
    std::int64_t at_most =
        bytes;  // so that no part of the product overflows where another extent is 0
    for (const std::int64_t extent : open_.shape) {
      if (__builtin_mul_overflow(at_most, std::max<std::int64_t>(extent, 1), &at_most)) {
        refuse("its shape has more than 2^63 bytes");
      }
      bytes *= extent;
    }
    if (bytes != open_.end - open_.begin) {
      refuse(fmt::format("its shape needs {} bytes, data_offsets give {}", bytes,
                         open_.end - open_.begin));
    }
    tensors.push_back(std::move(open_));
  }

  const std::string& path_;
  std::int64_t data_begin_, data_bytes_;
  Place place_ = Place::start;
  std::string name_, field_;
  std::set<std::string> names_;
  std::vector<std::int64_t> numbers_;
  TensorInfo open_;
  bool has_type_ = false, has_shape_ = false;
};

void check_ranges(const std::string& path, std::vector<TensorInfo>& tensors, std::int64_t begin,
                  std::int64_t end) {
  std::sort(tensors.begin(), tensors.end(), [](const TensorInfo& a, const TensorInfo& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  for (const TensorInfo& t : tensors) {
    expect(t.begin == begin, ErrorKind::data,
           "{}: tensor {}: its data start at byte {} but {} at byte {}", path, json_text(t.name),
           t.begin, t.begin < begin ? "those before end" : "unused bytes begin", begin);
    begin = t.end;
  }
  expect(begin == end, ErrorKind::data, "{}: has {} bytes but its tensors end at byte {}", path,
         end, begin);
}

}  // namespace

SafetensorsHeader SafetensorsHeader::read(const InputFile& file) {
  const std::string& path = file.path();
  expect(file.size() >= static_cast<std::int64_t>(kPrefixBytes), ErrorKind::data,
         "{}: not a safetensors file: {} bytes, at least 8 expected", path, file.size());
  std::uint64_t length = 0;
  file.read_at(0, &length, sizeof length);
  expect(length <= static_cast<std::uint64_t>(SafetensorsLimits::kHeaderBytes), ErrorKind::data,
         "{}: not a safetensors file: header length {} at byte 0, at most {} is read", path, length,
         SafetensorsLimits::kHeaderBytes);
  const std::int64_t data_begin = static_cast<std::int64_t>(kPrefixBytes + length);
  expect(data_begin <= file.size(), ErrorKind::data,
         "{}: cut off: header ends at byte {}, the file at byte {}", path, data_begin, file.size());

  std::string text(length, '\0');
  file.read_at(kPrefixBytes, text.data(), text.size());
  expect(text.starts_with('{'), ErrorKind::data,
         "{}: the header does not start with '{{' at byte 8", path);
  HeaderEvents events(path, data_begin, file.size() - data_begin);
  Json::sax_parse(text, &events);  // throws on anything but a valid header

  SafetensorsHeader header;
  header.tensors_ = std::move(events.tensors);
  header.metadata_ = std::move(events.metadata);
  check_ranges(path, header.tensors_, data_begin, file.size());
  return header;
}

const TensorInfo* SafetensorsHeader::find(std::string_view name) const {
  const auto at = std::find_if(tensors_.begin(), tensors_.end(),
                               [&](const TensorInfo& t) { return t.name == name; });
  return at == tensors_.end() ? nullptr : &*at;
}

void read_tensor_rows(const InputFile& file, const TensorInfo& tensor, std::int64_t first,
                      std::int64_t count, void* to, std::int64_t stride_bytes) {
  require(first >= 0 && count >= 0 && count <= tensor.rows() && first <= tensor.rows() - count,
          "{}: tensor {:?} has {} rows; {} from row {} asked for", file.path(), tensor.name,
          tensor.rows(), count, first);
  const std::int64_t row_bytes = tensor.row_elements() * element_size(tensor.type);
  std::int64_t at = tensor.begin + first * row_bytes;
  auto* out = static_cast<char*>(to);
  if (stride_bytes == row_bytes)
    return file.read_at(at, out, static_cast<std::size_t>(count * row_bytes));
  if (row_bytes == 0) return;
  const std::int64_t at_once = std::clamp<std::int64_t>((std::int64_t{1} << 20) / row_bytes, 1,
                                                        std::max<std::int64_t>(count, 1));
  std::vector<char> rows(static_cast<std::size_t>(at_once * row_bytes));
  for (std::int64_t r = 0; r < count; r += at_once) {
    const std::int64_t n = std::min(at_once, count - r);
    file.read_at(at, rows.data(), static_cast<std::size_t>(n * row_bytes));
    for (std::int64_t i = 0; i < n; ++i) {
      std::memcpy(out + (r + i) * stride_bytes, rows.data() + i * row_bytes,
                  static_cast<std::size_t>(row_bytes));
    }
    at += n * row_bytes;
  }
}

}  // namespace gradmill
