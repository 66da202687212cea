// `--device check`: runs a kernel on CPU and on CUDA with the same inputs and compares the outputs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/context.h"
#include "runtime/view.h"

namespace gradmill {

/// |a - b| <= absolute + relative * max(|a|, |b|)
struct Tolerance {
  double relative = 1e-3;
  double absolute = 1e-4;
};

/// Makes device twins of a kernel's arguments. A kernel's argument struct names its views:
///   template <class V> void visit(V& v) { v.in("ratings", ratings); v.out("factors", factors); }
/// in: read only; out: read and written, compared; scratch: written, not compared.
class ArgumentTwin {
 public:
  explicit ArgumentTwin(const Context& cuda) : cuda_(cuda) {}
  ~ArgumentTwin();
  ArgumentTwin(ArgumentTwin&&) = delete;

  template <class T>
  void in(std::string_view, VectorView<T>& view) {
    view = {upload(view.data, view.size), view.size, cuda_.device()};
  }
  template <class T>
  void in(std::string_view, MatrixView<T>& view) {
    view.data = upload(view.data, view.rows * view.stride);
    view.device = cuda_.device();
  }
  template <class T>
  void in(std::string_view, CsrView<T>& csr) {
    if (csr.rows == 0 && csr.offsets == nullptr) return;
    const std::int64_t first = csr.offsets[0], entries = csr.offsets[csr.rows] - first;
    csr.offsets = upload(csr.offsets, csr.rows + 1);
    csr.indices = upload(csr.indices + first, entries) - first;
    if (csr.values) csr.values = upload(csr.values + first, entries) - first;
    csr.device = cuda_.device();
  }
  template <class T>
  void out(std::string_view name, VectorView<T>& view) {
    T* host = view.data;
    in(name, view);
    watch(name, host, view.data, 1, view.size, view.size);
  }
  template <class T>
  void out(std::string_view name, MatrixView<T>& view) {
    T* host = view.data;
    in(name, view);
    watch(name, host, view.data, view.rows, view.cols, view.stride);
  }
  template <class View>
  void scratch(std::string_view name, View& view) {
    in(name, view);
  }

  /// After both ran: throws ErrorKind::device with kernel, output, position and both values at the
  /// first value that differs.
  void compare(std::string_view kernel, Tolerance tolerance) const;

 private:
  enum class Kind { f32, f64, i32, i64 };
  struct Output {
    std::string name;
    Kind kind;
    const void* host;
    const void* device;
    std::int64_t rows, cols, stride;
  };
  static constexpr Kind kind_of(const float*) { return Kind::f32; }
  static constexpr Kind kind_of(const double*) { return Kind::f64; }
  static constexpr Kind kind_of(const std::int32_t*) { return Kind::i32; }
  static constexpr Kind kind_of(const std::int64_t*) { return Kind::i64; }

  template <class T>
  T* upload(T* host, std::int64_t count) {
    return static_cast<T*>(upload_bytes(host, static_cast<std::size_t>(count) * sizeof(T)));
  }
  template <class T>
  void watch(std::string_view name, const T* host, const T* device, std::int64_t rows,
             std::int64_t cols, std::int64_t stride) {
    outputs_.push_back({std::string(name), kind_of(host), host, device, rows, cols, stride});
  }
  void* upload_bytes(const void* host, std::size_t bytes);
  template <class T>
  void compare_one(std::string_view kernel, const Output& output, Tolerance tolerance) const;

  const Context& cuda_;
  std::vector<std::pair<void*, std::size_t>> allocations_;
  std::vector<Output> outputs_;
};

/// Runs a kernel on ctx's device: cpu(ctx, args) or cuda(ctx, args); on a check context both, on twins
/// of the same arguments, then compares. Args has visit() and `static constexpr Tolerance tolerance`.
template <class Args, class Cpu, class Cuda>
void run_kernel(const Context& ctx, [[maybe_unused]] std::string_view name, const Args& args,
                Cpu&& cpu, Cuda&& cuda) {
  if constexpr (kHasCuda) {
    if (ctx.is_cuda()) return cuda(ctx, args);
    if (ctx.shadow()) {
      Args twin_args = args;
      ArgumentTwin twin(*ctx.shadow());
      twin_args.visit(twin);
      cuda(*ctx.shadow(), twin_args);
      cpu(ctx, args);
      return twin.compare(name, Args::tolerance);
    }
  }
  cpu(ctx, args);
}

}  // namespace gradmill
