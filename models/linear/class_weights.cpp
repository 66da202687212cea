#include "models/linear/class_weights.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "runtime/expect.h"

namespace gradmill {
namespace {

std::vector<double> balanced(const Context& host, Communicator& comm, std::size_t classes,
                             const Samples& mine) {
  std::vector<double> weights(classes, 0.0);
  for (std::size_t i = 0; i < mine.labels.size(); ++i)
    weights[static_cast<std::size_t>(mine.labels[i])] +=
        mine.weights.empty() ? 1.0 : mine.weights[i];
  comm.all_reduce_sum(
      host, VectorView<double>{weights.data(), static_cast<std::int64_t>(weights.size()), {}});
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& w : weights) w = w > 0 ? total / (static_cast<double>(classes) * w) : 0.0;
  return weights;
}

std::vector<double> named(const std::string& text, std::span<const std::string> names) {
  std::vector<double> weights(names.size(), 1.0);
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string item = text.substr(begin, end - begin);
    begin = end + 1;
    const std::size_t equals = item.rfind('=');
    expect(equals != std::string::npos, ErrorKind::usage,
           "class_weight has \"{}\"; write \"none\", \"balanced\" or \"class=2.5,other=1\"", item);
    const auto at = std::find(names.begin(), names.end(), item.substr(0, equals));
    expect(at != names.end(), ErrorKind::usage, "class_weight names \"{}\", which is no class",
           item.substr(0, equals));
    char* rest = nullptr;
    const double weight = std::strtod(item.c_str() + equals + 1, &rest);
    expect(rest != item.c_str() + equals + 1 && *rest == 0 && weight > 0 && std::isfinite(weight),
           ErrorKind::usage, "class_weight has \"{}\"; the weight must be a positive number", item);
    weights[static_cast<std::size_t>(at - names.begin())] = weight;
  }
  return weights;
}
}  // namespace

double global_weight(const Context& host, Communicator& comm, const Samples& mine) {
  std::array<double, 2> sums{static_cast<double>(mine.rows()), static_cast<double>(mine.rows())};
  if (!mine.weights.empty())
    sums[1] = std::accumulate(mine.weights.begin(), mine.weights.end(), 0.0);
  comm.all_reduce_sum(host, VectorView<double>{sums.data(), 2, {}});
  expect(sums[0] > 0, ErrorKind::data, "there are no samples to train on");
  expect(sums[1] > 0 && std::isfinite(sums[1]), ErrorKind::data,
         "the weights of the {} samples add up to {}; the sum must be positive", sums[0], sums[1]);
  return sums[1];
}

void apply_class_weights(const Context& host, Communicator& comm, const std::string& class_weight,
                         std::span<const std::string> names, Samples& mine) {
  if (class_weight == "none" || class_weight.empty()) return;
  const std::vector<double> weights = class_weight == "balanced"
                                          ? balanced(host, comm, names.size(), mine)
                                          : named(class_weight, names);
  mine.weights.resize(mine.labels.size(), 1.0f);
  for (std::size_t i = 0; i < mine.labels.size(); ++i)
    mine.weights[i] *= static_cast<float>(weights[static_cast<std::size_t>(mine.labels[i])]);
}

}  // namespace gradmill
