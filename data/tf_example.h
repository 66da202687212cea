// tf.Example on the wire (protobuf), decoded and encoded without a protobuf library.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gradmill {

/// One feature of an example; views into the record.
struct ExampleFeature {
  enum class Kind : std::uint8_t { none, bytes, floats, int64s } kind = Kind::none;
  std::string_view name;
  std::int64_t count = 0;  // values in the list
  std::string_view list;   // the list's message, already checked from end to end

  /// Appends the values; require the kind to fit.
  void append_int64s(std::vector<std::int64_t>& to) const;
  void append_floats(std::vector<float>& to) const;
  void append_bytes(std::vector<std::string_view>& to) const;
  /// The first value; require kind and count > 0.
  std::int64_t int64_value() const;
  float float_value() const;
  std::string_view bytes_value() const;
};

/// Decodes one tf.Example: fields in any order, lists packed or not, unknown fields skipped (groups
/// to a depth of 32). Of features with the same name the last counts, as in protobuf maps.
/// Effects  overwrites `features`, in the order of the record (above 32 features: sorted by name).
/// Errors   ErrorKind::data "byte N: …" if the bytes are not a tf.Example.
/// Source   tensorflow/core/example/{example,feature}.proto; protobuf.dev/programming-guides/encoding.
void decode_example(std::string_view record, std::vector<ExampleFeature>& features);

/// The feature of this name, or nullptr.
const ExampleFeature* find_feature(const std::vector<ExampleFeature>& features,
                                   std::string_view name);

/// Builds records; lists are packed, as TensorFlow writes them.
class ExampleWriter {
 public:
  void add_int64(std::string_view name, std::int64_t value);
  void add_float(std::string_view name, float value);
  void add_bytes(std::string_view name, std::string_view value);
  void add_int64s(std::string_view name, const std::vector<std::int64_t>& values);
  void add_floats(std::string_view name, const std::vector<float>& values);
  void add_bytes(std::string_view name, const std::vector<std::string_view>& values);
  /// The record of what was added since the last call; valid until the next add.
  std::string_view finish();

 private:
  void add(std::string_view name, char list_field, std::string_view list);
  std::string list_, feature_, entry_, features_, record_;
};

}  // namespace gradmill
