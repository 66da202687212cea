#include "kernels/vector_ops/vector_ops.h"

#include <algorithm>
#include <cmath>

#include "runtime/expect.h"
#include "runtime/thread_pool.h"
#include "runtime/workspace.h"

namespace gradmill {
namespace {
constexpr std::int64_t kChunk = 4096;

typedef double Doubles __attribute__((vector_size(64)));
typedef double LooseDoubles __attribute__((vector_size(64), aligned(8), may_alias));

Doubles load(const double* p) { return *reinterpret_cast<const LooseDoubles*>(p); }

double dot(const double* a, const double* b, std::int64_t n) {
  Doubles s0{}, s1{};
  std::int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    s0 += load(a + i) * load(b + i);
    s1 += load(a + i + 8) * load(b + i + 8);
  }
  s0 += s1;
  double sum = 0;
  for (int lane = 0; lane < 8; ++lane) sum += s0[lane];
  for (; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

/// body(first, last) over [0, n) in chunks, by all threads.
template <class Body>
void for_chunks(const Context& ctx, std::int64_t n, Body&& body) {
  if (n <= 4 * kChunk) {
    if (n > 0) body(0, n);
    return;
  }
  ctx.threads().parallel_for((n + kChunk - 1) / kChunk, 4,
                             [&](std::int64_t first, std::int64_t last, int) {
                               body(first * kChunk, std::min(n, last * kChunk));
                             });
}

/// partial(chunk's first, its last) for each chunk, added in order.
template <class Partial>
double sum_chunks(const Context& ctx, std::int64_t n, Partial&& partial) {
  const std::int64_t chunks = (n + kChunk - 1) / kChunk;
  Workspace::Scope scratch(ctx);
  double* sums = scratch.take<double>(std::max<std::int64_t>(chunks, 1)).data;
  auto work = [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t c = first; c < last; ++c)
      sums[c] = partial(c * kChunk, std::min(n, (c + 1) * kChunk));
  };
  if (chunks > 4)
    ctx.threads().parallel_for(chunks, 4, work);
  else
    work(0, chunks, 0);
  double total = 0;
  for (std::int64_t c = 0; c < chunks; ++c) total += sums[c];
  return total;
}

void require_row(const char* op, const MatrixView<const double>& vectors, std::int64_t row) {
  require(row >= 0 && row < vectors.rows, "{}: row {} of {}", op, row, vectors.rows);
}

void require_rounded(const char* op, std::int64_t size, const VectorView<float>& rounded) {
  require(rounded.data == nullptr || rounded.size >= size, "{}: {} elements, room for {} floats",
          op, size, rounded.size);
}
}  // namespace

void cpu::vector_dots(const Context& ctx, const VectorDotsArgs& args) {
  const std::int64_t n = args.vectors.cols, chunks = (n + kChunk - 1) / kChunk;
  const std::int64_t pairs = args.num_pairs;
  Workspace::Scope scratch(ctx);
  double* sums = scratch.take<double>(std::max<std::int64_t>(chunks * pairs, 1)).data;
  auto work = [&](std::int64_t first, std::int64_t last, int) {
    for (std::int64_t c = first; c < last; ++c) {
      const std::int64_t from = c * kChunk, count = std::min(kChunk, n - from);
      for (std::int64_t k = 0; k < pairs; ++k)
        sums[c * pairs + k] = dot(args.vectors.row(args.pairs[k].a) + from,
                                  args.vectors.row(args.pairs[k].b) + from, count);
    }
  };
  if (chunks > 4)
    ctx.threads().parallel_for(chunks, 2, work);
  else
    work(0, chunks, 0);
  for (std::int64_t k = 0; k < pairs; ++k) {
    double total = 0;
    for (std::int64_t c = 0; c < chunks; ++c) total += sums[c * pairs + k];
    args.results[k] = total;
  }
}

void cpu::vector_combine(const Context& ctx, const VectorCombineArgs& args) {
  constexpr std::int64_t kBlock = 512;
  for_chunks(ctx, args.vectors.cols, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t from = first; from < last; from += kBlock) {
      const std::int64_t count = std::min(kBlock, last - from);
      double sum[kBlock] = {};
      for (int k = 0; k < args.num_terms; ++k) {
        const double factor = args.terms[k].factor;
        const double* x = args.vectors.row(args.terms[k].row) + from;
        for (std::int64_t i = 0; i < count; ++i) sum[i] += factor * x[i];
      }
      std::copy_n(sum, count, args.vectors.row(args.into) + from);
      if (args.rounded.data)
        for (std::int64_t i = 0; i < count; ++i)
          args.rounded[from + i] = static_cast<float>(sum[i]);
    }
  });
}

void cpu::regularize(const Context& ctx, const RegularizeArgs& args) {
  const double half = args.l2 / 2;
  args.value[0] = sum_chunks(ctx, args.x.size, [&](std::int64_t first, std::int64_t last) {
    double value = 0;
    const std::int64_t bound = std::clamp(args.regularized, first, last);
    for (std::int64_t i = first; i < bound; ++i) {
      const double x = args.x[i];
      value += half * x * x + args.l1 * std::abs(x);
      args.gradient[i] = args.scale * args.gradient[i] + args.l2 * x;
    }
    for (std::int64_t i = bound; i < last; ++i) args.gradient[i] *= args.scale;
    return value;
  });
}

void cpu::precondition(const Context& ctx, const PreconditionArgs& args) {
  double* into = args.vectors.row(args.into);
  const double *x = args.vectors.row(args.numerator), *d = args.vectors.row(args.diagonal);
  for_chunks(ctx, args.vectors.cols, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i)
      into[i] = x[i] / (1 - args.share + args.share * d[i]);
  });
}

void cpu::pseudo_gradient(const Context& ctx, const PseudoGradientArgs& args) {
  double* into = args.vectors.row(args.into);
  const double *x = args.vectors.row(args.x), *g = args.vectors.row(args.gradient);
  for_chunks(ctx, args.vectors.cols, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      double p = g[i];
      if (i < args.regularized) {
        if (x[i] != 0)
          p += x[i] > 0 ? args.l1 : -args.l1;
        else
          p = p < -args.l1 ? p + args.l1 : (p > args.l1 ? p - args.l1 : 0);
      }
      into[i] = p;
    }
  });
}

void cpu::orthant_step(const Context& ctx, const OrthantStepArgs& args) {
  double* into = args.vectors.row(args.into);
  const double *x = args.vectors.row(args.x), *d = args.vectors.row(args.direction);
  const double* p = args.vectors.row(args.pseudo_gradient);
  for_chunks(ctx, args.vectors.cols, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; ++i) {
      const bool free = i >= args.regularized;
      double y = x[i] + (free || d[i] * p[i] < 0 ? args.step * d[i] : 0.0);
      const double orthant = x[i] != 0 ? x[i] : -p[i];
      if (!free && y * orthant <= 0) y = 0;
      into[i] = y;
      if (args.rounded.data) args.rounded[i] = static_cast<float>(y);
    }
  });
}

void cpu::reorder_columns(const Context& ctx, const ReorderColumnsArgs& args) {
  for_chunks(ctx, args.inner.rows, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t j = first; j < last; ++j) {
      const std::int64_t column = args.order.data ? args.order[j] : j;
      for (std::int64_t c = 0; c < args.inner.cols; ++c) {
        if (args.backward)
          args.inner(j, c) = args.user(c, column);
        else
          args.user(c, column) = args.inner(j, c);
      }
    }
  });
}

void cpu::sum(const Context& ctx, const SumArgs& args) {
  args.total[0] = sum_chunks(ctx, args.values.size, [&](std::int64_t first, std::int64_t last) {
    double value = 0;
    for (std::int64_t i = first; i < last; ++i) value += args.values[i];
    return value;
  });
}

void vector_dots(const Context& ctx, const VectorDotsArgs& args) {
  require(args.num_pairs >= 0 && args.num_pairs <= kMaxVectorPairs,
          "vector_dots: {} pairs, at most {}", args.num_pairs, kMaxVectorPairs);
  require(args.results.size >= args.num_pairs, "vector_dots: {} pairs but {} results",
          args.num_pairs, args.results.size);
  for (int k = 0; k < args.num_pairs; ++k) {
    require_row("vector_dots", args.vectors, args.pairs[k].a);
    require_row("vector_dots", args.vectors, args.pairs[k].b);
  }
  run_kernel(ctx, "vector_dots", args, cpu::vector_dots,
             [](const auto& c, const auto& a) { cuda::vector_dots(c, a); });
}

void vector_combine(const Context& ctx, const VectorCombineArgs& args) {
  require(args.num_terms >= 0 && args.num_terms <= kMaxVectorTerms,
          "vector_combine: {} terms, at most {}", args.num_terms, kMaxVectorTerms);
  for (int k = 0; k < args.num_terms; ++k)
    require_row("vector_combine", args.vectors, args.terms[k].row);
  require_row("vector_combine", args.vectors, args.into);
  require_rounded("vector_combine", args.vectors.cols, args.rounded);
  run_kernel(ctx, "vector_combine", args, cpu::vector_combine,
             [](const auto& c, const auto& a) { cuda::vector_combine(c, a); });
}

void regularize(const Context& ctx, const RegularizeArgs& args) {
  require(args.x.size == args.gradient.size && args.value.size >= 1,
          "regularize: {} parameters, {} gradients, {} values", args.x.size, args.gradient.size,
          args.value.size);
  run_kernel(ctx, "regularize", args, cpu::regularize,
             [](const auto& c, const auto& a) { cuda::regularize(c, a); });
}

void precondition(const Context& ctx, const PreconditionArgs& args) {
  for (const auto row : {args.into, args.numerator, args.diagonal})
    require_row("precondition", args.vectors, row);
  run_kernel(ctx, "precondition", args, cpu::precondition,
             [](const auto& c, const auto& a) { cuda::precondition(c, a); });
}

void pseudo_gradient(const Context& ctx, const PseudoGradientArgs& args) {
  for (const auto row : {args.into, args.x, args.gradient})
    require_row("pseudo_gradient", args.vectors, row);
  run_kernel(ctx, "pseudo_gradient", args, cpu::pseudo_gradient,
             [](const auto& c, const auto& a) { cuda::pseudo_gradient(c, a); });
}

void orthant_step(const Context& ctx, const OrthantStepArgs& args) {
  for (const auto row : {args.into, args.x, args.direction, args.pseudo_gradient})
    require_row("orthant_step", args.vectors, row);
  require_rounded("orthant_step", args.vectors.cols, args.rounded);
  run_kernel(ctx, "orthant_step", args, cpu::orthant_step,
             [](const auto& c, const auto& a) { cuda::orthant_step(c, a); });
}

void reorder_columns(const Context& ctx, const ReorderColumnsArgs& args) {
  require(args.inner.rows == args.user.cols && args.inner.cols == args.user.rows,
          "reorder_columns: {} x {} for {} x {}", args.inner.rows, args.inner.cols, args.user.rows,
          args.user.cols);
  require(!args.order.data || args.order.size == args.inner.rows,
          "reorder_columns: {} columns, an order of {}", args.inner.rows, args.order.size);
  run_kernel(ctx, "reorder_columns", args, cpu::reorder_columns,
             [](const auto& c, const auto& a) { cuda::reorder_columns(c, a); });
}

void sum(const Context& ctx, const SumArgs& args) {
  require(args.total.size >= 1, "sum: no room for the total");
  run_kernel(ctx, "sum", args, cpu::sum, [](const auto& c, const auto& a) { cuda::sum(c, a); });
}

}  // namespace gradmill
