#include "launch/record_features.h"

#include <algorithm>

#include "data/dataset.h"
#include "data/rating_source.h"
#include "launch/model_state.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

std::string label_column(const DataConfig& data, const std::vector<ColumnSpec>& found) {
  if (!data.label.empty() || found.empty()) return data.label;
  for (const char* usual : {"label", "target", "y", "class"})
    for (const ColumnSpec& column : found)
      if (column.name == usual) return usual;
  return found.back().name;
}

/// The tables of the configuration, or those that the short keys of [data] stand for.
std::vector<FeatureSpec> feature_specs(const Config& config, const std::vector<ColumnSpec>& found) {
  const DataConfig& data = config.data;
  std::vector<FeatureSpec> specs = config.features;
  const std::int64_t buckets =
      data.hash_bits > 0 ? std::int64_t{1} << data.hash_bits : FeatureSpec().hash_size;
  auto add = [&](const std::string& column, const char* kind) -> FeatureSpec& {
    FeatureSpec& spec = specs.emplace_back();
    spec.column = column;
    spec.kind = kind;
    spec.hash_size = buckets;
    return spec;
  };
  for (const std::string& column : data.text) add(column, "text");
  const std::string label = label_column(data, found);
  if (config.features.empty() && data.hash_bits > 0)
    for (const ColumnSpec& column : found)
      if (column.kind == ColumnKind::text && column.name != label && column.name != data.weight &&
          std::find(data.text.begin(), data.text.end(), column.name) == data.text.end())
        add(column.name, "hashed");
  if (config.features.empty()) add("*", "auto");
  for (const std::string& crossed : data.interactions) {
    FeatureSpec& spec = add("", "interaction");
    for (std::size_t at = 0; at <= crossed.size();) {
      const std::size_t end = std::min(crossed.find('*', at), crossed.size());
      spec.columns.push_back(crossed.substr(at, end - at));
      at = end + 1;
    }
  }
  return specs;
}

}  // namespace

FeatureFit fit_records(const Config& config, const SampleSource& source) {
  const RecordReadOptions options =
      record_options(source.data, source.threads, source.part, source.parts);
  const auto found = open_records(source.path, options)->columns();
  return fit_features(source.path, options, feature_specs(config, found),
                      {config.data.label, config.data.weight, config.data.label_strip});
}

SampleInputs inputs_of_records(const std::string& model) {
  SampleInputs inputs = SampleInputs::read(Checkpoint::open(model_folder(model)));
  expect(inputs.pipeline != nullptr, ErrorKind::usage,
         "{}: the model was trained on sparse rows, which have no columns to make features of; "
         "leave --like out",
         model);
  return inputs;
}

bool is_converted(const std::string& path) {
  return find_rating_files(path).format == RatingFormat::dataset;
}

std::shared_ptr<const FeaturePipeline> features_of_dataset(const std::string& path) {
  if (!is_converted(path)) return nullptr;
  const Dataset dataset = read_dataset(path);
  if (!dataset.features) return nullptr;
  return std::make_shared<const FeaturePipeline>(read_features(Folder::open(path), dataset));
}

void expect_same_features(const std::string& path, const SampleInputs& inputs) {
  if (!is_converted(path)) return;
  const Dataset dataset = read_dataset(path);
  if (inputs.pipeline)
    expect(dataset.samples.num_features == inputs.num_features, ErrorKind::data,
           "{}: {} features, but the model has {}; convert the data with the model's features, or "
           "give the records themselves",
           path, dataset.samples.num_features, inputs.num_features);
  if (!dataset.features) return;
  const bool same =
      inputs.pipeline && xxh128_hex(inputs.pipeline->serialize()) == dataset.features->digest;
  expect(same, ErrorKind::data,
         "{}: its features ({}) are others than the model's; give the records themselves", path,
         dataset.features->name);
}

}  // namespace gradmill
