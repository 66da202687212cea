// This rank's samples on the solver's device, in pieces that fit its memory.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/sample_matrix.h"
#include "models/linear/samples.h"
#include "runtime/buffer.h"

namespace gradmill {

/// One piece where the samples fit (always on a CPU). Else the pieces stay in pinned host memory and are
/// copied to the device in turn, each while the one before it is being computed with.
class SampleStore {
 public:
  struct Options {
    bool columns = true;  // also keep X transposed where the device's gradient kernels need it
    std::int64_t device_bytes = 0;  // for the samples; 0: three quarters of what is free
  };
  SampleStore(const Context& ctx, const Context& host, Samples mine, const Options& options);
  ~SampleStore();
  SampleStore(SampleStore&&) = delete;

  struct Piece {
    std::int64_t first_row = 0;
    SampleMatrix matrix;
    VectorView<const float> labels, weights;  // weights may be empty
  };
  int pieces() const;
  /// Enqueues the copy if it has to; valid until the call after the next.
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
