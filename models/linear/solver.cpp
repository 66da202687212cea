#include "models/linear/solver.h"

#include "models/linear/coordinate_descent.h"
#include "models/linear/dual_logistic.h"
#include "models/linear/mini_batch.h"
#include "models/linear/newton_cg.h"
#include "models/linear/online.h"
#include "models/linear/proximal_newton.h"
#include "models/linear/quasi_newton.h"
#include "models/linear/step_rates.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {
constexpr int kMaxHistory = 20;  // rows that one combination may have: kMaxVectorTerms

std::string loss_name(const LinearConfig& config, int num_classes) {
  if (config.loss != "auto") return config.loss;
  if (num_classes == 0) return "squared";
  if (config.multiclass == "softmax") return "softmax";
  return num_classes <= 2 || config.multiclass == "one_vs_rest" ? "logistic" : "softmax";
}

LossKind kind_of(const std::string& name) {
  if (name == "squared") return LossKind::squared;
  if (name == "logistic") return LossKind::logistic;
  if (name == "softmax") return LossKind::softmax;
  if (name == "hinge") return LossKind::hinge;
  if (name == "squared_hinge") return LossKind::squared_hinge;
  if (name == "huber") return LossKind::huber;
  if (name == "quantile") return LossKind::quantile;
  require(name == "poisson", "loss {}", name);
  return LossKind::poisson;
}

std::string title(LossKind kind) {
  switch (kind) {
    case LossKind::squared:
      return "least squares";
    case LossKind::logistic:
      return "logistic regression";
    case LossKind::softmax:
      return "softmax regression";
    case LossKind::hinge:
      return "support vector machine";
    case LossKind::squared_hinge:
      return "support vector machine (squared hinge)";
    case LossKind::huber:
      return "Huber regression";
    case LossKind::quantile:
      return "quantile regression";
    case LossKind::poisson:
      return "Poisson regression";
  }
  return "";
}

/// Whether coordinate descent has a quadratic model of the loss: with curvature wherever there is a slope.
bool has_model(const Loss& loss) {
  return loss.kind == LossKind::logistic || loss.kind == LossKind::squared ||
         loss.kind == LossKind::squared_hinge;
}

/// Which coordinate descent: of the dual variables, or of the coefficients. Those of logistic losses can
/// do both; where there is no intercept, the dual ones are faster.
bool is_dual(const LinearConfig& config, const Loss& loss) {
  if (loss.kind == LossKind::logistic) return config.l1 == 0 && config.l2 > 0 && !config.intercept;
  return loss.kind == LossKind::hinge || (loss.kind == LossKind::squared_hinge && config.l1 == 0);
}

void require_descent(const Context& ctx, const Communicator& comm, const LinearConfig& config,
                     const Loss& loss) {
  const char* const name = "optimizer \"coordinate_descent\"";
  expect(is_dual(config, loss) || has_model(loss), ErrorKind::usage,
         "{} is for the losses hinge, squared_hinge, logistic and squared; use \"auto\"", name);
  if (is_dual(config, loss)) {
    expect(config.l1 == 0 && config.l2 > 0, ErrorKind::usage,
           "{} for hinge losses needs l2 above 0 and l1 0, not l2 {} and l1 {}", name, config.l2,
           config.l1);
    expect(!config.intercept, ErrorKind::usage,
           "{} for hinge losses has no unregularized intercept; set intercept = false, or add a "
           "feature that is 1",
           name);
  }
  expect(comm.world_size() == 1, ErrorKind::usage,
         "{} runs in one process, and this run has {}; use \"{}\"", name, comm.world_size(),
         loss.kind == LossKind::hinge ? "adagrad"
         : config.l1 > 0              ? "owlqn"
                                      : "newton_cg");
  expect(!ctx.is_cuda(), ErrorKind::usage,
         "{} runs on the CPU; set device = \"cpu\", or use \"{}\"", name,
         loss.kind == LossKind::hinge ? "adagrad"
         : config.l1 > 0              ? "owlqn"
                                      : "newton_cg");
}
}  // namespace

Loss linear_loss(const LinearConfig& config, int num_classes) {
  const std::string name = loss_name(config, num_classes);
  const Loss loss{kind_of(name), static_cast<float>(config.loss_parameter)};
  const bool classifies =
      name == "logistic" || name == "softmax" || name == "hinge" || name == "squared_hinge";
  expect(!classifies || num_classes >= 2, ErrorKind::usage,
         "loss \"{}\" needs classes, and the labels are {}", name,
         num_classes == 1 ? "of one class only" : "numbers");
  expect(config.multiclass != "softmax" || name == "softmax" || num_classes == 0, ErrorKind::usage,
         "multiclass = \"softmax\" does not go with loss \"{}\"", name);
  expect(name != "softmax" || config.multiclass != "one_vs_rest", ErrorKind::usage,
         "multiclass = \"one_vs_rest\" does not go with loss \"softmax\"; use \"logistic\"");
  return loss;
}

LinearShape linear_shape(const LinearConfig& config, std::int64_t num_features, int num_classes) {
  const bool softmax = linear_loss(config, num_classes).kind == LossKind::softmax;
  return {num_features, num_classes > 2 || softmax ? num_classes : 1, num_classes};
}

std::unique_ptr<LinearSolver> make_linear_solver(const Context& ctx, const Context& host,
                                                 Communicator& comm, const LinearConfig& config,
                                                 std::uint64_t seed, const LinearShape& shape,
                                                 Samples mine) {
  const Loss loss = linear_loss(config, shape.num_classes);
  require(mine.num_features == shape.num_features, "{} features of {}", mine.num_features,
          shape.num_features);
  require(static_cast<std::int64_t>(mine.labels.size()) == mine.rows(), "{} labels of {} rows",
          mine.labels.size(), mine.rows());
  LinearConfig own = with_defaults(config);
  // Left to here by l1: what is fastest on one CPU, else what runs anywhere.
  if (own.optimizer == "auto")
    own.optimizer = comm.world_size() == 1 && !ctx.is_cuda() && has_model(loss)
                        ? "coordinate_descent"
                        : "owlqn";
  const std::string what =
      title(loss.kind) +
      (shape.outputs > 1 && loss.kind != LossKind::softmax ? ", one class against the rest" : "");
  const bool smooth_only =
      own.optimizer == "lbfgs" || own.optimizer == "owlqn" || own.optimizer == "newton_cg";
  expect(!(smooth_only && (loss.kind == LossKind::hinge || loss.kind == LossKind::quantile)),
         ErrorKind::usage,
         "optimizer \"{}\" needs a smooth loss, and this one has a kink; use "
         "\"coordinate_descent\", or a mini-batch optimizer such as \"adagrad\"",
         own.optimizer);
  expect(!(own.l1 > 0 && (own.optimizer == "lbfgs" || own.optimizer == "newton_cg")),
         ErrorKind::usage, "optimizer \"{}\" cannot do l1; use \"owlqn\"", own.optimizer);
  expect(own.history >= 1 && own.history <= kMaxHistory, ErrorKind::usage,
         "optimizer.history is {}; it must be in [1, {}]", own.history, kMaxHistory);
  if (own.optimizer == "coordinate_descent") require_descent(ctx, comm, own, loss);
  if (own.optimizer == "coordinate_descent" && !is_dual(own, loss))
    return std::make_unique<ProximalNewtonSolver>(ctx, host, comm, own, seed, shape, loss,
                                                  std::move(mine), what + ", coordinate descent");
  if (is_mini_batch(own.optimizer)) own = with_data_defaults(host, comm, own, loss, mine);
  if (OnlineSolver::can(ctx, comm, own, shape, mine))
    return std::make_unique<OnlineSolver>(host, comm, own, seed, shape, loss, std::move(mine),
                                          what + ", " + own.optimizer);
  auto order = order_columns_by_frequency(host, comm, mine);
  if (is_mini_batch(own.optimizer))
    return std::make_unique<MiniBatchSolver>(ctx, host, comm, own, seed, shape, loss,
                                             std::move(mine), std::move(order),
                                             what + ", " + own.optimizer);
  if (own.optimizer == "coordinate_descent" && loss.kind == LossKind::logistic)
    return std::make_unique<DualLogisticSolver>(ctx, host, comm, own, seed, shape, std::move(mine),
                                                std::move(order),
                                                what + ", dual coordinate descent");
  if (own.optimizer == "coordinate_descent")
    return std::make_unique<CoordinateDescentSolver>(ctx, host, comm, own, seed, shape, loss,
                                                     std::move(mine), std::move(order),
                                                     what + ", dual coordinate descent");
  if (own.optimizer == "newton_cg")
    return std::make_unique<NewtonSolver>(ctx, host, comm, own, shape, loss, std::move(mine),
                                          std::move(order), what + ", Newton-CG");
  return std::make_unique<QuasiNewtonSolver>(ctx, host, comm, own, shape, loss, std::move(mine),
                                             std::move(order),
                                             what + (own.l1 > 0 ? ", OWL-QN" : ", L-BFGS"));
}

}  // namespace gradmill
