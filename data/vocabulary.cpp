#include "data/vocabulary.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {

constexpr std::int64_t kGrain = 1 << 14;

// A serialized vocabulary: this, the numbers or the ends and bytes of the texts, XXH3 of all before it.
struct Header {
  char magic[8] = {'G', 'M', 'V', 'O', 'C', 'A', 'B', '1'};
  std::int64_t kind = 0, count = 0, text_bytes = 0;
};

IdColumn sorted_unique(IdColumn ids) {
  if (ids.kind == IdColumn::Kind::i64) {
    std::sort(ids.numbers.begin(), ids.numbers.end());
    ids.numbers.erase(std::unique(ids.numbers.begin(), ids.numbers.end()), ids.numbers.end());
    return ids;
  }
  std::vector<std::int64_t> order(static_cast<std::size_t>(ids.size()));
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return ids.text(a) < ids.text(b); });
  IdColumn sorted;
  sorted.kind = IdColumn::Kind::string;
  for (std::size_t i = 0; i < order.size(); ++i)
    if (i == 0 || ids.text(order[i]) != ids.text(order[i - 1])) sorted.push(ids.text(order[i]));
  return sorted;
}

template <class T>
void append(std::string& to, const T* values, std::size_t count) {
  to.append(reinterpret_cast<const char*>(values), count * sizeof(T));
}

}  // namespace

Vocabulary::Vocabulary(IdColumn ids) : codes_(ids.kind) {
  const IdColumn sorted = sorted_unique(std::move(ids));
  std::vector<std::int32_t> rows(static_cast<std::size_t>(sorted.size()));
  codes_.add_all(sorted, rows.data());
}

Vocabulary Vocabulary::merge(std::span<const Vocabulary> parts) {
  IdColumn all;
  for (const Vocabulary& part : parts)
    if (part.size() > 0 && part.kind() == IdColumn::Kind::string) all.kind = IdColumn::Kind::string;
  for (const Vocabulary& part : parts) {
    IdColumn ids = part.ids();
    if (all.kind == IdColumn::Kind::i64) {
      all.numbers.insert(all.numbers.end(), ids.numbers.begin(), ids.numbers.end());
    } else {
      ids.make_text();
      for (std::int64_t r = 0; r < ids.size(); ++r) all.push(ids.text(r));
    }
  }
  return Vocabulary(std::move(all));
}

std::int32_t Vocabulary::find(std::int64_t id) const { return codes_.find(id); }
std::int32_t Vocabulary::find(std::string_view id) const { return codes_.find(id); }

std::string Vocabulary::text(std::int32_t row) const {
  require(row >= 0 && row < size(), "row {} of a vocabulary of {}", row, size());
  if (kind() == IdColumn::Kind::string) return std::string(ids().text(row));
  return std::to_string(ids().numbers[static_cast<std::size_t>(row)]);
}

std::vector<std::int32_t> Vocabulary::encode(const IdColumn& ids, int threads) const {
  std::vector<std::int32_t> rows(static_cast<std::size_t>(ids.size()));
  ThreadPool pool(threads);
  pool.parallel_for(ids.size(), kGrain, [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t r = first; r < last; ++r) {
      const auto i = static_cast<std::size_t>(r);
      rows[i] = ids.kind == IdColumn::Kind::i64 ? find(ids.numbers[i]) : find(ids.text(r));
    }
  });
  return rows;
}

std::string Vocabulary::serialize() const {
  const IdColumn& ids = this->ids();
  Header header;
  header.kind = static_cast<std::int64_t>(ids.kind);
  header.count = ids.size();
  header.text_bytes = static_cast<std::int64_t>(ids.bytes.size());
  std::string bytes;
  append(bytes, &header, 1);
  append(bytes, ids.numbers.data(), ids.numbers.size());
  append(bytes, ids.ends.data(), ids.ends.size());
  bytes += ids.bytes;
  const std::uint64_t digest = XXH3_64bits(bytes.data(), bytes.size());
  append(bytes, &digest, 1);
  return bytes;
}

Vocabulary Vocabulary::deserialize(std::string_view bytes) {
  Header header, want;
  std::uint64_t digest;
  const auto check = [](bool ok, const char* why) {
    expect(ok, ErrorKind::data, "vocabulary: {}; the file is damaged or of another version", why);
  };
  check(bytes.size() >= sizeof header + sizeof digest, "too short");
  std::memcpy(&header, bytes.data(), sizeof header);
  std::memcpy(&digest, bytes.data() + bytes.size() - sizeof digest, sizeof digest);
  check(std::memcmp(header.magic, want.magic, sizeof want.magic) == 0, "wrong magic number");
  check(digest == XXH3_64bits(bytes.data(), bytes.size() - sizeof digest), "wrong digest");
  check(header.kind == 0 || header.kind == 1, "unknown kind");
  const std::string_view payload =
      bytes.substr(sizeof header, bytes.size() - sizeof header - sizeof digest);
  check(header.count >= 0 && header.text_bytes >= 0 &&
            static_cast<std::uint64_t>(header.count) <= payload.size() / sizeof(std::int64_t) &&
            payload.size() == static_cast<std::uint64_t>(header.count) * sizeof(std::int64_t) +
                                  static_cast<std::uint64_t>(header.text_bytes),
        "sizes do not fit");

  IdColumn ids;
  ids.kind = static_cast<IdColumn::Kind>(header.kind);
  auto& numbers = ids.kind == IdColumn::Kind::i64 ? ids.numbers : ids.ends;
  numbers.resize(static_cast<std::size_t>(header.count));
  const std::size_t number_bytes = numbers.size() * sizeof(std::int64_t);
  if (number_bytes) std::memcpy(numbers.data(), payload.data(), number_bytes);
  ids.bytes = payload.substr(number_bytes);
  check(ids.kind == IdColumn::Kind::string || ids.bytes.empty(), "sizes do not fit");
  if (ids.kind == IdColumn::Kind::string) {
    std::int64_t before = 0;
    for (const std::int64_t end : ids.ends) {
      check(end >= before && end <= header.text_bytes, "texts overlap");
      before = end;
    }
  }
  Vocabulary vocabulary(std::move(ids));
  check(vocabulary.size() == header.count, "an id appears twice");
  return vocabulary;
}

}  // namespace gradmill
