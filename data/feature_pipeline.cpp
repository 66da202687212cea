#include <algorithm>

#include "data/feature_plan.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {

FeaturePipeline::FeaturePipeline() : impl_(std::make_unique<Impl>()) {}
FeaturePipeline::~FeaturePipeline() = default;
FeaturePipeline::FeaturePipeline(FeaturePipeline&&) noexcept = default;
FeaturePipeline& FeaturePipeline::operator=(FeaturePipeline&&) noexcept = default;

std::int64_t FeaturePipeline::num_features() const { return impl_->fitted.num_features; }

const std::vector<std::string>& FeaturePipeline::label_classes() const {
  return impl_->fitted.classes;
}

std::vector<ColumnSpec> FeaturePipeline::columns(bool with_labels) const {
  std::vector<ColumnSpec> columns = impl_->fitted.plan.columns;
  const auto label = static_cast<std::size_t>(impl_->fitted.plan.label);
  if (with_labels)
    columns[label].allowed = impl_->fitted.classes;
  else
    columns.resize(label);
  return columns;
}

namespace {
std::string name_of(const PipelinePlan& pipeline, const FeaturePlan& plan) {
  std::string name;
  for (const int c : plan.columns)
    name += (name.empty() ? "" : "*") + pipeline.columns[static_cast<std::size_t>(c)].name;
  return name;
}
}  // namespace

std::vector<FeatureRange> FeaturePipeline::ranges() const {
  const FittedPipeline& pipeline = impl_->fitted;
  std::vector<FeatureRange> ranges;
  for (std::size_t i = 0; i < pipeline.features.size(); ++i) {
    const FittedFeature& fitted = pipeline.features[i];
    const FeaturePlan& plan = pipeline.plan.features[i];
    if (fitted.width > 0)
      ranges.push_back({name_of(pipeline.plan, plan), fitted.base, fitted.width,
                        plan.kind == FeatureKind::numeric});
  }
  return ranges;
}

std::string FeaturePipeline::feature_name(std::int64_t feature) const {
  const FittedPipeline& pipeline = impl_->fitted;
  require(feature >= 0 && feature < pipeline.num_features, "feature {} of {}", feature,
          pipeline.num_features);
  const auto next =
      std::upper_bound(pipeline.features.begin(), pipeline.features.end(), feature,
                       [](std::int64_t f, const FittedFeature& fitted) { return f < fitted.base; });
  const auto at = next - 1;
  const FeaturePlan& plan =
      pipeline.plan.features[static_cast<std::size_t>(at - pipeline.features.begin())];
  const std::string name = name_of(pipeline.plan, plan);
  const std::int64_t within = feature - at->base;
  if (plan.kind == FeatureKind::numeric) return within == 0 ? name : name + " missing";
  if (plan.kind != FeatureKind::categorical) return fmt::format("{}#{}", name, within);
  if (within < at->values.size()) return fmt::format("{}={}", name, at->values.ids().text(within));
  const bool missing = plan.missing == MissingPolicy::own && within == at->width - 1;
  return name + (missing ? " missing" : " other");
}

std::string FeaturePipeline::serialize() const { return pipeline_to_json(impl_->fitted); }

FeaturePipeline FeaturePipeline::deserialize(std::string_view text, const std::string& name) {
  FeaturePipeline pipeline;
  pipeline.impl_->fitted = pipeline_from_json(text, name);
  return pipeline;
}

namespace {

class RecordSamples : public SampleStream {
 public:
  RecordSamples(const std::string& path, RecordReadOptions options, const FeaturePipeline& pipeline,
                bool with_labels)
      : pipeline_(pipeline), with_labels_(with_labels), pool_(options.threads) {
    options.columns = pipeline.columns(with_labels);
    stream_ = open_records(path, options);
  }
  bool next(SampleChunk& chunk) override {
    if (!stream_->next(records_)) return false;
    pipeline_.transform(records_, chunk, pool_, with_labels_);
    return true;
  }
  const ReadReport& report() const override { return stream_->report(); }
  std::int64_t num_features() const override { return pipeline_.num_features(); }
  std::int64_t row_estimate() const override { return stream_->row_estimate(); }

 private:
  const FeaturePipeline& pipeline_;
  bool with_labels_;
  ThreadPool pool_;
  std::unique_ptr<RecordStream> stream_;
  RecordChunk records_;
};

}  // namespace

std::unique_ptr<SampleStream> open_record_samples(const std::string& path,
                                                  RecordReadOptions options,
                                                  const FeaturePipeline& pipeline,
                                                  bool with_labels) {
  return std::make_unique<RecordSamples>(path, std::move(options), pipeline, with_labels);
}

}  // namespace gradmill
