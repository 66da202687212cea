// MLPs as a training run sees them.
#pragma once

#include "launch/trainee.h"

namespace gradmill {

std::unique_ptr<Trainee> make_mlp_trainee(const TrainingSite& site);

}  // namespace gradmill
