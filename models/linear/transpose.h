// The entries of sparse rows by column.
#pragma once

#include <cstdint>

#include "runtime/buffer.h"

namespace gradmill {

/// X transposed, in host memory: column j of X holds entries offsets[j] .. offsets[j + 1], rows ascending.
struct SampleColumns {
  std::int64_t features = 0, samples = 0;
  Buffer<std::int64_t> offsets;
  Buffer<std::int32_t> indices;
  Buffer<float> values;  // empty: all 1
  CsrView<const float> view() const;
};

/// A stable sort by counting, first into ranges of columns that fit a cache, then within each range:
/// the result does not depend on the number of threads. Entries of one row and column keep their order.
/// Memory   12 more bytes an entry (8 without values) while it runs.
SampleColumns transpose(const Context& host, const CsrView<const float>& rows);

}  // namespace gradmill
