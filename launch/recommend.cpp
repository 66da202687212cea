#include "launch/recommend.h"

#include <algorithm>

#include "kernels/top_k/top_k.h"

namespace gradmill {
namespace {
constexpr std::int64_t kTile = 4096;  // users scored at a time

std::vector<float> host_values(const Context& ctx, VectorView<const float> values) {
  std::vector<float> host(static_cast<std::size_t>(values.size));
  copy_bytes(ctx, host.data(), Device{}, values.data, values.device, host.size() * sizeof(float));
  ctx.synchronize();
  return host;
}

CsrRatings excluded_rows(const Context& host, const Audience& audience, std::int64_t first,
                         std::int64_t users, std::int64_t items) {
  std::vector<std::int32_t> rows, cols;
  for (std::int64_t u = 0; u < users; ++u) {
    const auto& out = audience.excluded[static_cast<std::size_t>(first + u)];
    rows.insert(rows.end(), out.size(), static_cast<std::int32_t>(u));
    cols.insert(cols.end(), out.begin(), out.end());
  }
  const std::vector<float> ones(rows.size(), 1.0f);
  return CsrRatings::build(host, 0, users, items, rows, cols, ones, {});
}
}  // namespace

void recommend(const Context& ctx, const Context& host, const MfModel& model,
               const Audience& audience, int count,
               const std::function<void(const Recommendation&)>& give) {
  const FactorsView view = model.view();
  const std::int64_t k = view.items.cols, stride = audience.factors.stride;
  const std::vector<float> biases = host_values(ctx, audience.biases);
  const auto all = static_cast<std::int64_t>(audience.rows.size());
  for (std::int64_t first = 0; first < all; first += kTile) {
    const std::int64_t users = std::min(kTile, all - first);
    Buffer<float> queries(ctx, users * stride);
    for (std::int64_t u = 0; u < users; ++u) {
      const std::int32_t row = audience.rows[static_cast<std::size_t>(first + u)];
      ctx.copy_rows(queries.view().data + u * stride, stride, audience.factors.row(row), stride, k,
                    1);
    }
    CsrRatings excluded;
    if (!audience.excluded.empty())
      excluded = excluded_rows(host, audience, first, users, view.items.rows).to(ctx);
    Buffer<std::int32_t> items(ctx, users * count);
    Buffer<float> scores(ctx, users * count);
    top_k(ctx, {queries.matrix(users, k, stride), view.items, view.item_biases,
                audience.excluded.empty() ? CsrView<const float>{} : excluded.view(), count,
                items.matrix(users, count, count), scores.matrix(users, count, count)});
    const auto host_items = items.to_host();
    const auto host_scores = scores.to_host();
    for (std::int64_t u = 0; u < users; ++u) {
      const auto at = static_cast<std::size_t>(first + u);
      Recommendation best{audience.names[at], {}, {}};
      const float own =
          view.mean + (biases.empty() ? 0.0f : biases[static_cast<std::size_t>(audience.rows[at])]);
      for (std::int64_t c = 0; c < count; ++c) {
        const std::int32_t item = host_items[static_cast<std::size_t>(u * count + c)];
        if (item < 0) break;
        best.items.push_back(model.item_id(item));
        best.scores.push_back(own + host_scores[static_cast<std::size_t>(u * count + c)]);
      }
      give(best);
    }
  }
}

}  // namespace gradmill
