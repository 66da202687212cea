// What the inputs of a model of samples are. Kept in its folder, so that prediction and evaluation read any
// source as training did.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/features.h"
#include "data/sample_stream.h"
#include "launch/checkpoint.h"
#include "launch/config.h"
#include "models/linear/samples.h"

namespace gradmill {

struct SampleInputs {
  std::int64_t num_features = 0;
  std::vector<std::string> classes;  // names of classes 0, 1, …; empty: a regression
  std::vector<float> class_values;   // their labels, ascending; empty: labels are the classes
  int index_base = -1;               // of LIBSVM text; -1: other sources, or as detected
  std::shared_ptr<const FeaturePipeline> pipeline;  // of records; null: sparse rows
  double label_mean = 0, label_scale = 1;  // a score s of a regression stands for mean + scale s

  /// Features and classes of text are those of the pipeline.
  void take(std::shared_ptr<const FeaturePipeline> fitted);
  std::string feature_name(std::int64_t feature) const;
  /// Whom the output-th score speaks for: a class; a single one of two classes for the second; "value".
  std::string output_name(std::int64_t output, std::int64_t outputs) const;
  /// "a regression", "3 classes (a, b, c)"
  std::string describe_labels() const;

  /// Scores of a regression in the labels' units, in place.
  void to_label_units(std::vector<float>& scores) const;

  void write(CheckpointWriter& writer) const;  // by one rank
  static SampleInputs read(const Checkpoint& checkpoint);

  /// Labels as classes 0 .. C - 1, in place. unknown_is: for labels that are no class, or NaN: these are
  /// ErrorKind::data naming source and row.
  void to_classes(std::vector<float>& labels, const std::string& source, std::int64_t first_row,
                  float unknown_is) const;
};

/// Whether a source has records with named columns; else sparse rows (LIBSVM text, HDF5, TFRecord, a
/// converted data set). format: data.format. Errors: ErrorKind::input_missing.
bool has_records(const std::string& source, const std::string& format);

RecordReadOptions record_options(const DataConfig& data, int threads, int part = 0, int parts = 1);

/// What to read of a source, by the rank `part` of `parts`.
struct SampleSource {
  const DataConfig& data;
  std::string path;
  int threads = 1, part = 0, parts = 1;
};
/// Samples in the model's features: records through its pipeline, sparse rows as they are. A converted data set
/// must have the model's features (expect_same_features). Without a pipeline, num_features > 0 and `strict`: greater indices are
/// bad records; else they are left out (their coefficients would be 0) and counted.
std::unique_ptr<SampleStream> open_model_samples(const SampleSource& source,
                                                 const SampleInputs& inputs, bool strict,
                                                 bool with_labels);

/// Appends rows [begin, end) of a chunk.
void append_rows(Samples& to, const SampleChunk& chunk, std::int64_t begin, std::int64_t end);

/// Collective. Writes folder parent/name: the tensors, which all ranks hold alike or their rows of them, and the
/// inputs. Errors: as CheckpointWriter::commit.
void write_sample_model(const Context& ctx, const Context& host, Communicator& comm,
                        const std::string& parent, const std::string& name,
                        const CheckpointInfo& info, const std::vector<StateTensor>& tensors,
                        const SampleInputs& inputs);

/// Leaves out entries of features >= num_features; how many there were.
std::int64_t drop_unknown_features(SampleChunk& chunk, std::int64_t num_features);

}  // namespace gradmill
