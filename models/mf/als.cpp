#include "models/mf/als.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "kernels/als_solve/als_solve.h"
#include "kernels/cholesky_solve/cholesky_solve.h"
#include "kernels/gram/gram.h"
#include "kernels/ials_cg/ials_cg.h"
#include "kernels/mf_predict/mf_predict.h"
#include "runtime/expect.h"
#include "runtime/trace.h"
#include "runtime/workspace.h"

namespace gradmill {
namespace {
constexpr std::int64_t kPieceRatings = 1 << 20, kPieces = 16;  // of a half-step; see solve()
constexpr std::int64_t kSample = std::int64_t{1} << 18;
constexpr std::int64_t kReduceBytes = std::int64_t{256}
                                      << 20;  // workspace of one reduced tile of systems

std::vector<std::int64_t> counts_of(const RowBoundaries& boundaries, std::int64_t scale) {
  std::vector<std::int64_t> counts(boundaries.size() - 1);
  for (std::size_t r = 0; r < counts.size(); ++r)
    counts[r] = (boundaries[r + 1] - boundaries[r]) * scale;
  return counts;
}

template <class T>
Buffer<T> upload(const Context& ctx, const std::vector<T>& host) {
  return Buffer<T>::from_host(ctx, {host.data(), host.size()});
}
}  // namespace

AlsSolver::AlsSolver(const Context& ctx, const Context& host, Communicator& comm,
                     const MfConfig& config, std::uint64_t seed, MfSize size, Ratings mine)
    : ctx_(ctx),
      host_(host),
      comm_(comm),
      config_(config),
      implicit_(config.algorithm == "ials"),
      cg_(solves_by_cg(config)) {
  users_.rows = size.users;
  items_.rows = size.items;
  load(std::move(mine));

  const std::int64_t k = config.num_factors;
  auto allocate = [&](Side& side, const RowBoundaries& boundaries, bool all, RandomStream stream) {
    const auto rank = static_cast<std::size_t>(comm.rank());
    side.boundaries = &boundaries;
    side.first = boundaries[rank];
    side.count = boundaries[rank + 1] - side.first;
    side.held_first = all ? 0 : side.first;
    side.factors = FactorTable(ctx, all ? side.rows : side.count, k);
    side.factors.initialize(seed, stream, side.held_first, config.init_stddev);
    if (!implicit_ && config.biases) {
      // At least one, so that a rank without users still tells the kernels that there are biases.
      side.biases = Buffer<float>(ctx, std::max<std::int64_t>(side.factors.rows(), 1));
      side.biases.zero();
    }
  };
  allocate(users_, user_boundaries_, !reduce_, RandomStream::init_users);
  allocate(items_, item_boundaries_, true, RandomStream::init_items);
  gram_ = Buffer<float>(ctx, k * k);
  failures_ = Buffer<std::int32_t>(ctx, 1);
}

void AlsSolver::load(Ratings mine) {
  const auto user_counts = global_counts(host_, comm_, mine.users, users_.rows);
  const auto item_counts = global_counts(host_, comm_, mine.items, items_.rows);
  global_ratings_ = std::accumulate(user_counts.begin(), user_counts.end(), std::int64_t{0});
  const int world = comm_.world_size();
  // Solving a row costs k^3 / 3 where a rating costs k^2 (Cholesky), 2 k^2 a step where a rating costs
  // 4 k (conjugate gradient).
  const std::int64_t row_cost = config_.num_factors / (cg_ ? 2 : 3) + 1;
  user_boundaries_ = balanced_boundaries(user_counts, world, row_cost);
  item_boundaries_ = balanced_boundaries(item_counts, world, row_cost);

  if (!implicit_ && config_.biases) {
    std::array<double, 2> sums{};
    for (std::size_t e = 0; e < mine.values.size(); ++e) {
      const double w = mine.weights.empty() ? 1.0 : mine.weights[e];
      sums[0] += w;
      sums[1] += w * mine.values[e];
    }
    comm_.all_reduce_sum(host_, VectorView<double>{sums.data(), 2, {}});
    mean_ = sums[0] > 0 ? static_cast<float>(sums[1] / sums[0]) : 0.0f;
  }

  // Bytes that an epoch moves beside the item factors, which both ways gather.
  const std::int64_t m = config_.num_factors + (!implicit_ && config_.biases ? 1 : 0);
  const std::int64_t gather_floats = users_.rows * factor_stride(config_.num_factors);
  const std::int64_t reduce_floats = items_.rows * (m * m + m);
  const bool can_reduce = !cg_ && (config_.ridge_exponent == 0 || config_.ridge_exponent == 1);
  reduce_ = config_.exchange == "reduce" || (config_.exchange == "auto" && world > 1 &&
                                             can_reduce && reduce_floats < gather_floats);

  const auto rank = static_cast<std::size_t>(comm_.rank());
  const std::int64_t first_user = user_boundaries_[rank],
                     my_users = user_boundaries_[rank + 1] - first_user;
  const std::int64_t first_item = item_boundaries_[rank],
                     my_items = item_boundaries_[rank + 1] - first_item;
  Ratings of_items;
  if (!reduce_ && world > 1)
    of_items = exchange_ratings(host_, comm_, mine, mine.items, item_boundaries_);
  const std::vector<std::int32_t> keys = world > 1 ? mine.users : std::vector<std::int32_t>{};
  Ratings of_users = exchange_ratings(host_, comm_, std::move(mine), keys, user_boundaries_);
  by_user_ = CsrRatings::by_user(host_, first_user, my_users, items_.rows, std::move(of_users));
  if (reduce_ || world == 1) {  // the users' ratings hold all that is needed
    by_item_ = by_user_.transposed(host_);
    for (const std::int64_t count : item_counts) empty_items_ += count == 0;
  } else {
    by_item_ = CsrRatings::build(host_, first_item, my_items, users_.rows, of_items.items,
                                 of_items.users, of_items.values, of_items.weights);
  }
  take_sample(global_ratings_);
  by_user_ = std::move(by_user_).to(ctx_);
  by_item_ = std::move(by_item_).to(ctx_);
}

void AlsSolver::take_sample(std::int64_t global_ratings) {
  const auto csr = by_user_.view();
  const auto weights = by_user_.weights();
  const std::int64_t step = std::max<std::int64_t>(1, (global_ratings + kSample - 1) / kSample);
  std::vector<std::int32_t> users, items;
  std::vector<float> targets, confidence;
  for (std::int64_t u = 0; u < csr.rows; ++u) {
    for (std::int64_t e = csr.offsets[u]; e < csr.offsets[u + 1]; ++e) {
      if (e % step) continue;
      const float w = weights.size ? weights[e] : 1.0f;
      users.push_back(static_cast<std::int32_t>(u));
      items.push_back(csr.indices[e]);
      targets.push_back(implicit_ ? 1.0f : csr.values[e]);
      confidence.push_back(implicit_ ? static_cast<float>(config_.unobserved_weight +
                                                          config_.alpha * w * csr.values[e])
                                     : w);
    }
  }
  std::int64_t sampled = static_cast<std::int64_t>(users.size());
  comm_.all_reduce_sum(host_, VectorView<std::int64_t>{&sampled, 1, {}});
  sample_share_ =
      global_ratings ? static_cast<double>(sampled) / static_cast<double>(global_ratings) : 1.0;
  sample_users_ = upload(ctx_, users);
  sample_items_ = upload(ctx_, items);
  sample_targets_ = upload(ctx_, targets);
  sample_confidence_ = upload(ctx_, confidence);
  if (implicit_) {
    sample_zeros_ = Buffer<float>(ctx_, sample_users_.size());
    sample_zeros_.zero();
  }
  ctx_.synchronize();
}

AlsWeights AlsSolver::weights(const Side& other) const {
  AlsWeights w;
  w.implicit = implicit_;
  w.alpha = static_cast<float>(config_.alpha);
  w.unobserved_weight = static_cast<float>(config_.unobserved_weight);
  w.regularization = static_cast<float>(config_.regularization);
  w.ridge_exponent = static_cast<float>(config_.ridge_exponent);
  w.offset = mean_;
  w.ridge_offset =
      implicit_ ? static_cast<float>(config_.unobserved_weight * static_cast<double>(other.rows))
                : 0.0f;
  return w;
}

MatrixView<const float> AlsSolver::base(Side& other) {
  if (!implicit_) return {};
  const std::int64_t k = config_.num_factors;
  auto matrix = gram_.matrix(k, k, k);
  gram(ctx_, {other.mine(), static_cast<float>(config_.unobserved_weight), matrix});
  comm_.all_reduce_sum(ctx_, gram_.view());
  return matrix;
}

// On the CPU in pieces of rows, between which progress is told; a GPU takes all rows in one launch.
// A row's bits do not depend on the pieces.
void AlsSolver::solve(const CsrRatings& ratings, Side& other, Side& side, double done_before) {
  const auto fixed = base(other);
  const MatrixView<const float> factors = other.factors.view();
  const VectorView<const float> biases = other.biases.view();
  const MatrixView<float> solutions = side.mine();
  const VectorView<float> solution_biases = side.my_biases();
  const std::int64_t rows = solutions.rows;
  const std::int64_t pieces =
      ctx_.is_cuda()
          ? 1
          : std::clamp<std::int64_t>(std::min(ratings.nnz() / kPieceRatings, rows), 1, kPieces);
  for (std::int64_t piece = 0; piece < pieces; ++piece) {
    const std::int64_t first = rows * piece / pieces, count = rows * (piece + 1) / pieces - first;
    const CsrView<const float> csr = csr_rows(ratings.view(), first, count);
    const auto to = solutions.rows_slice(first, count);
    const auto to_biases =
        solution_biases.size ? solution_biases.slice(first, count) : solution_biases;
    if (cg_) {
      ials_cg(ctx_, {csr, ratings.weights(), factors, biases, fixed, weights(other),
                     config_.cg_steps, to, to_biases});
    } else {
      als_solve(ctx_, {csr, ratings.weights(), factors, biases, fixed, weights(other), to,
                       to_biases, failures_.view()});
    }
    done(done_before + 0.5 * static_cast<double>(piece + 1) / static_cast<double>(pieces));
  }
}

void AlsSolver::gather(Side& side) {
  const auto counts = counts_of(*side.boundaries, side.factors.stride());
  comm_.all_gather(ctx_, VectorView<const float>(side.mine().flat()), counts,
                   side.factors.view().flat());
  if (side.biases.empty()) return;
  comm_.all_gather(ctx_, VectorView<const float>(side.my_biases()), counts_of(*side.boundaries, 1),
                   side.biases.view());
}

// Every rank adds its users' part of each item's system. The ridge is additive for exponents 0 and 1,
// so ranks add regularization * own ratings (exponent 1), and rank 0 alone adds what does not depend
// on the ratings (base, ridge_offset, exponent 0).
void AlsSolver::reduce_items() {
  const std::int64_t k = config_.num_factors, m = k + (items_.biases.empty() ? 0 : 1),
                     world = comm_.world_size();
  const auto fixed = base(users_);
  AlsWeights model = weights(users_);
  const bool first = comm_.rank() == 0;
  if (!first) {
    model.ridge_offset = 0;
    if (model.ridge_exponent == 0) model.regularization = 0;
  }
  const std::int64_t tile = std::clamp<std::int64_t>(kReduceBytes / 4 / (m * m), 1,
                                                     std::max<std::int64_t>(items_.rows, 1));
  for (std::int64_t begin = 0; begin < items_.rows; begin += tile) {
    const std::int64_t rows = std::min(tile, items_.rows - begin);
    std::vector<std::int64_t> shares(static_cast<std::size_t>(world));
    for (std::int64_t r = 0; r < world; ++r)
      shares[static_cast<std::size_t>(r)] = (r + 1) * rows / world - r * rows / world;
    const std::int64_t mine = shares[static_cast<std::size_t>(comm_.rank())];
    auto scaled = [&](std::int64_t by) {
      std::vector<std::int64_t> counts = shares;
      for (auto& count : counts) count *= by;
      return counts;
    };
    Workspace::Scope scratch(ctx_);
    auto systems = scratch.take<float>(rows * m * m), rhs = scratch.take<float>(rows * m);
    auto my_systems = scratch.take<float>(mine * m * m), my_rhs = scratch.take<float>(mine * m);
    auto solved = scratch.take<float>(rows * m);
    ctx_.zero(systems.data, static_cast<std::size_t>(systems.size) *
                                sizeof(float));  // upper triangles travel too
    normal_equations(ctx_, {csr_rows(by_item_.view(), begin, rows),
                            by_item_.weights(),
                            users_.factors.view(),
                            users_.biases.view(),
                            first ? fixed : MatrixView<const float>{},
                            model,
                            true,
                            {systems.data, rows, m * m, m * m, systems.device},
                            {rhs.data, rows, m, m, rhs.device}});
    comm_.reduce_scatter_sum(ctx_, VectorView<const float>(systems), scaled(m * m), my_systems);
    comm_.reduce_scatter_sum(ctx_, VectorView<const float>(rhs), scaled(m), my_rhs);
    const MatrixView<float> my_solution{my_rhs.data, mine, m, m, my_rhs.device};
    cholesky_solve(ctx_, {{my_systems.data, mine, m * m, m * m, my_systems.device},
                          my_solution,
                          my_solution,
                          failures_.view()});
    comm_.all_gather(ctx_, VectorView<const float>(my_rhs), scaled(m), solved);
    ctx_.copy_rows(items_.factors.rows_view(begin, rows).data, items_.factors.stride(), solved.data,
                   m, k, rows);
    if (m > k) ctx_.copy_rows(items_.biases.view().data + begin, 1, solved.data + k, m, 1, rows);
  }
}

void AlsSolver::run_epoch(std::int64_t) {
  failures_.zero();
  {
    const TraceSpan span(ctx_.tracer(), "solve users");
    solve(by_user_, items_, users_, 0);
  }
  if (reduce_) {
    const TraceSpan span(ctx_.tracer(), "reduce items");
    reduce_items();
  } else {
    {
      const TraceSpan span(ctx_.tracer(), "gather users");
      gather(users_);
    }
    {
      const TraceSpan span(ctx_.tracer(), "solve items");
      solve(by_item_, users_, items_, 0.5);
    }
    const TraceSpan span(ctx_.tracer(), "gather items");
    gather(items_);
  }
  std::int64_t failed = failures_.to_host()[0];
  comm_.all_reduce_sum(host_, VectorView<std::int64_t>{&failed, 1, {}});
  if (reduce_)
    failed -= config_.regularization == 0 || !implicit_ ? std::min(failed, empty_items_) : 0;
  expect(failed == 0, ErrorKind::not_finite,
         "{} row(s) have normal equations that are not positive definite; use model.regularization "
         "> 0",
         failed);
}

double AlsSolver::loss() {
  std::array<double, 4> sums{};
  auto errors = [&](const Buffer<float>& targets, const Buffer<float>& confidence) {
    Buffer<double> result(ctx_, 3);
    result.zero();
    mf_predict(ctx_, {sample_users_.view(),
                      sample_items_.view(),
                      users_.mine(),
                      items_.factors.view(),
                      users_.my_biases(),
                      items_.biases.view(),
                      mean_,
                      -3.4e38f,
                      3.4e38f,
                      targets.view(),
                      confidence.view(),
                      {},
                      result.view()});
    return result.to_host();
  };
  const auto observed = errors(sample_targets_, sample_confidence_);
  sums[0] = observed[0];
  sums[1] = observed[1];
  if (implicit_) sums[2] = errors(sample_zeros_, Buffer<float>{})[1];
  comm_.all_reduce_sum(host_, VectorView<double>{sums.data(), 4, {}});
  if (!implicit_) return sums[0] > 0 ? sums[1] / sums[0] : 0.0;

  // Everything unobserved: unobserved_weight * |P Qᵀ|^2 = unobserved_weight * <PᵀP, QᵀQ>, less the observed part.
  const std::int64_t k = config_.num_factors;
  Buffer<float> user_gram(ctx_, k * k);
  gram(ctx_, {users_.mine(), 1.0f, user_gram.matrix(k, k, k)});
  comm_.all_reduce_sum(ctx_, user_gram.view());
  base(items_);
  const auto a = user_gram.to_host(), b = gram_.to_host();
  const double all = std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  const double seen = (sums[1] - config_.unobserved_weight * sums[2]) / sample_share_;
  return (all + seen) / static_cast<double>(std::max<std::int64_t>(global_ratings_, 1));
}

FactorsView AlsSolver::factors() {
  return {users_.first,       users_.mine(),        items_.factors.view(),
          users_.my_biases(), items_.biases.view(), mean_};
}

std::vector<std::int64_t> AlsSolver::seen_counts() const { return by_user_.row_counts(); }

void AlsSolver::visit_seen_items(const ItemSink& sink) const {
  const CsrView<const float> csr = by_user_.view();
  visit_on_host(ctx_, VectorView<const std::int32_t>{csr.indices, csr.nnz, csr.device},
                kPieceRatings, sink);
}

std::vector<StateTensor> AlsSolver::state() {
  std::vector<StateTensor> tensors;
  auto add = [&](const std::string& name, Side& side) {
    tensors.push_back(StateTensor::share(name + "_factors", side.rows, side.first, side.mine()));
    if (side.biases.empty()) return;
    const auto biases = side.my_biases();
    tensors.push_back(
        StateTensor::share(name + "_biases", side.rows, side.first,
                           MatrixView<float>{biases.data, biases.size, 1, 1, biases.device}));
  };
  add("user", users_);
  add("item", items_);
  return tensors;
}

void AlsSolver::restored() {
  if (!reduce_) gather(users_);
  gather(items_);
}

std::string AlsSolver::describe() const {
  const std::string name = fmt::format(
      "{}, {}",
      implicit_        ? "iALS"
      : config_.biases ? "ALS with biases"
                       : "ALS",
      cg_ ? fmt::format("conjugate gradient ({} steps)", config_.cg_steps) : "Cholesky");
  return comm_.world_size() == 1
             ? name
             : fmt::format("{}, {}", name,
                           reduce_ ? "normal equations reduced" : "factors gathered");
}

}  // namespace gradmill
