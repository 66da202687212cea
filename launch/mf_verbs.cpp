// evaluate, predict: a factorization on ratings from a file.
#include <fmt/format.h>

#include <array>

#include "data/vocabulary.h"
#include "kernels/mf_predict/mf_predict.h"
#include "launch/model_session.h"
#include "launch/model_verbs.h"
#include "launch/reading.h"
#include "launch/table_writer.h"
#include "models/mf/evaluate.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {
/// Rows of the factor tables; -1: not in the model.
Ratings in_model_rows(const MfModel& model, RatingTable table, int threads) {
  table = recode(std::move(table), model.users(), model.items(), threads);
  for (auto& user : table.user) user = model.user_row(user);
  for (auto& item : table.item) item = model.item_row(item);
  return {std::move(table.user),
          std::move(table.item),
          std::move(table.value),
          std::move(table.weight),
          {}};
}

float low(const MfModel& model) {
  return model.config().algorithm == "ials" ? -3.4e38f : model.low();
}
float high(const MfModel& model) {
  return model.config().algorithm == "ials" ? 3.4e38f : model.high();
}
}  // namespace

int evaluate_mf(const Options& options, World& world, Log& log) {
  expect(!options.config.data.train.empty(), ErrorKind::usage,
         "evaluate: give the held-out ratings with --data FILE");
  ModelSession session(options, world);
  const MfModel& model = session.model;
  const auto stream =
      open_ratings(options.config.data.train, read_options(options.config, session.threads));
  Ratings ratings =
      in_model_rows(model, read_rating_table(*stream, session.threads), session.threads);
  if (ratings.values.empty()) ratings.values.assign(ratings.users.size(), 1.0f);
  const auto comm = make_self_communicator();
  const HeldOut held_out(*session.ctx, session.cpu, *comm, {0, model.users().size()},
                         std::move(ratings));
  const RatingMetrics rated = held_out.rating_metrics(model.view(), low(model), high(model));
  if (model.seen().rows() == 0 && model.users().size() > 0)
    log.warning(
        "the model does not hold what users have rated: ranking metrics count training items too");
  const CsrRatings uploaded =
      session.ctx->is_cuda() ? model.seen().copy_to(*session.ctx) : CsrRatings{};
  const CsrView<const float> seen = (session.ctx->is_cuda() ? uploaded : model.seen()).view();
  const int k = options.config.train.cut_off;
  const RankingMetrics ranking = held_out.ranking_metrics(model.view(), seen, k);
  if (options.json) {
    fmt::print(
        R"({{"ratings":{},"unknown":{},"rmse":{},"mae":{},"users":{},"precision@{}":{},"recall@{}":{},"ndcg@{}":{},"map@{}":{}}})"
        "\n",
        rated.ratings, held_out.unknown(), rated.rmse, rated.mae, ranking.users, k,
        ranking.precision, k, ranking.recall, k, ranking.ndcg, k, ranking.map);
    return 0;
  }
  fmt::print("{} ratings, {} with a user or item that the model does not know\n", rated.ratings,
             held_out.unknown());
  if (model.config().algorithm != "ials")
    fmt::print("rmse {:.5f}   mae {:.5f}\n", rated.rmse, rated.mae);
  fmt::print("{} users: precision@{} {:.5f}   recall@{} {:.5f}   ndcg@{} {:.5f}   map@{} {:.5f}\n",
             ranking.users, k, ranking.precision, k, ranking.recall, k, ranking.ndcg, k,
             ranking.map);
  return 0;
}

int predict_mf(const Options& options, World& world, Log& log) {
  expect(!options.config.data.train.empty(), ErrorKind::usage,
         "predict: give the (user, item) pairs with --data FILE");
  ModelSession session(options, world);
  const Context& ctx = *session.ctx;
  const MfModel& model = session.model;
  RatingReadOptions read = read_options(options.config, session.threads);
  read.has_values = false;  // a rating column, if there is one, is not needed
  const auto stream = open_ratings(options.config.data.train, read);
  const auto table =
      open_table(options.output.empty() ? "-" : options.output, {"user", "item", "prediction"});
  const FactorsView view = model.view();
  std::int64_t unknown = 0;
  RatingChunk chunk;
  while (stream->next(chunk)) {  // a chunk at a time: any number of pairs in bounded memory
    auto users = model.users().encode(chunk.users, session.threads),
         items = model.items().encode(chunk.items, session.threads);
    for (auto& user : users) unknown += (user = model.user_row(user)) < 0;
    for (auto& item : items) unknown += (item = model.item_row(item)) < 0;
    const auto user_rows = Buffer<std::int32_t>::from_host(ctx, {users.data(), users.size()});
    const auto item_rows = Buffer<std::int32_t>::from_host(ctx, {items.data(), items.size()});
    Buffer<float> predictions(ctx, chunk.rows());
    mf_predict(ctx, {user_rows.view(),
                     item_rows.view(),
                     view.users,
                     view.items,
                     view.user_biases,
                     view.item_biases,
                     view.mean,
                     low(model),
                     high(model),
                     {},
                     {},
                     predictions.view(),
                     {}});
    const auto values = predictions.to_host();
    table->append({&chunk.users, &chunk.items, std::span<const float>(values)});
  }
  table->finish();
  if (unknown)
    log.warning(fmt::format(
        "{} ids are not in the model; their predictions rest on what is known (mean and biases)",
        unknown));
  return 0;
}

}  // namespace gradmill
