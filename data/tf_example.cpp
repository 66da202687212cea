#include "data/tf_example.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "runtime/expect.h"

namespace gradmill {
namespace {

enum Wire : unsigned {
  kVarint = 0,
  kFixed64 = 1,
  kLength = 2,
  kGroup = 3,
  kEndGroup = 4,
  kFixed32 = 5
};
constexpr int kMaxDepth = 32;
constexpr std::size_t kMaxFeatures = 1 << 16;

/// Reads the fields of one message; `base` is where the record starts, for messages.
class Fields {
 public:
  Fields(std::string_view bytes, const char* base)
      : p_(bytes.data()), end_(bytes.data() + bytes.size()), base_(base) {}

  bool done() const { return p_ == end_; }

  [[noreturn]] void refuse(const char* why) const {
    fail(ErrorKind::data, "byte {}: {}; not a tf.Example", p_ - base_, why);
  }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (p_ == end_) refuse("a number is cut off");
      const auto byte = static_cast<unsigned char>(*p_++);
      if (shift == 63 && byte > 1) refuse("a number has more than 64 bits");
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    refuse("a number has more than 10 bytes");
  }

  /// Next field's number; `wire` is its type.
  std::uint64_t tag(unsigned& wire) {
    const std::uint64_t tag = varint();
    wire = static_cast<unsigned>(tag & 7);
    if (tag >> 32 || tag >> 3 == 0) refuse("a field number is out of range");
    return tag >> 3;
  }

  std::string_view bytes() {
    const std::uint64_t length = varint();
    return take(length);
  }

  std::string_view take(std::uint64_t length) {
    if (length > static_cast<std::uint64_t>(end_ - p_))
      refuse("a field is longer than its message");
    const std::string_view view(p_, static_cast<std::size_t>(length));
    p_ += length;
    return view;
  }

  void skip(unsigned wire, std::uint64_t field, int depth = 0) {
    switch (wire) {
      case kVarint:
        varint();
        return;
      case kFixed64:
        take(8);
        return;
      case kLength:
        bytes();
        return;
      case kFixed32:
        take(4);
        return;
      case kGroup:
        skip_group(field, depth + 1);
        return;
      default:
        refuse("a field has a wire type that does not exist here");
    }
  }

 private:
  void skip_group(std::uint64_t group, int depth) {
    if (depth > kMaxDepth) refuse("groups are nested too deeply");
    for (;;) {
      unsigned wire;
      const std::uint64_t field = tag(wire);
      if (wire == kEndGroup) {
        if (field != group) refuse("a group ends that did not begin");
        return;
      }
      skip(wire, field, depth);
    }
  }

  const char *p_, *end_, *base_;
};

/// Calls each(values) for every run of values of a list: one value, or a packed run.
template <class Each>
void for_runs(ExampleFeature::Kind kind, std::string_view list, const char* base, Each&& each) {
  Fields fields(list, base);
  while (!fields.done()) {
    unsigned wire;
    const std::uint64_t field = fields.tag(wire);
    if (field != 1) {
      fields.skip(wire, field);
      continue;
    }
    switch (kind) {
      case ExampleFeature::Kind::int64s:
        if (wire == kLength) {
          const std::string_view packed = fields.bytes();
          Fields run(packed, base);
          while (!run.done()) each(run.varint(), std::string_view());
        } else if (wire == kVarint) {
          each(fields.varint(), std::string_view());
        } else {
          fields.refuse("an integer list has a value of another wire type");
        }
        break;
      case ExampleFeature::Kind::floats:
        if (wire == kLength) {
          const std::string_view packed = fields.bytes();
          if (packed.size() % 4) fields.refuse("a packed float list is not a multiple of 4 bytes");
          for (std::size_t i = 0; i < packed.size(); i += 4) each(0, packed.substr(i, 4));
        } else if (wire == kFixed32) {
          each(0, fields.take(4));
        } else {
          fields.refuse("a float list has a value of another wire type");
        }
        break;
      default:
        if (wire != kLength) fields.refuse("a bytes list has a value of another wire type");
        each(0, fields.bytes());
    }
  }
}

void decode_feature(std::string_view bytes, const char* base, ExampleFeature& feature) {
  Fields fields(bytes, base);
  while (!fields.done()) {
    unsigned wire;
    const std::uint64_t field = fields.tag(wire);
    if (field < 1 || field > 3) {
      fields.skip(wire, field);
      continue;
    }
    if (wire != kLength) fields.refuse("a list has the wrong wire type");
    if (feature.kind != ExampleFeature::Kind::none) fields.refuse("a feature has two lists");
    feature.kind = static_cast<ExampleFeature::Kind>(field);
    feature.list = fields.bytes();
    for_runs(feature.kind, feature.list, base,
             [&](std::uint64_t, std::string_view) { ++feature.count; });
  }
}

ExampleFeature decode_entry(std::string_view bytes, const char* base) {
  ExampleFeature feature;
  std::string_view value;
  Fields fields(bytes, base);
  while (!fields.done()) {
    unsigned wire;
    const std::uint64_t field = fields.tag(wire);
    if (field > 2) {
      fields.skip(wire, field);
      continue;
    }
    if (wire != kLength) fields.refuse("a map entry has the wrong wire type");
    (field == 1 ? feature.name : value) = fields.bytes();
  }
  decode_feature(value, base, feature);
  return feature;
}

/// Keeps the last of the features with one name.
void remove_overwritten(std::vector<ExampleFeature>& features) {
  if (features.size() <= 32) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < features.size(); ++i) {
      std::size_t at = 0;
      while (at < kept && features[at].name != features[i].name) ++at;
      features[at] = features[i];
      kept = std::max(kept, at + 1);
    }
    features.resize(kept);
    return;
  }
  std::stable_sort(features.begin(), features.end(),
                   [](auto& a, auto& b) { return a.name < b.name; });
  std::reverse(features.begin(), features.end());
  features.erase(std::unique(features.begin(), features.end(),
                             [](auto& a, auto& b) { return a.name == b.name; }),
                 features.end());
  std::reverse(features.begin(), features.end());
}

void put_varint(std::uint64_t value, std::string& to) {
  for (; value >= 0x80; value >>= 7) to += static_cast<char>(value | 0x80);
  to += static_cast<char>(value);
}

void put_bytes(char field, std::string_view value, std::string& to) {
  to += static_cast<char>(field << 3 | kLength);
  put_varint(value.size(), to);
  to += value;
}

}  // namespace

void ExampleFeature::append_int64s(std::vector<std::int64_t>& to) const {
  require(kind == Kind::int64s || count == 0, "feature {} is not of int64 kind", name);
  for_runs(Kind::int64s, list, list.data(), [&](std::uint64_t value, std::string_view) {
    to.push_back(static_cast<std::int64_t>(value));
  });
}

void ExampleFeature::append_floats(std::vector<float>& to) const {
  require(kind == Kind::floats || count == 0, "feature {} is not of float kind", name);
  for_runs(Kind::floats, list, list.data(), [&](std::uint64_t, std::string_view bits) {
    float value;
    std::memcpy(&value, bits.data(), 4);
    to.push_back(value);
  });
}

void ExampleFeature::append_bytes(std::vector<std::string_view>& to) const {
  require(kind == Kind::bytes || count == 0, "feature {} is not of bytes kind", name);
  for_runs(Kind::bytes, list, list.data(),
           [&](std::uint64_t, std::string_view value) { to.push_back(value); });
}

std::int64_t ExampleFeature::int64_value() const {
  require(kind == Kind::int64s && count > 0, "feature {} has no int64", name);
  std::int64_t first = 0;
  bool seen = false;
  for_runs(kind, list, list.data(), [&](std::uint64_t value, std::string_view) {
    if (!seen) first = static_cast<std::int64_t>(value);
    seen = true;
  });
  return first;
}

float ExampleFeature::float_value() const {
  require(kind == Kind::floats && count > 0, "feature {} has no float", name);
  float first = 0;
  bool seen = false;
  for_runs(kind, list, list.data(), [&](std::uint64_t, std::string_view bits) {
    if (!seen) std::memcpy(&first, bits.data(), 4);
    seen = true;
  });
  return first;
}

std::string_view ExampleFeature::bytes_value() const {
  require(kind == Kind::bytes && count > 0, "feature {} has no bytes", name);
  std::string_view first;
  bool seen = false;
  for_runs(kind, list, list.data(), [&](std::uint64_t, std::string_view value) {
    if (!seen) first = value;
    seen = true;
  });
  return first;
}

void decode_example(std::string_view record, std::vector<ExampleFeature>& features) {
  features.clear();
  const char* base = record.data();
  Fields example(record, base);
  while (!example.done()) {
    unsigned wire;
    const std::uint64_t field = example.tag(wire);
    if (field != 1) {
      example.skip(wire, field);
      continue;
    }
    if (wire != kLength) example.refuse("the features have the wrong wire type");
    Fields map(example.bytes(), base);
    while (!map.done()) {
      const std::uint64_t entry = map.tag(wire);
      if (entry != 1) {
        map.skip(wire, entry);
        continue;
      }
      if (wire != kLength) map.refuse("a map entry has the wrong wire type");
      if (features.size() == kMaxFeatures) map.refuse("more than 65536 features");
      features.push_back(decode_entry(map.bytes(), base));
    }
  }
  remove_overwritten(features);
}

const ExampleFeature* find_feature(const std::vector<ExampleFeature>& features,
                                   std::string_view name) {
  for (const ExampleFeature& feature : features)
    if (feature.name == name) return &feature;
  return nullptr;
}

void ExampleWriter::add(std::string_view name, char list_field, std::string_view list) {
  feature_.clear();
  put_bytes(list_field, list, feature_);
  entry_.clear();
  put_bytes(1, name, entry_);
  put_bytes(2, feature_, entry_);
  put_bytes(1, entry_, features_);
}

void ExampleWriter::add_int64s(std::string_view name, const std::vector<std::int64_t>& values) {
  std::string packed;
  for (const std::int64_t value : values) put_varint(static_cast<std::uint64_t>(value), packed);
  list_.clear();
  if (!values.empty()) put_bytes(1, packed, list_);
  add(name, 3, list_);
}

void ExampleWriter::add_floats(std::string_view name, const std::vector<float>& values) {
  static_assert(std::endian::native == std::endian::little);
  list_.clear();
  if (!values.empty())
    put_bytes(1, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)},
              list_);
  add(name, 2, list_);
}

void ExampleWriter::add_bytes(std::string_view name, const std::vector<std::string_view>& values) {
  list_.clear();
  for (const std::string_view value : values) put_bytes(1, value, list_);
  add(name, 1, list_);
}

void ExampleWriter::add_int64(std::string_view name, std::int64_t value) {
  char bytes[10];
  auto left = static_cast<std::uint64_t>(value);
  std::size_t length = 0;
  for (; left >= 0x80; left >>= 7) bytes[length++] = static_cast<char>(left | 0x80);
  bytes[length++] = static_cast<char>(left);
  list_.clear();
  put_bytes(1, {bytes, length}, list_);
  add(name, 3, list_);
}

void ExampleWriter::add_float(std::string_view name, float value) {
  list_.clear();
  put_bytes(1, {reinterpret_cast<const char*>(&value), sizeof value}, list_);
  add(name, 2, list_);
}

void ExampleWriter::add_bytes(std::string_view name, std::string_view value) {
  list_.clear();
  put_bytes(1, value, list_);
  add(name, 1, list_);
}

std::string_view ExampleWriter::finish() {
  record_.clear();
  put_bytes(1, features_, record_);
  features_.clear();
  return record_;
}

}  // namespace gradmill
