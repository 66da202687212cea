// evaluate, predict: a linear model on samples from a file.
#include <memory>
#include <utility>

#include "launch/linear_model.h"
#include "launch/model_verbs.h"
#include "launch/sample_verbs.h"
#include "models/linear/scorer.h"

namespace gradmill {
namespace {
SamplePredictor load_linear(const Context& ctx, const Context& host, const std::string& path) {
  const auto model = std::make_shared<LinearModel>(LinearModel::load(ctx, path));
  return {model->inputs(), model->config(), model->link(), model->outputs(),
          [model, &ctx, &host](Samples samples) {
            return Scorer(ctx, host, std::move(samples)).margins(model->parameters());
          }};
}
}  // namespace

int evaluate_linear(const Options& options, World& world, Log& log) {
  return evaluate_samples(options, world, log, load_linear);
}

int predict_linear(const Options& options, World& world, Log& log) {
  return predict_samples(options, world, log, load_linear);
}

}  // namespace gradmill
