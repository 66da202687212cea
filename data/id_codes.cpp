#include "data/id_codes.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <limits>

#include "runtime/expect.h"

namespace gradmill {
namespace {

// The array may have this many entries for each id that there is, and some to begin with.
constexpr std::int64_t kDirectPerId = 8;
constexpr std::int64_t kDirectAtFirst = 1 << 16;

std::uint64_t hash(std::string_view text) { return XXH3_64bits(text.data(), text.size()); }

struct DecimalText {
  explicit DecimalText(std::int64_t id)
      : end(std::to_chars(digits, digits + sizeof digits, id).ptr) {}
  std::string_view view() const { return {digits, static_cast<std::size_t>(end - digits)}; }
  char digits[24];
  char* end;
};

}  // namespace

std::size_t IdCodes::home(std::uint64_t key) const {
  key ^= key >> 32;
  return (key * 0x9E3779B97F4A7C15ull) >> (64 - std::countr_zero(slots_.size()));
}

// The slot of this id, or the free one where it belongs.
const IdCodes::Slot* IdCodes::locate(std::uint64_t key, std::string_view text) const {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t s = home(key);; s = (s + 1) & mask) {
    const Slot& slot = slots_[s];
    if (slot.code < 0 || (slot.key == key && (!is_text() || ids_.text(slot.code) == text)))
      return &slot;
  }
}

void IdCodes::grow_slots() {
  std::vector<Slot> old(std::max<std::size_t>(64, slots_.size() * 2));
  old.swap(slots_);
  const std::size_t mask = slots_.size() - 1;
  for (const Slot& slot : old) {
    if (slot.code < 0) continue;
    std::size_t s = home(slot.key);
    while (slots_[s].code >= 0) s = (s + 1) & mask;
    slots_[s] = slot;
  }
}

// Takes the id into the array's range if that stays within proportion.
bool IdCodes::grow_direct(std::int64_t id) {
  if (id < 0 || id >= std::max(kDirectAtFirst, kDirectPerId * ids_.size())) return false;
  direct_.resize(std::bit_ceil(static_cast<std::size_t>(id) + 1), -1);
  for (std::int32_t code = 0; code < size(); ++code) {
    const auto known = static_cast<std::uint64_t>(ids_.numbers[static_cast<std::size_t>(code)]);
    if (known < direct_.size()) direct_[known] = code;
  }
  return true;
}

std::int32_t IdCodes::add_slot(std::uint64_t key, const Slot* free) {
  expect(ids_.size() < std::numeric_limits<std::int32_t>::max(), ErrorKind::data,
         "more than 2^31 - 1 different ids");
  const std::int32_t code = size();
  slots_[static_cast<std::size_t>(free - slots_.data())] = {key, code};
  ++used_;
  return code;
}

std::int32_t IdCodes::add(std::int64_t id) {
  const auto key = static_cast<std::uint64_t>(id);
  if (key < direct_.size() || (size() == 0 ? grow_direct(id) : false)) {
    std::int32_t& code = direct_[key];
    if (code < 0) {
      code = size();
      ids_.push(id);
    }
    return code;
  }
  if (used_ * 2 >= slots_.size()) grow_slots();
  const Slot* slot = locate(key, {});
  if (slot->code >= 0) return slot->code;
  if (grow_direct(id)) return add(id);
  const std::int32_t code = add_slot(key, slot);
  ids_.push(id);
  return code;
}

std::int32_t IdCodes::add(std::string_view id) { return add_text(hash(id), id); }

std::int32_t IdCodes::add_text(std::uint64_t key, std::string_view id) {
  if (used_ * 2 >= slots_.size()) grow_slots();
  const Slot* slot = locate(key, id);
  if (slot->code >= 0) return slot->code;
  const std::int32_t code = add_slot(key, slot);
  ids_.push(id);
  return code;
}

// A large table is not in cache: the slots of the next rows, then their texts, are asked for before
// they are needed.
void IdCodes::add_texts(const IdColumn& column, std::int32_t* codes) {
  constexpr std::int64_t kAhead = 32;
  std::array<std::uint64_t, kAhead> keys;
  if (slots_.empty()) grow_slots();
  for (std::int64_t begin = 0; begin < column.size(); begin += kAhead) {
    const auto rows = static_cast<std::size_t>(std::min(kAhead, column.size() - begin));
    for (std::size_t r = 0; r < rows; ++r) {
      keys[r] = hash(column.text(begin + static_cast<std::int64_t>(r)));
      __builtin_prefetch(&slots_[home(keys[r])]);
    }
    for (std::size_t r = 0; r < rows; ++r)
      if (const std::int32_t code = slots_[home(keys[r])].code; code >= 0)
        __builtin_prefetch(&ids_.ends[static_cast<std::size_t>(code)]);
    for (std::size_t r = 0; r < rows; ++r)
      if (const std::int32_t code = slots_[home(keys[r])].code; code >= 0)
        __builtin_prefetch(
            &ids_.bytes[static_cast<std::size_t>(ids_.ends[static_cast<std::size_t>(code)])]);
    for (std::size_t r = 0; r < rows; ++r) {
      const std::int64_t row = begin + static_cast<std::int64_t>(r);
      codes[row] = add_text(keys[r], column.text(row));
    }
  }
}

std::int32_t IdCodes::find(std::int64_t id) const {
  if (is_text()) return find(DecimalText(id).view());
  const auto key = static_cast<std::uint64_t>(id);
  if (key < direct_.size()) return direct_[key];
  return slots_.empty() ? -1 : locate(key, {})->code;
}

std::int32_t IdCodes::find(std::string_view id) const {
  if (!is_text()) {
    std::int64_t number;
    return parse_id(id, number) ? find(number) : -1;
  }
  return slots_.empty() ? -1 : locate(hash(id), id)->code;
}

void IdCodes::add_all(const IdColumn& column, std::int32_t* codes) {
  const std::int64_t rows = column.size();
  if (column.kind == IdColumn::Kind::string) {
    make_text();
    add_texts(column, codes);
  } else if (is_text()) {
    for (std::int64_t r = 0; r < rows; ++r)
      codes[r] = add(DecimalText(column.numbers[static_cast<std::size_t>(r)]).view());
  } else {
    for (std::int64_t r = 0; r < rows; ++r)
      codes[r] = add(column.numbers[static_cast<std::size_t>(r)]);
  }
}

void IdCodes::make_text() {
  if (is_text()) return;
  IdColumn text = std::move(ids_);
  text.make_text();
  *this = IdCodes(IdColumn::Kind::string);
  for (std::int64_t r = 0; r < text.size(); ++r) add(text.text(r));
}

}  // namespace gradmill
