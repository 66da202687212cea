// Weights of samples from the weights of their classes.
#pragma once

#include <span>
#include <string>

#include "dist/communicator.h"
#include "models/linear/samples.h"

namespace gradmill {

/// W = sum of the weights over all ranks' samples; collective.
/// Errors: ErrorKind::data if there are no samples or W is not positive and finite.
double global_weight(const Context& host, Communicator& comm, const Samples& mine);

/// Multiplies the samples' weights by those of their classes; collective. class_weight: "none", "balanced"
/// (W / (C W_c), with W_c the weight of class c over all ranks), or "name=2.5,other=1"; classes that it does
/// not name keep 1. Labels are classes 0 .. names.size() - 1.
/// Errors: ErrorKind::usage for a name that is no class or a weight that is not a positive number.
void apply_class_weights(const Context& host, Communicator& comm, const std::string& class_weight,
                         std::span<const std::string> names, Samples& mine);

}  // namespace gradmill
