// Runs gradmill's biased SGD on a split that bench/peers/mf wrote. Times each epoch without loading,
// and the cutting into blocks apart; test error is computed between epochs, off the clock. Prints one
// line of JSON.
#include <time.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "bench/peers/arrays.h"
#include "kernels/mf_predict/mf_predict.h"
#include "kernels/mf_sgd/mf_sgd.h"
#include "models/mf/factors.h"
#include "models/mf/sgd_blocks.h"

namespace gradmill {
namespace {
struct Options {
  std::string data;
  std::int64_t num_factors = 64;
  int threads = 1, epochs = 20;
  double init_stddev = 0.4;  // over the square root of the number of factors
  SgdRates rates;
};

struct Split {
  std::vector<std::int32_t> users, items;
  std::vector<float> values;
  Split(const std::string& folder, const std::string& name)
      : users(read_array<std::int32_t>(folder + "/" + name + ".user.i32")),
        items(read_array<std::int32_t>(folder + "/" + name + ".item.i32")),
        values(read_array<float>(folder + "/" + name + ".value.f32")) {}
};

struct Clock {
  std::chrono::steady_clock::time_point wall = std::chrono::steady_clock::now();
  double cpu = cpu_now();
  static double cpu_now() {
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
  }
  double wall_spent() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - wall).count();
  }
  double cpu_spent() const { return cpu_now() - cpu; }
};

std::vector<std::int64_t> counts(const std::vector<std::int32_t>& ids, std::int64_t rows) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(rows));
  for (const std::int32_t id : ids) ++counts[static_cast<std::size_t>(id)];
  return counts;
}

/// One side's factors and states.
struct Side {
  Side(const Context& ctx, std::int64_t rows, const Options& options, RandomStream stream)
      : factors(ctx, rows, options.num_factors), state(ctx, rows * 4) {
    factors.initialize(1, stream, 0, options.init_stddev);
    const MatrixView<float> f = factors.view();
    for (std::int64_t r = 0; r < rows; ++r) {
      float* s = state.view().data + 4 * r;
      s[0] = 0, s[1] = s[2] = 1;
      s[3] = std::inner_product(f.row(r), f.row(r) + f.cols, f.row(r), 0.0f);
    }
  }
  MatrixView<float> states() { return state.matrix(factors.rows(), 4, 4); }
  std::vector<float> biases() const {
    std::vector<float> b(static_cast<std::size_t>(factors.rows()));
    for (std::size_t r = 0; r < b.size(); ++r)
      b[r] = state.view()[static_cast<std::int64_t>(4 * r)];
    return b;
  }
  FactorTable factors;
  Buffer<float> state;
};

template <class T>
VectorView<const T> view(const std::vector<T>& v) {
  return {v.data(), static_cast<std::int64_t>(v.size()), {}};
}

int run(Options options) {
  const Context ctx = Context::cpu(options.threads);
  Split train(options.data, "train");
  Split test(options.data, "test");
  const auto rows = [](const Split& a, const Split& b, auto ids) {
    const auto last = [&](const Split& s) {
      return (s.*ids).empty() ? 0 : *std::max_element((s.*ids).begin(), (s.*ids).end()) + 1;
    };
    return static_cast<std::int64_t>(std::max(last(a), last(b)));
  };
  const std::int64_t users = rows(train, test, &Split::users),
                     items = rows(train, test, &Split::items);
  options.rates.global_mean =
      static_cast<float>(std::accumulate(train.values.begin(), train.values.end(), 0.0) /
                         static_cast<double>(train.values.size()));
  const Clock preparing;
  const SgdGrid grid = sgd_grid(counts(train.users, users), counts(train.items, items));
  const SgdRatings ratings = sgd_ratings(
      ctx, grid, 0, grid.users.blocks,
      {std::move(train.users), std::move(train.items), std::move(train.values), {}, {}}, 1);
  const double prepared = preparing.wall_spent();
  for (auto& user : test.users) user = grid.users.storage[static_cast<std::size_t>(user)];
  for (auto& item : test.items) item = grid.items.storage[static_cast<std::size_t>(item)];

  Side p(ctx, users, options, RandomStream::init_users),
      q(ctx, items, options, RandomStream::init_items);
  Buffer<double> loss(ctx, grid.users.blocks);
  std::string seconds, cpu_seconds, rmse;
  for (int epoch = 0; epoch < options.epochs; ++epoch) {
    loss.zero();
    const Clock clock;
    for (std::int32_t shift = 0; shift < grid.items.blocks; ++shift)
      mf_sgd(ctx, {ratings.blocks(), shift, options.rates, p.factors.view(), q.factors.view(),
                   p.states(), q.states(), loss.view()});
    const char* comma = epoch ? ", " : "";
    seconds += fmt::format("{}{:.6f}", comma, clock.wall_spent());
    cpu_seconds += fmt::format("{}{:.6f}", comma, clock.cpu_spent());
    const std::vector<float> p_biases = p.biases(), q_biases = q.biases();
    std::vector<double> sums(3);
    MfPredictArgs judge;
    judge.user_ids = view(test.users), judge.item_ids = view(test.items);
    judge.users = p.factors.view(), judge.items = q.factors.view();
    judge.user_biases = view(p_biases), judge.item_biases = view(q_biases);
    judge.offset = options.rates.global_mean;
    judge.values = view(test.values);
    judge.error_sums = {sums.data(), 3, {}};
    mf_predict(ctx, judge);
    rmse += fmt::format("{}{:.6f}", comma, std::sqrt(sums[1] / sums[0]));
  }
  fmt::print(
      "{{\"preparation_s\": {:.4f}, \"seconds\": [{}], \"cpu_seconds\": [{}], \"test_rmse\": "
      "[{}]}}\n",
      prepared, seconds, cpu_seconds, rmse);
  return 0;
}
}  // namespace
}  // namespace gradmill

int main(int argc, char** argv) {
  gradmill::Options options;
  CLI::App app("gradmill's biased SGD in bench/peers/mf");
  app.add_option("data", options.data, "folder with train.user.i32 and so on")->required();
  app.add_option("--factors", options.num_factors);
  app.add_option("--threads", options.threads);
  app.add_option("--epochs", options.epochs);
  app.add_option("--learning-rate", options.rates.learning_rate);
  app.add_option("--l2-factors", options.rates.l2_factors);
  app.add_option("--l2-biases", options.rates.l2_biases);
  app.add_option("--init-stddev", options.init_stddev);
  CLI11_PARSE(app, argc, argv);
  try {
    return gradmill::run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "mf_sgd_driver: {}\n", error.what());
    return 1;
  }
}
