#include "models/mf/factors.h"

#include <cmath>
#include <vector>

namespace gradmill {

FactorTable::FactorTable(const Context& ctx, std::int64_t rows, std::int64_t num_factors)
    : ctx_(&ctx), rows_(rows), cols_(num_factors), values_(ctx, rows * factor_stride(num_factors)) {
  values_.zero();
}

void FactorTable::initialize(std::uint64_t seed, RandomStream stream, std::int64_t first_row,
                             double stddev) {
  const double scale = stddev / std::sqrt(static_cast<double>(cols_));
  std::vector<float> row(static_cast<std::size_t>(stride()));
  for (std::int64_t r = 0; r < rows_; ++r) {
    for (std::int64_t c = 0; c < cols_; c += 2) {
      const auto pair = random_normal(seed, stream, static_cast<std::uint64_t>(first_row + r),
                                      static_cast<std::uint32_t>(c / 2));
      row[static_cast<std::size_t>(c)] = static_cast<float>(scale * pair.a);
      if (c + 1 < cols_) row[static_cast<std::size_t>(c + 1)] = static_cast<float>(scale * pair.b);
    }
    copy_bytes(*ctx_, view().row(r), view().device, row.data(), Device{},
               row.size() * sizeof(float));
  }
  ctx_->synchronize();
}

}  // namespace gradmill
