// tf.Example from any bytes: features or an Error of kind data; features that were read are written and
// read again to the same values.
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "data/tf_example.h"
#include "runtime/error.h"

namespace {

using namespace gradmill;
using Kind = ExampleFeature::Kind;

struct Values {
  std::vector<std::int64_t> integers;
  std::vector<float> reals;
  std::vector<std::string_view> texts;
};

Values values_of(const ExampleFeature& feature) {
  Values values;
  if (feature.kind == Kind::int64s) feature.append_int64s(values.integers);
  if (feature.kind == Kind::floats) feature.append_floats(values.reals);
  if (feature.kind == Kind::bytes) feature.append_bytes(values.texts);
  return values;
}

bool same(const Values& a, const Values& b) {
  return a.integers == b.integers && a.texts == b.texts && a.reals.size() == b.reals.size() &&
         (a.reals.empty() || std::memcmp(a.reals.data(), b.reals.data(), 4 * a.reals.size()) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view record(reinterpret_cast<const char*>(data), size);
  std::vector<ExampleFeature> features;
  try {
    decode_example(record, features);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) std::abort();
    return 0;
  }
  ExampleWriter writer;
  for (const ExampleFeature& feature : features) {
    const Values values = values_of(feature);
    if (values.integers.size() + values.reals.size() + values.texts.size() !=
        static_cast<std::size_t>(feature.count))
      std::abort();
    if (feature.kind == Kind::int64s) writer.add_int64s(feature.name, values.integers);
    if (feature.kind == Kind::floats) writer.add_floats(feature.name, values.reals);
    if (feature.kind == Kind::bytes) writer.add_bytes(feature.name, values.texts);
  }
  const std::string written(writer.finish());
  std::vector<ExampleFeature> again;
  decode_example(written, again);
  for (const ExampleFeature& feature : features) {
    if (feature.kind == Kind::none) continue;
    const ExampleFeature* found = find_feature(again, feature.name);
    if (!found || !same(values_of(feature), values_of(*found))) std::abort();
  }
  return 0;
}
