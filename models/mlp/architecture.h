// What the keys of an MLP's configuration mean for given data.
#pragma once

#include "kernels/losses.h"
#include "kernels/optimizers.h"
#include "models/mlp/config.h"
#include "models/mlp/network.h"
#include "models/mlp/rows.h"

namespace gradmill {

OptimizerKind mlp_optimizer(const std::string& name);
/// Errors: ErrorKind::usage if the loss does not fit the labels.
Loss mlp_loss(const MlpConfig& config, int num_classes);
/// config.embedding_dim; 0: 4 times the rounded-up fourth root of the categories of the largest field, at most
/// 64. 0 without categorical fields.
std::int64_t embedding_dim(const MlpConfig& config, const MlpColumns& columns);
MlpArchitecture mlp_architecture(const MlpConfig& config, const MlpShape& shape,
                                 const MlpColumns& columns);

}  // namespace gradmill
