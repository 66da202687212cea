// Learning rates of mini-batch training by step.
#pragma once

#include <cstdint>
#include <string>

namespace gradmill {

/// The rate of step t (from 0). The first warmup_steps rise linearly to `rate` (t + 1 of warmup_steps); then
///   constant      rate
///   inverse_sqrt  rate sqrt(w / (t + 1)), w = max(warmup_steps, 1)
/// and of `planned_steps` in all (0: unknown, then constant), with f = t / planned_steps:
///   linear        rate (1 - f)
///   cosine        rate (1 + cos(pi f)) / 2                    (Loshchilov, Hutter, ICLR'17)
///   step          rate, a tenth from f = 0.5, a hundredth from 0.75
///   one_cycle     from rate / 25 to rate at f = 0.3 and to rate / 250000 at 1, by cosines
///                 (Smith, Topin, arXiv 1708.07120; shape as torch.optim.lr_scheduler.OneCycleLR)
struct Schedule {
  std::string name = "constant";
  double rate = 0;
  std::int64_t warmup_steps = 0;
  std::int64_t planned_steps = 0;
};

double learning_rate(const Schedule& schedule, std::int64_t step);

}  // namespace gradmill
