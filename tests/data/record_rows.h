// Whole streams of records read into rows of text, for tests.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "data/record_stream.h"

namespace gradmill::testing {

using Rows = std::vector<std::vector<std::string>>;

/// All values as text; numbers as printed, missing ones as "-".
inline Rows read_all(RecordStream& stream) {
  Rows rows;
  RecordChunk chunk;
  while (stream.next(chunk)) {
    EXPECT_EQ(chunk.first_row, static_cast<std::int64_t>(rows.size()));
    for (std::int64_t r = 0; r < chunk.rows; ++r) {
      auto& row = rows.emplace_back();
      for (const RecordColumn& column : chunk.columns) {
        if (column.kind == ColumnKind::number) {
          const double x = column.numbers.at(static_cast<std::size_t>(r));
          row.push_back(std::isnan(x) ? "-" : fmt::format("{}", x));
        } else {
          const auto text = column.texts.text(r);
          row.emplace_back(text.empty() ? "-" : text);
        }
      }
    }
  }
  EXPECT_EQ(stream.report().rows, static_cast<std::int64_t>(rows.size()));
  return rows;
}

inline Rows read(const std::string& path, const RecordReadOptions& options = {}) {
  return read_all(*open_records(path, options));
}

inline std::string names_and_kinds(const RecordStream& stream) {
  std::string text;
  for (const ColumnSpec& c : stream.columns())
    text += c.name + (c.kind == ColumnKind::number ? ":n " : ":t ");
  return text;
}

}  // namespace gradmill::testing
