// features.json from any bytes: a pipeline or an Error of kind data; a pipeline can name its features and
// transform records, and is the same when it is written and read again.
#include <algorithm>
#include <cstdlib>
#include <string>

#include "data/features.h"
#include "runtime/error.h"

namespace {

using namespace gradmill;

RecordChunk some_records(const FeaturePipeline& pipeline) {
  RecordChunk chunk;
  chunk.rows = 3;
  for (const ColumnSpec& spec : pipeline.columns(false)) {
    RecordColumn& column = chunk.columns.emplace_back();
    column.restart(spec.kind);
    if (spec.kind == ColumnKind::number)
      column.numbers = {0.5, RecordColumn::kMissing, 7};
    else
      for (const char* text : {"a A b", "", "\xC3\x89"}) column.texts.push(std::string_view(text));
  }
  return chunk;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  try {
    const FeaturePipeline pipeline = FeaturePipeline::deserialize(text, "fuzz");
    const std::string written = pipeline.serialize();
    if (FeaturePipeline::deserialize(written, "again").serialize() != written) std::abort();
    const std::int64_t count = pipeline.num_features();
    for (std::int64_t f = 0; f < std::min<std::int64_t>(count, 100); ++f) {
      (void)pipeline.feature_name(f);
      (void)pipeline.feature_name(count - 1 - f);
    }
    SampleChunk samples;
    pipeline.transform(some_records(pipeline), samples, 1, false);
    for (const std::int32_t index : samples.indices)
      if (index < 0 || index >= count) std::abort();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) std::abort();
  }
  return 0;
}
