#include "data/rating_columns.h"

#include <algorithm>
#include <cctype>
#include <span>

#include "runtime/expect.h"

namespace gradmill {
namespace {

constexpr std::array<std::string_view, 14> kUser{
    "user",       "userid", "users",    "userids",  "uid",        "u",       "reviewer",
    "reviewerid", "member", "memberid", "customer", "customerid", "visitor", "visitorid"};
constexpr std::array<std::string_view, 28> kItem{
    "item",       "itemid",     "items",    "itemids", "iid",       "i",      "movie",
    "movieid",    "artist",     "artistid", "product", "productid", "asin",   "book",
    "bookid",     "isbn",       "track",    "trackid", "song",      "songid", "business",
    "businessid", "parentasin", "anime",    "animeid", "game",      "gameid", "movies"};
constexpr std::array<std::string_view, 12> kValue{"rating",    "ratings", "value",       "values",
                                                  "score",     "stars",   "bookrating",  "count",
                                                  "playcount", "plays",   "listencount", "weight"};
constexpr std::array<std::string_view, 4> kWeight{"weight", "weights", "confidence",
                                                  "sampleweight"};
constexpr std::array<std::string_view, 7> kTimestamp{"timestamp", "timestamps",     "time", "ts",
                                                     "unixtime",  "unixreviewtime", "date"};

std::span<const std::string_view> usual_names(RatingRole role) {
  switch (role) {
    case RatingRole::user:
      return kUser;
    case RatingRole::item:
      return kItem;
    case RatingRole::value:
      return kValue;
    case RatingRole::weight:
      return kWeight;
    default:
      return kTimestamp;
  }
}

// The last component of a path, lower case, without blanks, '_' and '-': "/group/User_ID" is "userid".
std::string plain_name(std::string_view name) {
  if (const auto slash = name.rfind('/'); slash != name.npos) name.remove_prefix(slash + 1);
  std::string plain;
  for (const char c : name)
    if (c != '_' && c != '-' && c != ' ')
      plain += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return plain;
}

int find_usual(const std::vector<std::string>& names, RatingRole role,
               const std::vector<bool>& used) {
  for (const std::string_view usual : usual_names(role))
    for (std::size_t c = 0; c < names.size(); ++c)
      if (!used[c] && plain_name(names[c]) == usual) return static_cast<int>(c);
  return -1;
}

std::string joined(const std::vector<std::string>& names) {
  std::string all;
  for (std::size_t i = 0; i < names.size() && i < 40; ++i)
    all.append(i ? ", " : "").append(names[i]);
  if (names.size() > 40) all += ", …";
  return names.empty() ? "none" : all;
}

}  // namespace

std::string_view role_name(RatingRole role) {
  constexpr std::array<std::string_view, kRatingRoles> names{"user", "item", "rating", "weight",
                                                             "timestamp"};
  return names[static_cast<std::size_t>(role)];
}

const std::string& column_of(const RatingColumns& columns, RatingRole role) {
  switch (role) {
    case RatingRole::user:
      return columns.user;
    case RatingRole::item:
      return columns.item;
    case RatingRole::value:
      return columns.value;
    case RatingRole::weight:
      return columns.weight;
    default:
      return columns.timestamp;
  }
}

std::array<int, kRatingRoles> find_rating_columns(const std::string& where,
                                                  const std::vector<std::string>& names,
                                                  const RatingReadOptions& options) {
  std::array<int, kRatingRoles> found;
  found.fill(-1);
  std::vector<bool> used(names.size());
  bool no_value = !options.has_values;
  for (int r = 0; r < kRatingRoles; ++r) {
    const auto role = static_cast<RatingRole>(r);
    const std::string& asked = column_of(options.columns, role);
    if (role == RatingRole::value && no_value) continue;
    if (asked == "-" && r > 1) {
      no_value = no_value || role == RatingRole::value;
      continue;
    }
    if (!asked.empty()) {
      const auto at = std::find(names.begin(), names.end(), asked);
      expect(at != names.end(), ErrorKind::data, [&] {
        return fmt::format("{}: there is no \"{}\" for the {}; there are: {}", where, asked,
                           role_name(role), joined(names));
      });
      found[static_cast<std::size_t>(r)] = static_cast<int>(at - names.begin());
      used[static_cast<std::size_t>(at - names.begin())] = true;
    }
  }
  for (int r = 0; r < kRatingRoles; ++r) {
    const auto role = static_cast<RatingRole>(r);
    int& column = found[static_cast<std::size_t>(r)];
    if (column >= 0 || !column_of(options.columns, role).empty()) continue;
    if (role == RatingRole::value && no_value) continue;
    column = find_usual(names, role, used);
    expect(column >= 0 || r > 1, ErrorKind::data, [&] {
      return fmt::format("{}: no {} was found; name it; there are: {}", where, role_name(role),
                         joined(names));
    });
    if (column >= 0) used[static_cast<std::size_t>(column)] = true;
  }
  const bool all_used = std::all_of(used.begin(), used.end(), [](bool b) { return b; });
  expect(found[2] >= 0 || no_value || all_used, ErrorKind::data, [&] {
    return fmt::format(
        "{}: no rating was found; name it, or '-' if every row is an interaction; there are: {}",
        where, joined(names));
  });
  return found;
}

bool has_usual_name(const std::vector<std::string>& names, RatingRole role) {
  return find_usual(names, role, std::vector<bool>(names.size())) >= 0;
}

}  // namespace gradmill
