#include "models/schedule.h"

#include <algorithm>
#include <cmath>

#include "runtime/expect.h"

namespace gradmill {
namespace {
constexpr double kPi = 3.141592653589793;

double by_cosine(double from, double to, double part) {
  return to + (from - to) * 0.5 * (1 + std::cos(kPi * part));
}

double one_cycle(double rate, double done) {
  constexpr double kPeak = 0.3, kStart = 25, kEnd = 1e4;  // rate / kStart / kEnd is the last
  if (done < kPeak) return by_cosine(rate / kStart, rate, done / kPeak);
  return by_cosine(rate, rate / kStart / kEnd, (done - kPeak) / (1 - kPeak));
}
}  // namespace

double learning_rate(const Schedule& s, std::int64_t step) {
  const auto t = static_cast<double>(step);
  double rate = s.rate;
  if (step < s.warmup_steps) rate *= (t + 1) / static_cast<double>(s.warmup_steps);
  if (s.name == "inverse_sqrt") {
    const double from = std::max<double>(static_cast<double>(s.warmup_steps), 1);
    return rate * std::sqrt(from / std::max(t + 1, from));
  }
  if (s.name == "constant" || s.planned_steps <= 0) return rate;
  const double done = std::clamp(t / static_cast<double>(s.planned_steps), 0.0, 1.0);
  if (s.name == "linear") return rate * (1 - done);
  if (s.name == "cosine") return by_cosine(rate, 0, done);
  if (s.name == "one_cycle") return one_cycle(rate, done);
  require(s.name == "step", "schedule {}", s.name);
  return rate * (done < 0.5 ? 1.0 : done < 0.75 ? 0.1 : 0.01);
}

}  // namespace gradmill
