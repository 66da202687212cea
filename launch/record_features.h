// The feature pipeline of records: fitted by a configuration, or kept in a converted data set.
#pragma once

#include <memory>
#include <string>

#include "data/features.h"
#include "launch/config.h"
#include "launch/sample_inputs.h"

namespace gradmill {

/// What a rank sees of its part of the records, for the transforms of [[features]], or those that the short
/// keys of [data] stand for. Errors: as the readers; ErrorKind::usage for columns that are not there.
FeatureFit fit_records(const Config& config, const SampleSource& source);

/// The inputs of a stored model (linear, MLP) that reads records. Errors: as Checkpoint::open; ErrorKind::usage
/// for a model of sparse rows, which have no columns.
SampleInputs inputs_of_records(const std::string& model);

/// Whether a path is a folder with dataset.json. Errors: ErrorKind::input_missing.
bool is_converted(const std::string& path);

/// That a converted data set was made with; null: none, or another source.
std::shared_ptr<const FeaturePipeline> features_of_dataset(const std::string& path);

/// A converted data set holds features by number only, so they must be those of the model. Errors:
/// ErrorKind::data. Other sources are not looked at.
void expect_same_features(const std::string& path, const SampleInputs& inputs);

}  // namespace gradmill
