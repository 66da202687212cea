// Ids of users or items <-> dense rows 0 .. size - 1. Kept in the model, end to end.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/rating_stream.h"

namespace gradmill {

/// Ids in ascending order (numbers by value, strings by bytes), each once: so the row of an id does not
/// depend on the order of the data, nor on how many ranks read it. At most 2^31 - 1 ids.
class Vocabulary {
 public:
  Vocabulary() = default;
  /// Sorts and removes duplicates. Errors: ErrorKind::data above 2^31 - 1 ids.
  explicit Vocabulary(IdColumn ids);
  /// Union of several vocabularies. If kinds differ, numbers become their decimal text.
  static Vocabulary merge(std::span<const Vocabulary> parts);

  std::int64_t size() const;
  IdColumn::Kind kind() const;
  const IdColumn& ids() const;
  /// Row of an id, -1 if unknown. find(text) on a numeric vocabulary parses the text.
  std::int32_t find(std::int64_t id) const;
  std::int32_t find(std::string_view id) const;
  /// The id as text.
  std::string text(std::int32_t row) const;
  /// Rows of all ids of a column, -1 where unknown. Uses up to `threads` threads.
  std::vector<std::int32_t> encode(const IdColumn& ids, int threads) const;

  /// For sending to other ranks and storing in files: a self-describing byte string.
  std::string serialize() const;
  /// Errors: ErrorKind::data if the bytes are not what serialize() made.
  static Vocabulary deserialize(std::string_view bytes);

 private:
  IdColumn ids_;
  std::vector<std::int64_t> index_;  // hash index, built at construction
};

/// All rows of a stream, ids coded by vocabularies of these rows.
struct RatingTable {
  Vocabulary users, items;
  std::vector<std::int32_t> user, item;  // [rows]
  std::vector<float> value, weight;      // [rows]; weight may be empty
  std::vector<std::int64_t> timestamp;   // [rows] or empty
  std::int64_t rows() const { return static_cast<std::int64_t>(user.size()); }
};

/// Reads a stream to its end; ids are coded as chunks arrive, so the peak memory is the table plus one
/// chunk. Errors: ErrorKind::data if the columns differ from chunk to chunk.
RatingTable read_rating_table(RatingStream& stream, int threads);

}  // namespace gradmill
