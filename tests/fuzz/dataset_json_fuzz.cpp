// dataset.json from any bytes: a data set or an Error of kind data; what was read means the same when it
// is written and read again. The digest would refuse nearly all inputs, so it is also set right.
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "data/dataset.h"
#include "runtime/error.h"

namespace {

using namespace gradmill;

void check(const std::string& text) {
  try {
    const Dataset dataset = dataset_from_json(text, "fuzz");
    std::int64_t rows = 0;
    for (const Dataset::Shard& shard : dataset.shards) {
      if (!is_plain_name(shard.file.name) || shard.rows < 0 || shard.file.bytes < 0) std::abort();
      rows += shard.rows;
    }
    if (rows != dataset.rows) std::abort();
    const std::string written = dataset_to_json(dataset);
    if (dataset_to_json(dataset_from_json(written, "again")) != written) std::abort();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  check(text);
  nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return 0;
  json.erase("digest");
  try {
    json["digest"] = xxh128_hex(json.dump());
    check(json.dump());
  } catch (const nlohmann::json::exception&) {  // text that is not UTF-8
  }
  return 0;
}
