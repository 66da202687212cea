// Checks a source of ratings from end to end and counts what is wrong with it.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "data/rating_stream.h"
#include "data/sample_stream.h"
#include "data/sample_summary.h"
#include "data/value_range.h"

namespace gradmill {

struct ValidationOptions {
  RatingReadOptions read;  // bad_records is ignored: bad records are counted
  float min_value = -std::numeric_limits<float>::infinity();  // values outside are problems
  float max_value = std::numeric_limits<float>::infinity();
  bool duplicates = true;  // count (user, item) pairs seen more than once
  std::int64_t memory_bytes = std::int64_t{256}
                              << 20;  // for counting duplicates; beyond it, disk is used
};

/// What is said of every source. Counts are exact. `problems` are messages that make the data invalid: bad
/// records, digests that do not match, values out of the given range.
struct SourceReport {
  std::string path;
  std::int64_t rows = 0;                                                      // sound rows
  std::int64_t malformed = 0, missing = 0, non_finite = 0, out_of_range = 0;  // rows left out
  std::int64_t outside = 0;  // values (labels of samples) below min_value or above max_value
  std::int64_t shards = 0;   // whose digests were checked
  std::vector<std::string> problems;
  bool ok() const { return problems.empty(); }
};

/// Duplicate pairs are counted but are not a problem.
struct ValidationReport : SourceReport {
  std::int64_t users = 0, items = 0;
  std::int64_t duplicates = 0;  // rows whose (user, item) pair came before
  bool has_values = false, has_weights = false, has_timestamps = false;
  ValueRange value, weight;
  std::int64_t first_timestamp = 0, last_timestamp = 0;

  std::string to_text() const;
  std::string to_json() const;
};

/// Reads everything. Errors: ErrorKind::input_missing; whatever the data themselves have wrong is
/// in the report instead.
ValidationReport validate_ratings(const std::string& path, const ValidationOptions& options);

struct SampleValidationOptions {
  SampleReadOptions read;  // bad_records is ignored: bad records are counted
  float min_value = -std::numeric_limits<float>::infinity();  // labels outside are problems
  float max_value = std::numeric_limits<float>::infinity();
};

struct SampleValidationReport : SourceReport {
  SampleSummary summary;

  std::string to_text() const;
  std::string to_json() const;
};

/// Opens the source; called once.
using OpenSamples = std::function<std::unique_ptr<SampleStream>(const SampleReadOptions&)>;

/// The same for samples: indices, duplicates within a row, values, labels. For a converted data set at `path`,
/// digests and statistics too.
SampleValidationReport validate_samples(const std::string& path, const OpenSamples& source,
                                        const SampleValidationOptions& options);
SampleValidationReport validate_samples(const std::string& path,
                                        const SampleValidationOptions& options);

}  // namespace gradmill
