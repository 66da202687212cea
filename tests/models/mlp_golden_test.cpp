// Gradients and ten training steps of small MLPs against PyTorch (tests/golden/mlp.py).
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/mlp_problem.h"

namespace gradmill {
namespace {
using testing::Tensors;
using testing::tensors_of;

const Tensors& golden() {
  static const Tensors values = [] {
    Tensors all;
    std::ifstream file(std::string(GRADMILL_SOURCE_DIR) + "/tests/golden/mlp.txt");
    std::string name;
    std::size_t count = 0;
    while (file >> name >> count) {
      std::vector<float>& to = all[name];
      to.resize(count);
      for (float& x : to) file >> x;
    }
    return all;
  }();
  return values;
}

Samples samples() {
  const auto &numeric = golden().at("numeric"), &ids = golden().at("ids");
  Samples s;
  s.labels = golden().at("labels");
  s.num_features = 3 + 4 + 7;
  for (std::size_t r = 0; r < s.labels.size(); ++r) {
    for (std::int32_t i = 0; i < 3; ++i) {
      s.indices.push_back(i);
      s.values.push_back(numeric[3 * r + static_cast<std::size_t>(i)]);
    }
    for (std::size_t f = 0; f < 2; ++f) {
      s.indices.push_back(3 + static_cast<std::int32_t>(ids[2 * r + f]));
      s.values.push_back(1);
    }
    s.offsets.push_back(static_cast<std::int64_t>(s.indices.size()));
  }
  return s;
}

MlpConfig config_of(const char* optimizer, const char* activation, const char* loss, double rate) {
  MlpConfig c;
  c.hidden = "8,6";
  c.embedding_dim = 3;
  c.optimizer = optimizer;
  c.activation = activation;
  c.loss = loss;
  c.learning_rate = rate;
  c.momentum = 0;
  c.epsilon = 1e-6;
  c.embedding_optimizer = "same";
  return c;
}

class Training {
 public:
  explicit Training(const MlpConfig& config)
      : outputs_(config.loss == "softmax" ? 3 : 1),
        ctx_(Context::cpu(2)),
        comm_(make_self_communicator()) {
    const MlpShape shape{{{0, 1, false}, {1, 1, false}, {2, 1, false}, {3, 4, true}, {7, 7, true}},
                         outputs_,
                         outputs_ == 3 ? 3 : 0};
    solver_ = make_mlp_solver(ctx_, ctx_, *comm_, config, 1, shape, samples());
    for (const StateTensor& t : solver_->state()) {
      const auto found = golden().find(std::to_string(outputs_) + "/" + t.name);
      if (found == golden().end()) continue;
      const MatrixView<float> to = t.values<float>();
      for (std::int64_t r = 0; r < to.rows; ++r)
        std::copy_n(found->second.begin() + r * to.cols, to.cols, to.row(r));
      ++overwritten_;
    }
    solver_->restored();
  }
  /// The loss before the step.
  double step(int number) {
    solver_->run_epoch(number);
    return solver_->loss();
  }
  Tensors tensors() { return tensors_of(*solver_); }
  int overwritten() const { return overwritten_; }

 private:
  int outputs_, overwritten_ = 0;
  Context ctx_;
  std::unique_ptr<Communicator> comm_;
  std::unique_ptr<MlpSolver> solver_;
};

void check(const std::string& name, const MlpConfig& config) {
  SCOPED_TRACE(name);
  // Gradients: the difference that one step of plain gradient descent at rate 1 makes.
  MlpConfig plain = config_of("sgd", config.activation.c_str(), config.loss.c_str(), 1);
  plain.loss_parameter = config.loss_parameter;
  plain.norm = config.norm;
  Training one(plain), ten(config);
  ASSERT_EQ(ten.overwritten(), config.norm == "none" ? 7 : 11);
  const Tensors before = one.tensors();
  one.step(0);
  for (const auto& [tensor, values] : one.tensors()) {
    if (tensor.ends_with(".norm.mean") || tensor.ends_with(".norm.variance")) continue;
    const auto& gradient = golden().at(name + "/gradient/" + tensor);
    for (std::size_t i = 0; i < values.size(); ++i)
      ASSERT_NEAR(before.at(tensor)[i] - values[i], gradient[i],
                  1e-6 + 1e-5 * std::abs(gradient[i]))
          << tensor << " " << i;
  }
  const auto& losses = golden().at(name + "/losses");
  for (int s = 0; s < 10; ++s) {
    const double expected = losses[static_cast<std::size_t>(s)];
    ASSERT_NEAR(ten.step(s), expected, 1e-5 * (1 + expected)) << "step " << s;
  }
  for (const auto& [tensor, values] : ten.tensors()) {
    const auto found = golden().find(name + "/after/" + tensor);
    if (found == golden().end()) continue;  // an optimizer's slots
    for (std::size_t i = 0; i < values.size(); ++i)
      ASSERT_NEAR(values[i], found->second[i], 1e-5 * (1 + std::abs(found->second[i])))
          << tensor << " " << i;
  }
}

TEST(MlpGoldenTest, TenStepsOfPyTorch) {
  check("sgd_relu_softmax", config_of("sgd", "relu", "softmax", 0.2));
  MlpConfig nesterov = config_of("sgd", "gelu", "softmax", 0.1);
  nesterov.momentum = 0.9;
  nesterov.nesterov = true;
  check("nesterov_gelu_softmax", nesterov);
  MlpConfig momentum = config_of("sgd", "tanh", "squared", 0.05);
  momentum.momentum = 0.8;
  check("momentum_tanh_squared", momentum);
  MlpConfig huber = config_of("adam", "silu", "huber", 0.01);
  huber.loss_parameter = 0.7;
  check("adam_silu_huber", huber);
  check("adamw_tanh_softmax", config_of("adamw", "tanh", "softmax", 0.01));
  check("adagrad_gelu_poisson", config_of("adagrad", "gelu", "poisson", 0.05));
  MlpConfig clipped = config_of("sgd", "identity", "squared", 0.3);
  clipped.clip_norm = 0.5;
  check("clipped_sgd_identity_squared", clipped);
  MlpConfig normalized = config_of("adam", "gelu", "softmax", 0.01);
  normalized.norm = "layer";
  check("layer_norm_adam_gelu_softmax", normalized);
  MlpConfig batches = config_of("sgd", "tanh", "squared", 0.05);
  batches.momentum = 0.8;
  batches.norm = "batch";
  check("batch_norm_momentum_tanh_squared", batches);
  batches = config_of("sgd", "gelu", "softmax", 0.1);
  batches.norm = "batch";
  check("batch_norm_sgd_gelu_softmax", batches);
}
}  // namespace
}  // namespace gradmill
