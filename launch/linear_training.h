// Linear models as a training run sees them: full-batch and mini-batch optimizers.
#pragma once

#include "launch/trainee.h"

namespace gradmill {

std::unique_ptr<Trainee> make_linear_trainee(const TrainingSite& site);

}  // namespace gradmill
