// Runs gradmill's alternating least squares on a matrix that bench/peers/mf wrote, and times each
// epoch without loading. Prints one line of JSON; writes the factors for mf to judge.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "bench/peers/arrays.h"
#include "kernels/als_solve/als_solve.h"
#include "kernels/gram/gram.h"
#include "kernels/ials_cg/ials_cg.h"
#include "runtime/buffer.h"

namespace gradmill {
namespace {
struct Options {
  std::string data, solver = "cg", output;
  std::int64_t num_factors = 64;
  int threads = 1, epochs = 5, steps = 3;
  AlsWeights model;
};

struct Csr {
  std::int64_t rows, cols;
  std::vector<std::int64_t> offsets;
  std::vector<std::int32_t> indices;
  std::vector<float> values;
  CsrView<const float> view() const {
    return {rows,
            cols,
            static_cast<std::int64_t>(indices.size()),
            offsets.data(),
            indices.data(),
            values.data(),
            {}};
  }
};

Csr read_side(const Options& options, const std::string& side, std::int64_t cols) {
  const std::filesystem::path folder = options.data;
  Csr csr{0, cols, read_array<std::int64_t>(folder / (side + ".offsets.i64")),
          read_array<std::int32_t>(folder / (side + ".indices.i32")),
          read_array<float>(folder / (side + ".values.f32"))};
  csr.rows = static_cast<std::int64_t>(csr.offsets.size()) - 1;
  return csr;
}

/// Factors with padded rows, as models/mf keeps them.
struct Table {
  Table(const Context& ctx, const Options& options, const std::string& side)
      : k(options.num_factors),
        stride(k <= 8    ? 8
               : k <= 16 ? 16
                         : (k + 31) / 32 * 32) {
    const auto dense = read_array<float>(std::filesystem::path(options.data) /
                                         (side + ".init" + std::to_string(k) + ".f32"));
    rows = static_cast<std::int64_t>(dense.size()) / k;
    memory = Buffer<float>(ctx, rows * stride);
    memory.zero();
    for (std::int64_t r = 0; r < rows; ++r)
      std::copy_n(dense.data() + r * k, k, memory.view().data + r * stride);
  }
  MatrixView<float> view() { return {memory.view().data, rows, k, stride, {}}; }
  void write(const std::string& path) {
    std::ofstream file(path, std::ios::binary);
    for (std::int64_t r = 0; r < rows; ++r)
      file.write(reinterpret_cast<const char*>(view().row(r)), static_cast<std::streamsize>(k * 4));
  }
  std::int64_t k, stride, rows = 0;
  Buffer<float> memory;
};

/// Solves one side against the other.
void half_step(const Context& ctx, const Options& options, const Csr& ratings, Table& other,
               Table& own, Buffer<float>& base, VectorView<std::int32_t> failures) {
  const std::int64_t k = options.num_factors;
  AlsWeights model = options.model;
  MatrixView<float> base_view{};
  if (model.implicit) {
    base_view = base.matrix(k, k, k);
    gram(ctx, {other.view(), model.unobserved_weight, base_view});
    if (model.ridge_exponent != 0)
      model.ridge_offset = model.unobserved_weight * static_cast<float>(other.rows);
  }
  if (options.solver == "cg" || options.solver == "explicit-cg")
    ials_cg(
        ctx,
        {ratings.view(), {}, other.view(), {}, base_view, model, options.steps, own.view(), {}});
  else
    als_solve(ctx,
              {ratings.view(), {}, other.view(), {}, base_view, model, own.view(), {}, failures});
}

int run(const Options& options) {
  const Context ctx = Context::cpu(options.threads);
  Table users(ctx, options, "users"), items(ctx, options, "items");
  const Csr by_user = read_side(options, "users", items.rows);
  const Csr by_item = read_side(options, "items", users.rows);
  Buffer<float> base(ctx, options.num_factors * options.num_factors);
  std::int32_t failures = 0;
  std::vector<std::string> seconds, cpu_seconds;
  for (int epoch = 0; epoch < options.epochs; ++epoch) {
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t cpu_start = std::clock();
    half_step(ctx, options, by_user, items, users, base, {&failures, 1, {}});
    half_step(ctx, options, by_item, users, items, base, {&failures, 1, {}});
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    seconds.push_back(fmt::format("{:.6f}", spent.count()));
    cpu_seconds.push_back(
        fmt::format("{:.6f}", static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC));
  }
  if (!options.output.empty()) {
    users.write(options.output + "/users.f32");
    items.write(options.output + "/items.f32");
  }
  fmt::print("{{\"seconds\": [{}], \"cpu_seconds\": [{}], \"failures\": {}}}\n",
             fmt::join(seconds, ", "), fmt::join(cpu_seconds, ", "), failures);
  return 0;
}
}  // namespace
}  // namespace gradmill

int main(int argc, char** argv) {
  gradmill::Options options;
  CLI::App app("gradmill's side of bench/peers/mf");
  app.add_option("data", options.data, "folder with users.offsets.i64 and so on")->required();
  app.add_option("--solver", options.solver, "cg, direct (implicit), explicit or explicit-cg")
      ->check(CLI::IsMember({"cg", "direct", "explicit", "explicit-cg"}));
  app.add_option("--factors", options.num_factors);
  app.add_option("--threads", options.threads);
  app.add_option("--epochs", options.epochs);
  app.add_option("--steps", options.steps, "CG steps");
  app.add_option("--alpha", options.model.alpha);
  app.add_option("--unobserved-weight", options.model.unobserved_weight);
  app.add_option("--regularization", options.model.regularization);
  app.add_option("--ridge-exponent", options.model.ridge_exponent);
  app.add_option("--offset", options.model.offset, "subtracted from explicit ratings");
  app.add_option("--output", options.output, "folder for users.f32 and items.f32");
  CLI11_PARSE(app, argc, argv);
  options.model.implicit = !options.solver.starts_with("explicit");
  try {
    return gradmill::run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "mf_driver: {}\n", error.what());
    return 1;
  }
}
