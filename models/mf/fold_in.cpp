#include "models/mf/fold_in.h"

#include "kernels/als_solve/als_solve.h"
#include "kernels/gram/gram.h"
#include "runtime/expect.h"

namespace gradmill {

FoldedUsers fold_in(const Context& ctx, const Context& host, const MfConfig& config,
                    const FactorsView& model, std::int64_t users, const Ratings& ratings) {
  const bool implicit = config.algorithm == "ials", biased = model.item_biases.size > 0;
  const std::int64_t items = model.items.rows, k = model.items.cols;
  const CsrRatings csr = CsrRatings::build(host, 0, users, items, ratings.users, ratings.items,
                                           ratings.values, ratings.weights)
                             .to(ctx);
  FoldedUsers folded{FactorTable(ctx, users, k),
                     biased ? Buffer<float>(ctx, users) : Buffer<float>{}};
  AlsWeights weights;
  weights.implicit = implicit;
  weights.alpha = static_cast<float>(config.alpha);
  weights.unobserved_weight = static_cast<float>(config.unobserved_weight);
  weights.regularization = static_cast<float>(config.regularization);
  weights.ridge_exponent =
      config.algorithm == "sgd" ? 1.0f : static_cast<float>(config.ridge_exponent);
  weights.offset = model.mean;
  Buffer<float> gram_buffer;
  MatrixView<const float> base;
  if (implicit) {
    weights.ridge_offset =
        static_cast<float>(config.unobserved_weight * static_cast<double>(items));
    gram_buffer = Buffer<float>(ctx, k * k);
    const auto matrix = gram_buffer.matrix(k, k, k);
    gram(ctx, {model.items, weights.unobserved_weight, matrix});
    base = matrix;
  }
  Buffer<std::int32_t> failures(ctx, 1);
  failures.zero();
  als_solve(ctx, {csr.view(), csr.weights(), model.items, model.item_biases, base, weights,
                  folded.factors.view(), folded.biases.view(), failures.view()});
  const std::int32_t failed = failures.to_host()[0];
  expect(failed == 0, ErrorKind::not_finite,
         "{} new user(s) have normal equations that are not positive definite; train with "
         "model.regularization > 0",
         failed);
  return folded;
}

}  // namespace gradmill
