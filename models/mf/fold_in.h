// Factors of users that a trained model has not seen, from their ratings and the model's items.
#pragma once

#include "models/mf/config.h"
#include "models/mf/factors.h"
#include "models/mf/ratings.h"

namespace gradmill {

struct FoldedUsers {
  FactorTable factors;   // [users, num_factors]
  Buffer<float> biases;  // [users], or empty if the model has none
};

/// The exact least-squares solution of each new user's row with the items held fixed: what a half-step
/// of ALS (or iALS) gives. For sgd models the same objective: l2 per rating.
/// ratings: users 0 .. users - 1, items are rows of model.items.
FoldedUsers fold_in(const Context& ctx, const Context& host, const MfConfig& config,
                    const FactorsView& model, std::int64_t users, const Ratings& ratings);

}  // namespace gradmill
