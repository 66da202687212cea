// recommend: the best items for users that the model knows, or whose ratings are given.
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <unordered_map>

#include "launch/model_session.h"
#include "launch/reading.h"
#include "launch/recommend.h"
#include "launch/table_writer.h"
#include "launch/verbs.h"
#include "models/mf/fold_in.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {
/// Item rows to leave out, by user row.
using Excluded = std::unordered_map<std::int32_t, std::vector<std::int32_t>>;

RatingTable read_table(const Options& options, const std::string& path, int threads) {
  const auto stream = open_ratings(path, read_options(options.config, threads));
  return read_rating_table(*stream, threads);
}

Excluded further_exclusions(const Options& options, const MfModel& model, int threads) {
  Excluded excluded;
  if (options.exclude.empty()) return excluded;
  const RatingTable table =
      recode(read_table(options, options.exclude, threads), model.users(), model.items(), threads);
  for (std::size_t e = 0; e < table.user.size(); ++e)
    if (table.user[e] >= 0 && table.item[e] >= 0)
      excluded[model.user_row(table.user[e])].push_back(model.item_row(table.item[e]));
  return excluded;
}

void sort_unique(std::vector<std::int32_t>& items) {
  std::sort(items.begin(), items.end());
  items.erase(std::unique(items.begin(), items.end()), items.end());
}

std::vector<std::string> asked_users(const Options& options) {
  std::vector<std::string> names = options.users;
  if (options.users_file.empty()) return names;
  std::ifstream file(options.users_file);
  expect(file.good(), ErrorKind::input_missing, "{}: cannot open the file of user ids",
         options.users_file);
  for (std::string line; std::getline(file, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) names.push_back(line);
  }
  return names;
}

/// Users that the model was trained on.
Audience known_users(const Options& options, const ModelSession& session) {
  const MfModel& model = session.model;
  const FactorsView view = model.view();
  Audience audience{{}, view.users, view.user_biases, {}, {}};
  const std::vector<std::string> names = asked_users(options);
  const bool all = names.empty();
  const std::int64_t count = all ? model.users().size() : static_cast<std::int64_t>(names.size());
  const Excluded further = further_exclusions(options, model, session.threads);
  const CsrView<const float> seen = model.seen().view();
  for (std::int64_t n = 0; n < count; ++n) {
    const std::int32_t id =
        all ? static_cast<std::int32_t>(n)
            : model.users().find(std::string_view(names[static_cast<std::size_t>(n)]));
    expect(id >= 0, ErrorKind::data,
           "user \"{}\" is not in the model; for new users give their ratings with --fold-in FILE",
           all ? "" : names[static_cast<std::size_t>(n)]);
    const std::int32_t row = model.user_row(id);
    audience.names.push_back(model.users().text(id));
    audience.rows.push_back(row);
    auto& excluded = audience.excluded.emplace_back();
    if (!options.with_seen && seen.rows > 0)
      excluded.assign(seen.indices + seen.offsets[row], seen.indices + seen.offsets[row + 1]);
    if (const auto more = further.find(row); more != further.end())
      excluded.insert(excluded.end(), more->second.begin(), more->second.end());
    sort_unique(excluded);
  }
  return audience;
}

/// Users of a file of ratings, folded in; what they have rated there is left out.
Audience new_users(const Options& options, const ModelSession& session, FoldedUsers& folded,
                   Log& log) {
  const MfModel& model = session.model;
  RatingTable table = read_table(options, options.fold_in, session.threads);
  const auto items = model.items().encode(table.items.ids(), session.threads);
  Ratings ratings;
  Audience audience;
  const std::int64_t users = table.users.size();
  audience.excluded.resize(static_cast<std::size_t>(users));
  std::int64_t unknown = 0;
  for (std::size_t e = 0; e < table.user.size(); ++e) {
    const std::int32_t item = model.item_row(items[static_cast<std::size_t>(table.item[e])]);
    if (item < 0) {
      ++unknown;
      continue;
    }
    ratings.users.push_back(table.user[e]);
    ratings.items.push_back(item);
    ratings.values.push_back(table.value.empty() ? 1.0f : table.value[e]);
    if (!table.weight.empty()) ratings.weights.push_back(table.weight[e]);
    if (!options.with_seen)
      audience.excluded[static_cast<std::size_t>(table.user[e])].push_back(item);
  }
  if (unknown)
    log.warning(fmt::format("{}: {} ratings are of items that the model does not know",
                            options.fold_in, unknown));
  folded = fold_in(*session.ctx, session.cpu, model.config(), model.view(), users, ratings);
  const FoldedUsers& done = folded;
  audience.factors = done.factors.view();
  audience.biases = done.biases.view();
  for (std::int64_t user = 0; user < users; ++user) {
    audience.names.push_back(table.users.text(static_cast<std::int32_t>(user)));
    audience.rows.push_back(static_cast<std::int32_t>(user));
    sort_unique(audience.excluded[static_cast<std::size_t>(user)]);
  }
  return audience;
}

void print_table(const MfModel& model, const Recommendation& best) {
  fmt::print("user {}\n", best.user);
  std::size_t width = 4;
  for (const std::int32_t item : best.items)
    width = std::max(width, model.items().text(item).size());
  fmt::print("  {:>4}  {:<{}}  {}\n", "rank", "item", width, "score");
  for (std::size_t i = 0; i < best.items.size(); ++i)
    fmt::print("  {:>4}  {:<{}}  {:.4f}\n", i + 1, model.items().text(best.items[i]), width,
               best.scores[i]);
}

/// Rows (user, rank, item, score) for a file, a few thousand users at a time.
class RecommendationTable {
 public:
  RecommendationTable(const std::string& path, const MfModel& model)
      : model_(model), table_(open_table(path, {"user", "rank", "item", "score"})) {
    users_.kind = IdColumn::Kind::string;
    items_.kind = model.items().kind();
  }
  void add(const Recommendation& best) {
    for (std::size_t i = 0; i < best.items.size(); ++i) {
      users_.bytes += best.user;
      users_.ends.push_back(static_cast<std::int64_t>(users_.bytes.size()));
      add_item(best.items[i]);
      ranks_.push_back(static_cast<std::int64_t>(i) + 1);
      scores_.push_back(best.scores[i]);
    }
    if (ranks_.size() >= kRows) flush();
  }
  void finish() {
    flush();
    table_->finish();
  }

 private:
  static constexpr std::size_t kRows = 1 << 16;
  void add_item(std::int32_t item) {
    const IdColumn& ids = model_.items().ids();
    if (ids.kind == IdColumn::Kind::i64) {
      items_.numbers.push_back(ids.numbers[static_cast<std::size_t>(item)]);
      return;
    }
    items_.bytes += ids.text(item);
    items_.ends.push_back(static_cast<std::int64_t>(items_.bytes.size()));
  }
  void flush() {
    if (ranks_.empty()) return;
    table_->append(
        {&users_, std::span<const std::int64_t>(ranks_), &items_, std::span<const float>(scores_)});
    users_.clear();
    items_.clear();
    ranks_.clear();
    scores_.clear();
  }
  const MfModel& model_;
  std::unique_ptr<TableWriter> table_;
  IdColumn users_, items_;
  std::vector<std::int64_t> ranks_;
  std::vector<float> scores_;
};
}  // namespace

int recommend_verb(const Options& options, World& world, Log& log) {
  const ModelSession session(options, world);
  FoldedUsers folded;
  const Audience audience = options.fold_in.empty() ? known_users(options, session)
                                                    : new_users(options, session, folded, log);
  if (options.output.empty()) {
    recommend(*session.ctx, session.cpu, session.model, audience, options.count,
              [&](const Recommendation& best) { print_table(session.model, best); });
    return 0;
  }
  RecommendationTable table(options.output, session.model);
  recommend(*session.ctx, session.cpu, session.model, audience, options.count,
            [&](const Recommendation& best) { table.add(best); });
  table.finish();
  return 0;
}

}  // namespace gradmill
