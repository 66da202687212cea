#include "models/mf/sgd.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "dist/shard.h"
#include "kernels/mf_sgd/mf_sgd.h"
#include "runtime/expect.h"
#include "runtime/trace.h"

namespace gradmill {
namespace {
constexpr std::int64_t kState = 4;  // floats of state a row
constexpr std::int64_t kInitRows = 4096;

std::vector<std::int32_t> order_of(const SgdSide& side) {
  std::vector<std::int32_t> order(side.storage.size());
  for (std::size_t row = 0; row < order.size(); ++row)
    order[static_cast<std::size_t>(side.storage[row])] = static_cast<std::int32_t>(row);
  return order;
}

/// Sums of the weights and of the weighted values of all ranks.
std::array<double, 2> weighted_sums(const Context& host, Communicator& comm, const Ratings& mine) {
  std::array<double, 2> sums{};
  for (std::size_t e = 0; e < mine.values.size(); ++e) {
    const double weight = mine.weights.empty() ? 1.0 : mine.weights[e];
    sums[0] += weight;
    sums[1] += weight * mine.values[e];
  }
  comm.all_reduce_sum(host, VectorView<double>{sums.data(), 2, {}});
  return sums;
}

/// Biases start at 0, accumulated squared gradients at 1; a row's squared norm is part of its state.
void initialize_state(const Context& ctx, Buffer<float>& state, FactorTable& table) {
  const MatrixView<float> factors = table.view();
  const VectorView<const float> all = factors.flat();
  std::vector<float> start(static_cast<std::size_t>(factors.rows * kState));
  std::size_t row = 0;
  visit_on_host(ctx, all, kInitRows * factors.stride, [&](std::span<const float> rows) {
    for (auto first = rows.begin(); first != rows.end(); first += factors.stride, ++row) {
      start[row * kState + 1] = start[row * kState + 2] = 1;
      start[row * kState + 3] = std::inner_product(first, first + factors.cols, first, 0.0f);
    }
  });
  state = Buffer<float>::from_host(ctx, {start.data(), start.size()});
  ctx.synchronize();
}
}  // namespace

SgdSolver::SgdSolver(const Context& ctx, const Context& host, Communicator& comm,
                     const MfConfig& config, std::uint64_t seed, MfSize size, Ratings mine)
    : ctx_(ctx), host_(host), comm_(comm), config_(config), size_(size) {
  const auto user_counts = global_counts(host, comm, mine.users, size.users);
  const auto item_counts = global_counts(host, comm, mine.items, size.items);
  const auto [weight, weighted_sum] = weighted_sums(host, comm, mine);
  global_weight_ = weight;
  mean_ = weight > 0 ? static_cast<float>(weighted_sum / weight) : 0.0f;
  grid_ = sgd_grid(user_counts, item_counts);
  blocks_ = grid_.users.blocks;
  user_order_ = order_of(grid_.users);
  item_order_ = order_of(grid_.items);
  block_boundaries_ = {0};
  for (int rank = 0; rank < comm.world_size(); ++rank)
    block_boundaries_.push_back(
        static_cast<std::int32_t>(shard_rows(blocks_, rank, comm.world_size()).end));
  for (const std::int32_t block : block_boundaries_) {
    user_boundaries_.push_back(grid_.users.first(block));
    item_boundaries_.push_back(grid_.items.first(block));
  }

  std::vector<std::int32_t> keys;
  if (comm.world_size() > 1)
    for (const std::int32_t user : mine.users)
      keys.push_back(grid_.users.storage[static_cast<std::size_t>(user)]);
  mine = exchange_ratings(host, comm, std::move(mine), keys, user_boundaries_);
  const auto rank = static_cast<std::size_t>(comm.rank());
  keys = {};
  ratings_ = sgd_ratings(ctx, grid_, block_boundaries_[rank], block_boundaries_[rank + 1],
                         std::move(mine), seed);
  const std::int64_t first_user = user_boundaries_[rank],
                     my_users = user_boundaries_[rank + 1] - first_user;

  users_ = FactorTable(ctx, my_users, config.num_factors);
  items_ = FactorTable(ctx, size.items, config.num_factors);
  users_.initialize(seed, RandomStream::init_users, first_user, config.init_stddev);
  items_.initialize(seed, RandomStream::init_items, 0, config.init_stddev);
  initialize_state(ctx, user_state_, users_);
  initialize_state(ctx, item_state_, items_);
  user_biases_ = Buffer<float>(ctx, my_users);
  item_biases_ = Buffer<float>(ctx, size.items);
  block_loss_ =
      Buffer<double>(ctx, std::max(block_boundaries_[rank + 1] - block_boundaries_[rank], 1));
}

int SgdSolver::owner(std::int32_t user_block) const {
  return static_cast<int>(
             std::upper_bound(block_boundaries_.begin(), block_boundaries_.end(), user_block) -
             block_boundaries_.begin()) -
         1;
}

void SgdSolver::run_epoch(std::int64_t) {
  const TraceSpan span(ctx_.tracer(), "sgd epoch");
  const SgdBlocks blocks = ratings_.blocks();
  SgdRates rates;
  rates.learning_rate = static_cast<float>(config_.learning_rate);
  rates.l2_factors = static_cast<float>(config_.regularization);
  rates.l2_biases = static_cast<float>(config_.bias_regularization);
  rates.adagrad = config_.adagrad;
  rates.global_mean = mean_;
  block_loss_.zero();
  for (std::int32_t shift = 0; shift < blocks_; ++shift) {
    if (blocks.user_blocks > 0)
      mf_sgd(ctx_, {blocks, (shift + ratings_.first_block()) % blocks_, rates, users_.view(),
                    items_.view(), user_state_.matrix(users_.rows(), kState, kState),
                    item_state_.matrix(size_.items, kState, kState),
                    block_loss_.view().slice(0, blocks.user_blocks)});
    rotate(shift);
    done((shift + 1.0) / blocks_);
  }
  const auto losses = block_loss_.to_host();
  double sum = blocks.user_blocks > 0
                   ? std::accumulate(losses.begin(), losses.begin() + blocks.user_blocks, 0.0)
                   : 0.0;
  comm_.all_reduce_sum(host_, VectorView<double>{&sum, 1, {}});
  loss_ = global_weight_ > 0 ? sum / global_weight_ : 0.0;
}

// A rank's user blocks are contiguous, so from one wave to the next at most one item block leaves it
// and at most one comes.
void SgdSolver::rotate(std::int32_t shift) {
  if (comm_.world_size() == 1) return;
  const auto world = static_cast<std::size_t>(comm_.world_size());
  std::vector<std::int64_t> send(world), receive(world);
  std::int32_t leaving = -1, coming = -1;
  for (std::int32_t block = 0; block < blocks_; ++block) {
    const int from = owner((block - shift % blocks_ + blocks_) % blocks_);
    const int to = owner((block - (shift + 1) % blocks_ + blocks_) % blocks_);
    if (from == to) continue;
    if (from == comm_.rank()) {
      leaving = block;
      send[static_cast<std::size_t>(to)] = 1;
    }
    if (to == comm_.rank()) {
      coming = block;
      receive[static_cast<std::size_t>(from)] = 1;
    }
  }
  auto exchange = [&](float* table, std::int64_t width) {
    auto part = [&](std::int32_t block, std::vector<std::int64_t>& counts) {
      if (block < 0) return VectorView<float>{table, 0, ctx_.device()};
      const std::int64_t size = grid_.items.rows_of(block) * width;
      for (auto& count : counts) count *= size;
      return VectorView<float>{table + grid_.items.first(block) * width, size, ctx_.device()};
    };
    auto send_counts = send, receive_counts = receive;
    const auto out = part(leaving, send_counts), in = part(coming, receive_counts);
    comm_.all_to_all(ctx_, VectorView<const float>(out), send_counts, in, receive_counts);
  };
  exchange(items_.view().data, items_.stride());
  exchange(item_state_.view().data, kState);
}

void SgdSolver::gather_items() {
  const auto rank = static_cast<std::size_t>(comm_.rank());
  auto gather = [&](float* table, std::int64_t width) {
    std::vector<std::int64_t> counts;
    for (std::size_t r = 0; r + 1 < item_boundaries_.size(); ++r)
      counts.push_back((item_boundaries_[r + 1] - item_boundaries_[r]) * width);
    comm_.all_gather(ctx_,
                     VectorView<const float>{table + item_boundaries_[rank] * width, counts[rank],
                                             ctx_.device()},
                     counts, VectorView<float>{table, size_.items * width, ctx_.device()});
  };
  gather(items_.view().data, items_.stride());
  gather(item_state_.view().data, kState);
}

FactorsView SgdSolver::factors() {
  gather_items();
  ctx_.copy_rows(user_biases_.view().data, 1, user_state_.view().data, kState, 1, users_.rows());
  ctx_.copy_rows(item_biases_.view().data, 1, item_state_.view().data, kState, 1, size_.items);
  const FactorTable &users = users_, &items = items_;
  return {user_boundaries_[static_cast<std::size_t>(comm_.rank())],
          users.view(),
          items.view(),
          user_biases_.view(),
          item_biases_.view(),
          mean_};
}

SeenRatings SgdSolver::seen() {
  SeenRatings seen{{}, ratings_.by_user(ctx_, host_, users_.rows(), size_.items)};
  seen.view = seen.made.view();
  return seen;
}

void SgdSolver::visit_seen_items(const ItemSink& sink) const {
  const std::int32_t first = ratings_.first_block();
  const auto last = block_boundaries_[static_cast<std::size_t>(comm_.rank()) + 1];
  for (std::int32_t block = first; block < last; ++block) {
    const CsrRatings rows = ratings_.by_user_of_block(
        ctx_, host_, block - first, grid_.users.first(block) - grid_.users.first(first),
        grid_.users.rows_of(block), size_.items);
    sink({rows.view().indices, static_cast<std::size_t>(rows.nnz())});
  }
}

std::vector<StateTensor> SgdSolver::state() {
  const auto rank = static_cast<std::size_t>(comm_.rank());
  const std::int64_t first_item = item_boundaries_[rank],
                     my_items = item_boundaries_[rank + 1] - first_item;
  const std::int64_t first_user = user_boundaries_[rank];
  return {StateTensor::share("user_factors", size_.users, first_user, users_.view()),
          StateTensor::share("item_factors", size_.items, first_item,
                             items_.rows_view(first_item, my_items)),
          StateTensor::share("user_state", size_.users, first_user,
                             user_state_.matrix(users_.rows(), kState, kState)),
          StateTensor::share(
              "item_state", size_.items, first_item,
              item_state_.matrix(size_.items, kState, kState).rows_slice(first_item, my_items))};
}

void SgdSolver::restored() { gather_items(); }

std::string SgdSolver::describe() const {
  return fmt::format("SGD with biases, {}{} x {} blocks", config_.adagrad ? "AdaGrad rates, " : "",
                     blocks_, blocks_);
}

}  // namespace gradmill
