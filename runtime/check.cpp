#include "runtime/check.h"

#include <cmath>
#include <type_traits>

#include "runtime/buffer.h"
#include "runtime/expect.h"

namespace gradmill {

ArgumentTwin::~ArgumentTwin() {
  for (const auto& [pointer, bytes] : allocations_) cuda_.deallocate(pointer, bytes);
}

void* ArgumentTwin::upload_bytes(const void* host, std::size_t bytes) {
  if (bytes == 0) return nullptr;
  void* device = cuda_.allocate(bytes);
  allocations_.emplace_back(device, bytes);
  copy_bytes(cuda_, device, cuda_.device(), host, Device{}, bytes);
  return device;
}

template <class T>
void ArgumentTwin::compare_one(std::string_view kernel, const Output& output,
                               Tolerance tolerance) const {
  std::vector<T> device(static_cast<std::size_t>(output.rows * output.stride));
  copy_bytes(cuda_, device.data(), Device{}, output.device, cuda_.device(),
             device.size() * sizeof(T));
  cuda_.synchronize();
  const T* host = static_cast<const T*>(output.host);
  for (std::int64_t r = 0; r < output.rows; ++r) {
    for (std::int64_t c = 0; c < output.cols; ++c) {
      const T a = host[r * output.stride + c],
              b = device[static_cast<std::size_t>(r * output.stride + c)];
      const auto x = static_cast<double>(a), y = static_cast<double>(b);
      const double limit =
          std::is_integral_v<T>
              ? 0.0
              : tolerance.absolute + tolerance.relative * std::max(std::abs(x), std::abs(y));
      const bool same = std::abs(x - y) <= limit || (std::isnan(x) && std::isnan(y)) || x == y;
      expect(same, ErrorKind::device, [&] {
        return fmt::format("{}: {}[{}, {}] is {} on cpu but {} on {} (allowed difference {:.3g})",
                           kernel, output.name, r, c, a, b, cuda_.describe(), limit);
      });
    }
  }
}

void ArgumentTwin::compare(std::string_view kernel, Tolerance tolerance) const {
  for (const Output& output : outputs_) {
    switch (output.kind) {
      case Kind::f32:
        compare_one<float>(kernel, output, tolerance);
        break;
      case Kind::f64:
        compare_one<double>(kernel, output, tolerance);
        break;
      case Kind::i32:
        compare_one<std::int32_t>(kernel, output, tolerance);
        break;
      case Kind::i64:
        compare_one<std::int64_t>(kernel, output, tolerance);
        break;
    }
  }
}

}  // namespace gradmill
