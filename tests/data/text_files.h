// Text files for tests, and whole streams read into simple rows.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <ostream>
#include <string>
#include <tuple>
#include <vector>

#include "data/rating_stream.h"
#include "tests/support/temporary_folder.h"

namespace gradmill::testing {

inline std::string gzipped(const std::string& text) {
  std::string packed(compressBound(text.size()) + 64, '\0');
  z_stream z{};
  deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(packed.data());
  z.avail_out = static_cast<uInt>(packed.size());
  deflate(&z, Z_FINISH);
  packed.resize(z.total_out);
  deflateEnd(&z);
  return packed;
}

struct Row {
  std::string user, item;
  float value = 1, weight = 1;
  std::int64_t timestamp = 0;
  bool operator==(const Row&) const = default;
};

inline std::ostream& operator<<(std::ostream& out, const Row& r) {
  return out << "{" << r.user << ", " << r.item << ", " << r.value << ", " << r.weight << ", "
             << r.timestamp << "}";
}

inline std::string id_text(const IdColumn& ids, std::int64_t row) {
  if (ids.kind == IdColumn::Kind::string) return std::string(ids.text(row));
  return std::to_string(ids.numbers[static_cast<std::size_t>(row)]);
}

inline std::vector<Row> all_rows(RatingStream& stream) {
  std::vector<Row> rows;
  RatingChunk chunk;
  while (stream.next(chunk)) {
    for (std::int64_t r = 0; r < chunk.rows(); ++r) {
      const auto i = static_cast<std::size_t>(r);
      Row row{id_text(chunk.users, r), id_text(chunk.items, r)};
      if (!chunk.values.empty()) row.value = chunk.values[i];
      if (!chunk.weights.empty()) row.weight = chunk.weights[i];
      if (!chunk.timestamps.empty()) row.timestamp = chunk.timestamps[i];
      rows.push_back(row);
    }
  }
  return rows;
}

inline std::vector<Row> read_text(const std::vector<std::string>& files,
                                  const RatingReadOptions& options = {}) {
  return all_rows(*open_text_ratings(files, options));
}

}  // namespace gradmill::testing
