// L-BFGS, and OWL-QN where there is an l1 penalty.
#pragma once

#include "models/linear/full_batch.h"

namespace gradmill {

/// Vector-free two-loop recursion: directions are combinations of the history's rows, whose products are kept
/// (Chen, Wang, Zhou, "Large-scale L-BFGS using MapReduce", NIPS'14). Line search: weak Wolfe conditions by
/// bracketing, with the approximate condition of Hager and Zhang where rounding hides the decrease
/// (SIAM J. Optim. 16, 2005); nearly always the first step is taken, so an iteration is one pass. OWL-QN:
/// Andrew and Gao, ICML'07, with backtracking.
class QuasiNewtonSolver final : public FullBatchSolver {
 public:
  QuasiNewtonSolver(const Context& ctx, const Context& host, Communicator& comm,
                    const LinearConfig& config, const LinearShape& shape, const Loss& loss,
                    Samples mine, std::vector<std::int32_t> order, std::string what);
  std::string describe() const override { return what_; }

 private:
  bool iterate() override;
  std::int32_t stop_gradient() override;
  std::int16_t steps_row(std::size_t k) const;
  std::int16_t changes_row(std::size_t k) const;
  void find_direction(std::int32_t gradient);
  bool search(double slope);
  bool search_orthant(double slope);
  void remember();
  double& product(std::size_t a, std::size_t b);

  enum : std::int32_t { kNext = kFirstFree, kNextGradient, kDirection, kPseudo, kHistory };
  const std::size_t history_;
  const bool orthants_;
  const std::string what_;
};

}  // namespace gradmill
