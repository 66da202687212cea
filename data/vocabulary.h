// Ids of users or items <-> dense rows 0 .. size - 1. Kept in the model, end to end.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/id_codes.h"
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

  std::int64_t size() const { return ids().size(); }
  IdColumn::Kind kind() const { return ids().kind; }
  const IdColumn& ids() const { return codes_.ids(); }
  /// Row of an id, -1 if unknown. Numbers and their decimal text are the same id.
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
  IdCodes codes_;  // code = row
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
RatingTable read_rating_table(RatingStream& stream, int threads, bool keep_timestamps = true);

/// The same rows under other vocabularies; rows whose user or item they do not have get -1 there.
/// For test files: their ids under the vocabularies of the training data.
RatingTable recode(RatingTable table, const Vocabulary& users, const Vocabulary& items,
                   int threads);

/// Removes all rows but these (ascending), in place: no second table is made.
void keep_rows(RatingTable& table, std::span<const std::int64_t> rows);

/// The named rows of a table, with its vocabularies.
RatingTable select_rows(const RatingTable& table, std::span<const std::int64_t> rows);

}  // namespace gradmill
