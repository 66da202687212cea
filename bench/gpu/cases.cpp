#include "bench/gpu/cases.h"

#include <fmt/format.h>

#include <memory>

#include "bench/gpu/ratings.h"
#include "kernels/als_solve/als_solve.h"
#include "kernels/cholesky_solve/cholesky_solve.h"
#include "kernels/gram/gram.h"
#include "kernels/ials_cg/ials_cg.h"
#include "kernels/mf_predict/mf_predict.h"
#include "kernels/mf_sgd/mf_sgd.h"
#include "kernels/normal_equations/normal_equations.h"
#include "kernels/top_k/top_k.h"
#include "models/mf/sgd_blocks.h"
#include "runtime/buffer.h"

namespace gradmill::bench {
namespace {
constexpr std::int64_t kRowAlign = 32;  // floats: rows start at 128 bytes, as the models' tables do

std::int64_t padded(std::int64_t k) { return (k + kRowAlign - 1) / kRowAlign * kRowAlign; }

/// A table of small random factors on the device; padding is zero.
struct Table {
  std::int64_t rows, k;
  Buffer<float> values;

  Table(const Context& ctx, std::int64_t rows, std::int64_t k, std::uint64_t seed)
      : rows(rows), k(k) {
    std::vector<float> host(static_cast<std::size_t>(rows * padded(k)));
    for (std::int64_t r = 0; r < rows; ++r)
      for (std::int64_t c = 0; c < k; ++c)
        host[static_cast<std::size_t>(r * padded(k) + c)] =
            0.2f * (to_unit(random_bits(seed, RandomStream::init_users,
                                        static_cast<std::uint64_t>(r * k + c))
                                .x[0]) -
                    0.5f);
    values = Buffer<float>::from_host(ctx, host);
  }
  MatrixView<float> view() { return values.matrix(rows, k, padded(k)); }
};

/// Ratings on the device as CSR.
struct DeviceRatings {
  std::int64_t rows, cols, nnz;
  Buffer<std::int64_t> offsets;
  Buffer<std::int32_t> indices;
  Buffer<float> values;

  DeviceRatings(const Context& ctx, const Ratings& host)
      : rows(host.rows),
        cols(host.cols),
        nnz(host.nnz()),
        offsets(Buffer<std::int64_t>::from_host(ctx, host.offsets)),
        indices(Buffer<std::int32_t>::from_host(ctx, host.indices)),
        values(Buffer<float>::from_host(ctx, host.values)) {}
  CsrView<const float> view() const {
    const auto v = values.view();
    return {rows, cols, nnz, offsets.view().data, indices.view().data, v.data, v.device};
  }
};

Ratings user_ratings(const Sizes& sizes) {
  return skewed_ratings(sizes.users, sizes.items, sizes.ratings, 1);
}

std::string csr_shape(const DeviceRatings& r, std::int64_t k) {
  return fmt::format("{} x {}, {} ratings, k {}", r.rows, r.cols, r.nnz, k);
}

/// What a half-step of ALS or iALS owns.
struct HalfStep {
  DeviceRatings ratings;
  Table items, users;
  Buffer<float> base;
  Buffer<std::int32_t> failures;

  HalfStep(const Context& ctx, const Sizes& sizes, std::int64_t k)
      : ratings(ctx, user_ratings(sizes)),
        items(ctx, sizes.items, k, 2),
        users(ctx, sizes.users, k, 3),
        base(ctx, k * k),
        failures(ctx, 1) {
    failures.zero();
    gram(ctx, {.factors = items.view(), .scale = 0.1f, .gram = base.matrix(k, k, k)});
  }
  /// Every item's factors once instead of once for each of its ratings.
  double unique_bytes() const {
    const double k = static_cast<double>(items.k);
    return 8.0 * ratings.nnz + 8.0 * ratings.rows + 4 * k * items.rows + 4 * k * ratings.rows;
  }
  double bytes() const {
    const double k = static_cast<double>(items.k);
    return 8.0 * ratings.nnz + 4 * k * ratings.nnz + 4 * k * ratings.rows;
  }
};

AlsWeights implicit_weights() {
  return {
      .implicit = true, .unobserved_weight = 0.1f, .regularization = 0.01f, .ridge_exponent = 0};
}

Case gram_case(const Context& ctx, const Sizes& sizes, std::int64_t k) {
  struct Data {
    Table factors;
    Buffer<float> result;
  };
  auto data = std::make_shared<Data>(Table(ctx, sizes.users, k, 1), Buffer<float>(ctx, k * k));
  const double n = sizes.users;
  return {.kernel = "gram",
          .shape = fmt::format("{} x {}", sizes.users, k),
          .bytes = 4 * n * k + 4.0 * k * k,
          .flops = n * k * (k + 1.0),
          .prepare = {},
          .run = [&ctx, data, k] {
            gram(ctx, {.factors = data->factors.view(), .gram = data->result.matrix(k, k, k)});
          }};
}

Case normal_equations_case(const Context& ctx, const Sizes& sizes, std::int64_t k) {
  struct Data {
    HalfStep half;
    Buffer<float> systems, rhs;
  };
  Sizes tile = sizes;  // as many rows as a tile of a half-step holds
  tile.users = std::min<std::int64_t>(sizes.users, (std::int64_t{1} << 30) / (4 * k * k));
  tile.ratings = sizes.ratings * tile.users / sizes.users;
  auto data = std::make_shared<Data>(HalfStep(ctx, tile, k), Buffer<float>(ctx, tile.users * k * k),
                                     Buffer<float>(ctx, tile.users * k));
  const double nnz = data->half.ratings.nnz, rows = tile.users;
  return {.kernel = "normal_equations",
          .shape = csr_shape(data->half.ratings, k),
          .bytes = 8 * nnz + 8 * rows + 4 * k * nnz + 4 * (k * (k + 1.0) / 2 + k) * rows,
          .flops = nnz * (k * (k + 1.0) + 2.0 * k),
          .unique_bytes =
              8 * nnz + 8 * rows + 4.0 * k * tile.items + 4 * (k * (k + 1.0) / 2 + k) * rows,
          .prepare = {},
          .run = [&ctx, data, k, tile] {
            normal_equations(ctx, {.ratings = data->half.ratings.view(),
                                   .weights = {},
                                   .factors = data->half.items.view(),
                                   .biases = {},
                                   .base = {},
                                   .model = {},
                                   .systems = data->systems.matrix(tile.users, k * k, k * k),
                                   .rhs = data->rhs.matrix(tile.users, k, k)});
          }};
}

Case cholesky_case(const Context& ctx, const Sizes& sizes, std::int64_t k) {
  struct Data {
    Buffer<float> original, systems, rhs, solutions;
    Buffer<std::int32_t> failures;
  };
  const std::int64_t rows =
      std::min<std::int64_t>(sizes.solves, (std::int64_t{1} << 31) / (4 * k * k));
  std::vector<float> system(static_cast<std::size_t>(k * k));  // diagonally dominant
  for (std::int64_t i = 0; i < k; ++i)
    for (std::int64_t j = 0; j < k; ++j)
      system[static_cast<std::size_t>(i * k + j)] =
          i == j ? static_cast<float>(k) : 1.0f / static_cast<float>(1 + std::abs(i - j));
  std::vector<float> host;
  host.reserve(static_cast<std::size_t>(rows * k * k));
  for (std::int64_t r = 0; r < rows; ++r) host.insert(host.end(), system.begin(), system.end());
  auto data = std::make_shared<Data>(
      Buffer<float>::from_host(ctx, host), Buffer<float>(ctx, rows * k * k),
      Buffer<float>::from_host(ctx, std::vector<float>(static_cast<std::size_t>(rows * k), 1.0f)),
      Buffer<float>(ctx, rows * k), Buffer<std::int32_t>(ctx, 1));
  data->failures.zero();
  const double n = rows;
  return {.kernel = "cholesky_solve",
          .shape = fmt::format("{} systems, k {}", rows, k),
          .bytes = 4 * (k * (k + 1.0) / 2 + 2.0 * k) * n,
          .flops = n * (std::pow(k, 3) / 3 + 2.0 * k * k),
          .prepare =
              [&ctx, data] {
                copy<float>(ctx, data->systems.view(), std::as_const(data->original).view());
              },
          .run =
              [&ctx, data, rows, k] {
                cholesky_solve(ctx, {.systems = data->systems.matrix(rows, k * k, k * k),
                                     .rhs = data->rhs.matrix(rows, k, k),
                                     .solutions = data->solutions.matrix(rows, k, k),
                                     .failures = data->failures.view()});
              }};
}

Case als_case(const Context& ctx, const Sizes& sizes, std::int64_t k, bool implicit) {
  auto data = std::make_shared<HalfStep>(ctx, sizes, k);
  const double nnz = data->ratings.nnz, rows = sizes.users;
  return {.kernel = implicit ? "als_solve (implicit)" : "als_solve",
          .shape = csr_shape(data->ratings, k),
          .bytes = data->bytes(),
          .flops = nnz * (k * (k + 1.0) + 2.0 * k) + rows * (std::pow(k, 3) / 3 + 2.0 * k * k),
          .unique_bytes = data->unique_bytes(),
          .prepare = {},
          .run = [&ctx, data, k, implicit] {
            als_solve(ctx, {.ratings = data->ratings.view(),
                            .weights = {},
                            .factors = data->items.view(),
                            .biases = {},
                            .base = implicit ? data->base.matrix(k, k, k) : MatrixView<float>{},
                            .model = implicit ? implicit_weights() : AlsWeights{},
                            .solutions = data->users.view(),
                            .solution_biases = {},
                            .failures = data->failures.view()});
          }};
}

Case cg_case(const Context& ctx, const Sizes& sizes, std::int64_t k) {
  constexpr int kSteps = 3;
  auto data = std::make_shared<HalfStep>(ctx, sizes, k);
  const double nnz = data->ratings.nnz, rows = sizes.users;
  return {.kernel = "ials_cg (3 steps)",
          .shape = csr_shape(data->ratings, k),
          .bytes = data->bytes() + 4.0 * k * rows,
          .flops = (kSteps + 1) * (4.0 * k * nnz + 2.0 * k * k * rows),
          .unique_bytes = data->unique_bytes() + 4.0 * k * rows,
          .prepare = {},
          .run = [&ctx, data, k] {
            ials_cg(ctx, {.ratings = data->ratings.view(),
                          .weights = {},
                          .factors = data->items.view(),
                          .biases = {},
                          .base = data->base.matrix(k, k, k),
                          .model = implicit_weights(),
                          .steps = kSteps,
                          .solutions = data->users.view(),
                          .solution_biases = {}});
          }};
}

/// The user of each rating, in the order of a CSR's entries.
std::vector<std::int32_t> users_of(const Ratings& ratings) {
  std::vector<std::int32_t> users;
  for (std::int64_t u = 0; u < ratings.rows; ++u)
    users.resize(static_cast<std::size_t>(ratings.offsets[static_cast<std::size_t>(u) + 1]),
                 static_cast<std::int32_t>(u));
  return users;
}

Case sgd_case(const Context& ctx, const Sizes& sizes, std::int64_t k) {
  struct Data {
    SgdRatings ratings;
    Table users, items;
    Buffer<float> user_state, item_state;
    Buffer<double> loss;
  };
  const Ratings host = user_ratings(sizes);
  const std::vector<std::int32_t> user = users_of(host);
  std::vector<std::int64_t> user_counts(static_cast<std::size_t>(host.rows));
  std::vector<std::int64_t> item_counts(static_cast<std::size_t>(host.cols));
  for (const std::int32_t u : user) ++user_counts[static_cast<std::size_t>(u)];
  for (const std::int32_t i : host.indices) ++item_counts[static_cast<std::size_t>(i)];
  const SgdGrid grid = sgd_grid(user_counts, item_counts);
  const std::int32_t blocks = grid.users.blocks;
  const auto state = [&](std::int64_t rows) {  // biases 0, accumulators 1
    std::vector<float> values(static_cast<std::size_t>(rows * 4));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = i % 4 == 0 ? 0.0f : 1.0f;
    return Buffer<float>::from_host(ctx, values);
  };
  auto data = std::make_shared<Data>(
      sgd_ratings(ctx, grid, 0, blocks, {user, host.indices, host.values, {}, {}}, 1),
      Table(ctx, sizes.users, k, 2), Table(ctx, sizes.items, k, 3), state(sizes.users),
      state(sizes.items), Buffer<double>(ctx, blocks));
  data->loss.zero();
  const double nnz = host.nnz();
  return {.kernel = "mf_sgd (one epoch)",
          .shape = fmt::format("{} x {}, {} ratings, k {}, {} blocks a side", sizes.users,
                               sizes.items, host.nnz(), k, blocks),
          .bytes = nnz * (12 + 8.0 * k + 32),
          .flops = nnz * (10.0 * k + 20),
          .prepare = {},
          .run = [&ctx, data, blocks, sizes] {
            MfSgdArgs args;
            args.blocks = data->ratings.blocks();
            args.rates = {.learning_rate = 0.01f, .global_mean = 3};
            args.users = data->users.view();
            args.items = data->items.view();
            args.user_state = data->user_state.matrix(sizes.users, 4, 4);
            args.item_state = data->item_state.matrix(sizes.items, 4, 4);
            args.loss = data->loss.view();
            for (args.shift = 0; args.shift < blocks; ++args.shift) mf_sgd(ctx, args);
          }};
}

Case predict_case(const Context& ctx, const Sizes& sizes, std::int64_t k) {
  struct Data {
    Buffer<std::int32_t> users, items;
    Buffer<float> values, predictions;
    Buffer<double> sums;
    Table user_factors, item_factors;
  };
  const Ratings ratings = user_ratings(sizes);
  auto data = std::make_shared<Data>(Buffer<std::int32_t>::from_host(ctx, users_of(ratings)),
                                     Buffer<std::int32_t>::from_host(ctx, ratings.indices),
                                     Buffer<float>::from_host(ctx, ratings.values),
                                     Buffer<float>(ctx, ratings.nnz()), Buffer<double>(ctx, 3),
                                     Table(ctx, sizes.users, k, 2), Table(ctx, sizes.items, k, 3));
  data->sums.zero();
  const double b = ratings.nnz();
  return {.kernel = "mf_predict",
          .shape = fmt::format("{} pairs, k {}", ratings.nnz(), k),
          .bytes = b * (8 + 8.0 * k + 4 + 4),
          .flops = 2.0 * k * b,
          .prepare = {},
          .run = [&ctx, data] {
            mf_predict(ctx, {.user_ids = data->users.view(),
                             .item_ids = data->items.view(),
                             .users = data->user_factors.view(),
                             .items = data->item_factors.view(),
                             .user_biases = {},
                             .item_biases = {},
                             .values = data->values.view(),
                             .weights = {},
                             .predictions = data->predictions.view(),
                             .error_sums = data->sums.view()});
          }};
}

Case top_k_case(const Context& ctx, const Sizes& sizes, std::int64_t k) {
  constexpr std::int32_t kCount = 100;
  struct Data {
    Table queries, items;
    Buffer<std::int32_t> best;
    Buffer<float> scores;
  };
  auto data = std::make_shared<Data>(Table(ctx, sizes.queries, k, 2), Table(ctx, sizes.items, k, 3),
                                     Buffer<std::int32_t>(ctx, sizes.queries * kCount),
                                     Buffer<float>(ctx, sizes.queries * kCount));
  const double q = sizes.queries, n = sizes.items;
  return {.kernel = "top_k (100)",
          .shape = fmt::format("{} queries, {} items, k {}", sizes.queries, sizes.items, k),
          .bytes = 4.0 * k * (q + n) + 8 * q * kCount,
          .flops = 2.0 * k * q * n,
          .prepare = {},
          .run = [&ctx, data, q = sizes.queries] {
            top_k(ctx, {.queries = data->queries.view(),
                        .items = data->items.view(),
                        .item_biases = {},
                        .excluded = {},
                        .count = kCount,
                        .out_items = data->best.matrix(q, kCount, kCount),
                        .out_scores = data->scores.matrix(q, kCount, kCount)});
          }};
}
}  // namespace

std::vector<NamedCase> all_cases() {
  const auto als = [](bool implicit) {
    return [implicit](const Context& ctx, const Sizes& sizes, std::int64_t k) {
      return als_case(ctx, sizes, k, implicit);
    };
  };
  std::vector<NamedCase> cases{{"gram", gram_case},
                               {"normal_equations", normal_equations_case},
                               {"cholesky_solve", cholesky_case},
                               {"als_solve", als(false)},
                               {"als_solve (implicit)", als(true)},
                               {"ials_cg (3 steps)", cg_case},
                               {"mf_sgd (one epoch)", sgd_case},
                               {"mf_predict", predict_case},
                               {"top_k (100)", top_k_case}};
  for (NamedCase& linear : linear_cases()) cases.push_back(std::move(linear));
  return cases;
}

}  // namespace gradmill::bench
