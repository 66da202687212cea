// Matrix factorization as a training run sees it: ALS, iALS and SGD.
#pragma once

#include "launch/trainee.h"

namespace gradmill {

std::unique_ptr<Trainee> make_mf_trainee(const TrainingSite& site);

}  // namespace gradmill
