// Measures every kernel of kernels/ on one device against the device's limits. bench/gpu/run starts it.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "bench/gpu/cases.h"
#include "bench/gpu/device.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill::bench {
namespace {
struct Times {
  double min_s = 0, median_s = 0;
  int runs = 0;
};

/// One run to warm up, then runs for about `budget_s`, at least 3.
Times measure(const Context& ctx, const Case& c, double budget_s, int max_runs) {
  std::vector<double> seconds;
  double spent = 0;
  for (int run = -1; run < max_runs && (run < 3 || spent < budget_s); ++run) {
    if (c.prepare) c.prepare();
    ctx.synchronize();
    const double s = seconds_of(ctx, c.run);
    if (run < 0) continue;
    seconds.push_back(s);
    spent += s;
  }
  std::sort(seconds.begin(), seconds.end());
  return {seconds.front(), seconds[seconds.size() / 2], static_cast<int>(seconds.size())};
}

void run_once(const Context& ctx, const Case& c) {
  if (c.prepare) c.prepare();
  c.run();
  ctx.synchronize();
}

/// The least time that the device could take for a case by its data sheet.
double floor_seconds(const Case& c, const DeviceLimits& limits) {
  double floor = 0;
  if (limits.bytes_per_second > 0) floor = c.bytes / limits.bytes_per_second;
  if (limits.flops_per_second > 0) floor = std::max(floor, c.flops / limits.flops_per_second);
  return floor;
}

nlohmann::json row_of(const Case& c, const Times& t, const DeviceLimits& limits) {
  nlohmann::json row{{"kernel", c.kernel},
                     {"shape", c.shape},
                     {"bytes", c.bytes},
                     {"unique_bytes", c.unique_bytes > 0 ? c.unique_bytes : c.bytes},
                     {"flops", c.flops},
                     {"min_s", t.min_s},
                     {"median_s", t.median_s},
                     {"runs", t.runs},
                     {"gb_per_s", c.bytes / t.median_s * 1e-9},
                     {"gflop_per_s", c.flops / t.median_s * 1e-9},
                     {"simulated", limits.simulated}};
  if (const double floor = floor_seconds(c, limits); floor > 0)
    row["share_of_limit"] = floor / t.median_s;
  return row;
}

void print_row(const nlohmann::json& row) {
  const std::string share =
      row.contains("share_of_limit")
          ? fmt::format("{:5.1f} %", 100 * row["share_of_limit"].get<double>())
          : "      -";
  fmt::print("{:22} {:56} {:10.3f} ms {:9.1f} GB/s {:10.1f} GFLOP/s {}{}\n",
             row["kernel"].get<std::string>(), row["shape"].get<std::string>(),
             row["median_s"].get<double>() * 1e3, row["gb_per_s"].get<double>(),
             row["gflop_per_s"].get<double>(), share, row["simulated"] ? "  simulated" : "");
  std::fflush(stdout);
}

int run(int argc, char** argv) {
  CLI::App app("Measures every kernel on one device against the device's limits.");
  std::string device = "auto", json_path, only;
  std::vector<std::int64_t> factors{64, 128};
  bool quick = false, counted = false, large = false;
  app.add_option("--device", device, "cpu, cuda, or auto (cuda if there is a device)");
  app.add_option("--json", json_path, "also write the results to this file");
  app.add_option("--only", only, "only kernels whose name contains this");
  app.add_option("--factors", factors, "numbers of factors")->delimiter(',');
  app.add_flag("--quick", quick, "small shapes and few runs: checks that everything runs");
  app.add_flag("--counted", counted,
               "the one case of --only once, in a middling shape: for bench/gpu/counters");
  app.add_flag("--large", large, "a larger shape for --counted");
  CLI11_PARSE(app, argc, argv);

  const bool on_cuda = device != "cpu" && (device == "cuda" || Context::cuda_device_count() > 0);
  const Context ctx = on_cuda ? Context::cuda(0) : Context::cpu(available_cores());
  const DeviceLimits limits = limits_of(ctx);
  fmt::print("{}{}\n", limits.name, limits.simulated ? "  (every figure below is simulated)" : "");
  if (limits.bytes_per_second > 0)
    fmt::print("limits: {:.0f} GB/s, {:.1f} TFLOP/s in fp32\n", limits.bytes_per_second * 1e-9,
               limits.flops_per_second * 1e-12);

  nlohmann::json rows = nlohmann::json::array();
  const Sizes sizes = quick      ? Sizes::quick()
                      : !counted ? Sizes{}
                      : large    ? Sizes::counted_large()
                                 : Sizes::counted();
  for (const NamedCase& named : all_cases()) {
    if (counted ? named.kernel != only : named.kernel.find(only) == std::string::npos) continue;
    for (const std::int64_t k : quick                 ? std::vector<std::int64_t>{32}
                                : named.takes_factors ? factors
                                                      : std::vector<std::int64_t>{1}) {
      const Case c = named.make(ctx, sizes, k);
      if (counted) {
        run_once(ctx, c);
        rows.push_back(row_of(c, {1, 1, 1}, limits));
        continue;
      }
      rows.push_back(row_of(c, measure(ctx, c, quick ? 0 : 1, quick ? 3 : 50), limits));
      print_row(rows.back());
    }
  }
  if (json_path.empty()) return 0;
  std::ofstream file(json_path);
  file << nlohmann::json{{"device", limits.name},
                         {"simulated", limits.simulated},
                         {"bytes_per_second", limits.bytes_per_second},
                         {"flops_per_second", limits.flops_per_second},
                         {"kernels", rows}}
              .dump(2)
       << "\n";
  expect(file.good(), ErrorKind::cannot_write, "{}: could not be written", json_path);
  return 0;
}
}  // namespace
}  // namespace gradmill::bench

int main(int argc, char** argv) {
  try {
    return gradmill::bench::run(argc, argv);
  } catch (const gradmill::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return gradmill::exit_code(error.kind());
  }
}
