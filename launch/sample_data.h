// Samples from files to what linear models and MLPs train on, over all ranks.
#pragma once

#include <cstdint>
#include <string>

#include "launch/config.h"
#include "launch/sample_inputs.h"
#include "models/linear/samples.h"
#include "runtime/log.h"

namespace gradmill {

struct SampleData {
  SampleInputs inputs;
  Samples train, valid;  // this rank's; labels are classes or values, weights with class weights
  std::int64_t train_rows = 0, valid_rows = 0, skipped = 0;  // of all ranks
  std::string digest;  // of the training rows: tells one data set from another
};

/// Collective: every rank reads its part of the sources; fitted features and classes are those of all
/// ranks. Without data.valid, a stable hash of each row decides whether it is held out, so equal rows go
/// the same way whatever the order or the ranks. like: the inputs of a model that the run goes on from
/// (its features and classes are kept), or null.
/// Errors: as the readers; ErrorKind::data if there is no sample to train on, a single class, or labels
/// that do not fit the loss; usage for columns or features that are not there.
SampleData load_sample_data(const Context& host, Communicator& comm, const Config& config,
                            const SampleInputs* like, Log& log);

/// Labels of a regression to train on: (label - mean) / standard deviation over all ranks, of the training data only.
/// Collective. learn: find mean and deviation; else those of data.inputs are taken.
void standardize_labels(const Context& host, Communicator& comm, bool learn, SampleData& data);

}  // namespace gradmill
