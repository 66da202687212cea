// Training of MLPs: samples a second, one epoch an iteration.
#include <benchmark/benchmark.h>

#include "models/mlp/solver.h"
#include "runtime/random.h"

namespace gradmill {
namespace {
constexpr std::int64_t kRows = 8192;

/// Rows of `inputs` numeric columns, labels of `classes`.
Samples dense_samples(std::int64_t inputs, int classes) {
  Samples s;
  s.num_features = inputs;
  for (std::int64_t r = 0; r < kRows; ++r) {
    for (std::int64_t i = 0; i < inputs; ++i) {
      s.indices.push_back(static_cast<std::int32_t>(i));
      s.values.push_back(
          random_normal(1, RandomStream::split, static_cast<std::uint64_t>(r * inputs + i)).a);
    }
    s.offsets.push_back((r + 1) * inputs);
    s.labels.push_back(static_cast<float>(r % classes));
  }
  return s;
}

void train(benchmark::State& state, const char* hidden, std::int64_t inputs, int classes) {
  const Context ctx = Context::cpu(static_cast<int>(state.range(1)));
  const auto comm = make_self_communicator();
  MlpConfig config;
  config.hidden = hidden;
  config.optimizer = "sgd";
  config.learning_rate = 0.01;
  config.momentum = 0;
  config.global_batch = state.range(0);
  MlpShape shape;
  for (std::int64_t i = 0; i < inputs; ++i) shape.fields.push_back({i, 1, false});
  shape.outputs = shape.num_classes = classes;
  config.loss = "softmax";
  const auto solver =
      make_mlp_solver(ctx, ctx, *comm, config, 1, shape, dense_samples(inputs, classes));
  std::int64_t epoch = 0;
  for (auto _ : state) solver->run_epoch(epoch++);
  state.SetItemsProcessed(state.iterations() * kRows);
}
void mnist_784_128_10(benchmark::State& state) { train(state, "128", 784, 10); }
void hidden_3x512(benchmark::State& state) { train(state, "512,512,512", 512, 10); }

void batches(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"batch", "threads"})->UseRealTime();
  for (const int threads : {1, 2})
    for (const int batch : {256, 1024}) bench->Args({batch, threads});
}
BENCHMARK(mnist_784_128_10)->Apply(batches);
BENCHMARK(hidden_3x512)->Apply(batches);
}  // namespace
}  // namespace gradmill
