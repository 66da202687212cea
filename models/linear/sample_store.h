// This rank's samples on the solver's device, in pieces that fit its memory.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/sample_matrix.h"
#include "models/linear/samples.h"
#include "runtime/buffer.h"

namespace gradmill {

/// One piece where the samples fit (always on a CPU, where nothing is copied). Else the pieces stay in
/// pinned host memory, and two places on the device take turns: while one piece is being computed with, the
/// next (after the last, the first) is copied.
/// Kept as dense rows if at least 40 % of the entries are there; entries of one row and feature add up.
/// Values that are all 1 are dropped.
class SampleStore {
 public:
  struct Options {
    bool columns = true;  // also keep X transposed where the device's gradient kernels need it
    std::int64_t device_bytes = 0;  // for the samples; 0: three quarters of what is free
  };
  /// host: a CPU context whose threads sort and fill. Errors: ErrorKind::usage for 2^31 rows or more;
  /// ErrorKind::out_of_memory if a single row exceeds half of device_bytes.
  SampleStore(const Context& ctx, const Context& host, Samples mine, const Options& options);
  ~SampleStore();
  SampleStore(SampleStore&&) = delete;

  struct Piece {
    std::int64_t first_row = 0;
    SampleMatrix matrix;
    VectorView<const float> labels, weights;  // empty if the samples have none
  };
  int pieces() const;
  /// Enqueues copies if it has to, does not block. Valid for work that is enqueued on the context's stream
  /// before the next call.
  Piece piece(int index);

  std::int64_t rows() const;
  std::int64_t num_features() const;
  std::int64_t entries() const;  // of sparse rows; rows * features of dense ones
  bool is_dense() const;         // at least 40 % of the entries are there: kept as dense rows

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gradmill
