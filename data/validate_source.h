// What validating ratings and samples has in common. Private to data/.
#pragma once

#include <nlohmann/json.hpp>

#include <optional>
#include <string>

#include "data/dataset.h"
#include "data/validate.h"
#include "runtime/error.h"

namespace gradmill {

/// Keeps the first problems.
void add_problem(SourceReport& report, std::string text);
/// Counts of bad records, and the examples as problems.
void take_read_report(const ReadReport& read, SourceReport& report);
/// Digests of all files of a converted data set; what is wrong with each is told.
std::optional<Dataset> check_files(const std::string& folder, SourceReport& report);

/// Reads a stream to its end. An error of the data is a problem; without anything known of the source
/// (`is_known`) another error is one of the caller's.
template <class Chunk, class Open, class Add>
void read_all(Open&& open, Add&& add, bool is_known, SourceReport& report) {
  try {
    const auto stream = open();
    Chunk chunk;
    try {
      while (stream->next(chunk)) add(chunk);
    } catch (...) {
      take_read_report(stream->report(), report);
      throw;
    }
    take_read_report(stream->report(), report);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data && !is_known) throw;
    add_problem(report, error.what());
  }
}

std::string range_text(const ValueRange& range);
nlohmann::json range_json(const ValueRange& range);

}  // namespace gradmill
