#include "models/linear/sample_store.h"

#include <gtest/gtest.h>

#include "models/linear/transpose.h"
#include "runtime/buffer.h"
#include "runtime/error.h"
#include "tests/support/devices.h"
#include "tests/support/random_samples.h"

namespace gradmill {
namespace {
using testing::random_samples;
using testing::SamplesShape;

template <class T>
std::vector<T> host_copy(const Context& ctx, const T* data, Device device, std::int64_t count) {
  std::vector<T> out(static_cast<std::size_t>(count));
  if (count) copy_bytes(ctx, out.data(), Device{}, data, device, out.size() * sizeof(T));
  ctx.synchronize();
  return out;
}

/// A piece as dense rows in host memory; from the columns or from the rows or dense rows.
std::vector<float> cells(const Context& ctx, const SampleMatrix& m, bool by_column) {
  if (m.is_dense())
    return host_copy(ctx, m.dense.data, m.dense.device, m.dense.rows * m.dense.cols);
  const CsrView<const float>& csr = by_column ? m.columns : m.rows;
  const auto offsets = host_copy(ctx, csr.offsets, csr.device, csr.rows + 1);
  EXPECT_EQ(offsets.back() - offsets.front(), csr.nnz);
  const auto indices = host_copy(ctx, csr.indices + offsets[0], csr.device, csr.nnz);
  std::vector<float> values(indices.size(), 1.0f);
  if (csr.values) values = host_copy(ctx, csr.values + offsets[0], csr.device, csr.nnz);
  std::vector<float> out(static_cast<std::size_t>(csr.rows * csr.cols));
  for (std::int64_t r = 0; r < csr.rows; ++r)
    for (std::int64_t e = offsets[static_cast<std::size_t>(r)] - offsets[0];
         e < offsets[static_cast<std::size_t>(r) + 1] - offsets[0]; ++e) {
      const std::int64_t c = indices[static_cast<std::size_t>(e)];
      out[static_cast<std::size_t>(by_column ? c * csr.rows + r : r * csr.cols + c)] +=
          values[static_cast<std::size_t>(e)];
    }
  return out;
}

std::vector<float> cells(const Samples& s) {
  std::vector<float> out(static_cast<std::size_t>(s.rows() * s.num_features));
  for (std::int64_t r = 0; r < s.rows(); ++r)
    for (std::int64_t e = s.offsets[static_cast<std::size_t>(r)];
         e < s.offsets[static_cast<std::size_t>(r) + 1]; ++e)
      out[static_cast<std::size_t>(r * s.num_features + s.indices[static_cast<std::size_t>(e)])] +=
          s.values.empty() ? 1.0f : s.values[static_cast<std::size_t>(e)];
  return out;
}

/// All pieces together are the samples, whichever way they are read and however often.
void expect_holds(const Context& ctx, const Samples& samples, SampleStore& store, bool columns) {
  EXPECT_EQ(store.rows(), samples.rows());
  EXPECT_EQ(store.num_features(), samples.num_features);
  const std::vector<float> want = cells(samples);
  for (int pass = 0; pass < 2; ++pass) {
    std::vector<float> rows, by_column, labels, weights;
    const auto append = [](std::vector<float>& to, const std::vector<float>& more) {
      to.insert(to.end(), more.begin(), more.end());
    };
    for (int p = 0; p < store.pieces(); ++p) {
      const SampleStore::Piece piece = store.piece(p);
      EXPECT_EQ(piece.first_row, static_cast<std::int64_t>(labels.size()));
      append(rows, cells(ctx, piece.matrix, false));
      if (columns && !store.is_dense()) {
        EXPECT_NE(piece.matrix.columns.offsets, nullptr);
        append(by_column, cells(ctx, piece.matrix, true));
      }
      append(labels, host_copy(ctx, piece.labels.data, piece.labels.device, piece.labels.size));
      append(weights, host_copy(ctx, piece.weights.data, piece.weights.device, piece.weights.size));
    }
    EXPECT_EQ(rows, want);
    EXPECT_EQ(labels, samples.labels);
    EXPECT_EQ(weights, samples.weights);
    if (columns && !store.is_dense()) {
      EXPECT_EQ(by_column, want);
    }
  }
}

const SamplesShape kShapes[] = {{0, 7, {1}},
                                {1, 1, {1}},
                                {31, 40, {0, 3, 1, 0}, true, true},
                                {32, 33, {2, 20}, false},
                                {33, 5, {5, 0, 4}, true, true},
                                {257, 3000, {1, 0, 40, 900}, true, false, 0, 3},
                                {257, 3000, {1, 0, 40, 900}, false, true, 0, 3}};

TEST(SampleStore, HoldsTheSamplesOnACpuWithoutCopies) {
  const Context cpu = Context::cpu(2);
  for (const SamplesShape& shape : kShapes) {
    const Samples samples = random_samples(shape, 1);
    Samples mine = samples;
    const std::int32_t* indices = mine.indices.data();
    SampleStore store(cpu, cpu, std::move(mine), {});
    ASSERT_EQ(store.pieces(), 1);
    if (!store.is_dense()) {
      EXPECT_EQ(store.piece(0).matrix.rows.indices, indices);
    }
    expect_holds(cpu, samples, store, false);
  }
}

TEST(SampleStore, IsDenseFromFortyPercentAndAddsDuplicates) {
  const Context cpu = Context::cpu(1);
  Samples samples = random_samples({10, 10, {4}}, 2);
  samples.indices[0] = samples.indices[1];
  SampleStore dense(cpu, cpu, samples, {});
  EXPECT_TRUE(dense.is_dense());
  EXPECT_EQ(dense.entries(), 100);
  expect_holds(cpu, samples, dense, false);
  SampleStore sparse(cpu, cpu, random_samples({10, 10, {3, 4}}, 2), {});
  EXPECT_FALSE(sparse.is_dense());
  EXPECT_EQ(sparse.entries(), 35);
}

TEST(SampleStore, DropsValuesThatAreAllOne) {
  const Context cpu = Context::cpu(1);
  Samples samples = random_samples({10, 100, {3}}, 2);
  samples.values.assign(samples.values.size(), 1.0f);
  SampleStore ones(cpu, cpu, samples, {});
  EXPECT_EQ(ones.piece(0).matrix.rows.values, nullptr);
  samples.values.back() = 1.5f;
  SampleStore not_all(cpu, cpu, samples, {});
  EXPECT_NE(not_all.piece(0).matrix.rows.values, nullptr);
}

TEST(Transpose, DoesNotDependOnThreadsAndKeepsTheOrderOfRows) {
  const Samples samples = random_samples({2000, 5000, {0, 1, 3, 60}, true, false, 2, 4}, 3);
  const CsrView<const float> rows{samples.rows(),
                                  samples.num_features,
                                  samples.offsets.back(),
                                  samples.offsets.data(),
                                  samples.indices.data(),
                                  samples.values.data(),
                                  {}};
  const Context one = Context::cpu(1), three = Context::cpu(3);
  const SampleColumns a = transpose(one, rows), b = transpose(three, rows);
  EXPECT_EQ(a.offsets.to_host(), b.offsets.to_host());
  EXPECT_EQ(a.indices.to_host(), b.indices.to_host());
  EXPECT_EQ(a.values.to_host(), b.values.to_host());
  const auto offsets = a.offsets.to_host();
  const auto indices = a.indices.to_host();
  for (std::size_t c = 0; c + 1 < offsets.size(); ++c)
    EXPECT_TRUE(std::is_sorted(indices.begin() + offsets[c], indices.begin() + offsets[c + 1]));
}

TEST(SampleStore, CudaHoldsTheSamplesWhole) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const Context cpu = Context::cpu(2);
  for (const SamplesShape& shape : kShapes) {
    const Samples samples = random_samples(shape, 1);
    SampleStore store(*gpus[0], cpu, samples, {});
    ASSERT_EQ(store.pieces(), 1);
    expect_holds(*gpus[0], samples, store, true);
  }
}

TEST(SampleStore, CudaPiecesTakeTurnsOnTheDevice) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const Context cpu = Context::cpu(2);
  for (const bool dense : {false, true}) {
    const Samples samples = dense ? random_samples({700, 30, {30, 20}, true, true}, 4)
                                  : random_samples({700, 30, {0, 3, 9, 1}, true, true}, 4);
    SampleStore store(*gpus[0], cpu, samples, {.device_bytes = 20'000});
    EXPECT_EQ(store.is_dense(), dense);
    EXPECT_GT(store.pieces(), 2);
    expect_holds(*gpus[0], samples, store, true);
    // Out of turn, and without a wait between the calls: copies must not overtake what reads a place.
    std::vector<Buffer<float>> kept;
    const int order[] = {2, 0, 1, 2, 2, 0};
    for (const int p : order) {
      const auto piece = store.piece(p);
      kept.emplace_back(*gpus[0], piece.labels.size);
      copy(*gpus[0], kept.back().view(), piece.labels);
    }
    for (std::size_t i = 0; i < kept.size(); ++i) {
      const std::int64_t first = store.piece(order[i]).first_row;
      const auto got = kept[i].to_host();
      EXPECT_TRUE(std::equal(got.begin(), got.end(), samples.labels.begin() + first)) << i;
    }
  }
}

TEST(SampleStore, CudaSaysWhenARowDoesNotFit) {
  GRADMILL_CUDA_CONTEXTS(gpus);
  const Context cpu = Context::cpu(1);
  try {
    SampleStore store(*gpus[0], cpu, random_samples({50, 3000, {1000}}, 5),
                      {.device_bytes = 10'000});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::out_of_memory);
    EXPECT_NE(std::string(error.what()).find("1000 entries of row 0"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace gradmill
