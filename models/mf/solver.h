// What the training loop needs of a factorization algorithm. Each is one object on each rank.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/epoch_observer.h"
#include "models/mf/config.h"
#include "models/mf/factors.h"
#include "models/mf/ratings.h"
#include "models/state_tensor.h"

namespace gradmill {

struct MfSize {
  std::int64_t users = 0, items = 0;  // rows of the whole tables
};

/// Takes the next items of some rows, in host memory.
using ItemSink = std::function<void(std::span<const std::int32_t>)>;

/// Who rated what, values not included. The view is valid while this and the solver live: a solver that
/// does not keep such rows makes them for the call, into `made`.
struct SeenRatings {
  CsrView<const float> view;
  CsrRatings made;
};

class MfSolver {
 public:
  virtual ~MfSolver() = default;
  MfSolver() = default;
  MfSolver(MfSolver&&) = delete;

  /// To be told of progress within the epochs that follow.
  void observe(EpochObserver observer) { observer_ = std::move(observer); }

  /// One pass over all ratings. Collective.
  virtual void run_epoch(std::int64_t epoch) = 0;

  /// The training objective per rating after the last epoch (see each solver); collective.
  virtual double loss() = 0;

  /// Collective: afterwards factors() is complete on this rank.
  virtual FactorsView factors() = 0;
  /// Users [boundaries[r], boundaries[r + 1]) live on rank r.
  virtual const RowBoundaries& user_boundaries() const = 0;
  /// Row of the tables -> row as numbered by the caller; empty: the same.
  virtual std::span<const std::int32_t> user_order() const = 0;
  virtual std::span<const std::int32_t> item_order() const = 0;
  /// This rank's users' training ratings, rows as in factors().users: what recommendations leave out.
  virtual SeenRatings seen() = 0;
  /// How many ratings each row of seen() has, and the items of all rows, one row after the other, piece by
  /// piece: in memory for a piece.
  virtual std::vector<std::int64_t> seen_counts() const = 0;
  virtual void visit_seen_items(const ItemSink& sink) const = 0;

  /// Everything that decides the next epoch. Every row is on exactly one rank. After the caller has
  /// overwritten the values (resume, warm start), it calls restored().
  virtual std::vector<StateTensor> state() = 0;
  virtual void restored() = 0;

  virtual std::string describe() const = 0;

 protected:
  void done(double fraction) const {
    if (observer_) observer_(fraction);
  }

 private:
  EpochObserver observer_;
};

/// Collective; takes this rank's ratings (any rows) and sends them where they are needed.
/// ctx: the device to train on; host: a CPU context with this rank's threads.
std::unique_ptr<MfSolver> make_mf_solver(const Context& ctx, const Context& host,
                                         Communicator& comm, const MfConfig& config,
                                         std::uint64_t seed, MfSize size, Ratings mine);

}  // namespace gradmill
