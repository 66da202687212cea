// Ids -> codes 0, 1, 2, … in the order of their first appearance.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "data/rating_stream.h"

namespace gradmill {

/// Small non-negative numbers are looked up in an array (one load), all other ids in a hash table with
/// open addressing.
class IdCodes {
 public:
  explicit IdCodes(IdColumn::Kind kind = IdColumn::Kind::i64) { ids_.kind = kind; }

  /// All ids, in the order of their codes.
  const IdColumn& ids() const { return ids_; }
  std::int32_t size() const { return static_cast<std::int32_t>(ids_.size()); }

  /// The id's code; a new id gets the next one. Errors: ErrorKind::data above 2^31 - 1 ids.
  std::int32_t add(std::int64_t id);      // kind i64
  std::int32_t add(std::string_view id);  // kind string
  /// -1 if unknown. Numbers and their decimal text are the same id, whichever kind this is.
  std::int32_t find(std::int64_t id) const;
  std::int32_t find(std::string_view id) const;
  /// Codes of all ids of a column; numbers become text as soon as either side is text.
  void add_all(const IdColumn& column, std::int32_t* codes);
  /// Makes the ids decimal text; codes stay.
  void make_text();

 private:
  struct Slot {
    std::uint64_t key = 0;   // the number, or the hash of the text
    std::int32_t code = -1;  // -1: free
  };
  std::int32_t add_text(std::uint64_t key, std::string_view id);
  void add_texts(const IdColumn& column, std::int32_t* codes);
  bool is_text() const { return ids_.kind == IdColumn::Kind::string; }
  std::size_t home(std::uint64_t key) const;
  const Slot* locate(std::uint64_t key, std::string_view text) const;
  std::int32_t add_slot(std::uint64_t key, const Slot* free);
  void grow_slots();
  bool grow_direct(std::int64_t id);

  IdColumn ids_;
  std::vector<std::int32_t> direct_;  // code of number n, -1 if unknown
  std::vector<Slot> slots_;  // a power of two, at most half full; empty before the first id
  std::size_t used_ = 0;
};

}  // namespace gradmill
