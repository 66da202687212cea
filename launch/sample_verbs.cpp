#include "launch/sample_verbs.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "launch/device.h"
#include "launch/reading.h"
#include "launch/sample_metrics.h"
#include "launch/standard_input.h"
#include "launch/table_writer.h"
#include "runtime/expect.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {
struct Session {
  Session(const Options& options, const World& world, PredictorLoader load)
      : threads(threads_per_rank(options.config.train.threads, world)),
        host(Context::cpu(threads)),
        ctx(make_context(options.config.train.device, world, threads)),
        model(load(*ctx, host, options.target)),
        config(model.config) {
    config.data.bad_records = "fail";
    for (const Assignment& a : options.assignments) set_config(config, a.key, a.value, a.where);
    config.data.train = options.config.data.train;
    if (config.data.train != "-") return;
    input.emplace(model.inputs.pipeline != nullptr);
    config.data.train = input->path();
  }

  std::unique_ptr<SampleStream> open(bool with_labels) const {
    return open_model_samples({config.data, config.data.train, threads}, model.inputs,
                              /*strict=*/false, with_labels);
  }

  int threads;
  Context host;
  std::unique_ptr<Context> ctx;
  SamplePredictor model;
  std::optional<StandardInput> input;
  Config config;  // the model's, with the command line's changes
};

/// A chunk as samples of the model; takes its arrays.
Samples take(SampleChunk& chunk, std::int64_t num_features) {
  Samples samples;
  samples.offsets = std::move(chunk.offsets);
  samples.indices = std::move(chunk.indices);
  samples.values = std::move(chunk.values);
  samples.labels = std::move(chunk.labels);
  samples.weights = std::move(chunk.weights);
  samples.num_features = num_features;
  return samples;
}

/// Metrics need every margin at once; samples are taken over piece by piece.
Samples read_all(const Session& session, Log& log) {
  const SampleInputs& inputs = session.model.inputs;
  const auto stream = session.open(/*with_labels=*/true);
  Samples all;
  SampleChunk chunk;
  std::int64_t dropped = 0;
  while (stream->next(chunk)) {
    dropped += drop_unknown_features(chunk, inputs.num_features);
    inputs.to_classes(chunk.labels, session.config.data.train, chunk.first_row,
                      std::numeric_limits<float>::quiet_NaN());
    append_rows(all, chunk, 0, chunk.rows());
  }
  all.num_features = inputs.num_features;
  log_report(log, session.config.data.train, stream->report());
  if (dropped)
    log.warning(
        fmt::format("{} entries of features that the model does not have count as 0", dropped));
  return all;
}

void print_metrics(const SampleMetrics& metrics, std::int64_t rows,
                   const std::vector<std::string>& classes) {
  fmt::print("{} samples\n", rows);
  for (const auto& [name, value] : metrics.values) fmt::print("{:<10} {:.5f}\n", name, value);
  if (!metrics.calibration.empty()) {
    fmt::print("\nprobability of {}: predicted, observed, weight of samples\n", classes.at(1));
    for (std::size_t bin = 0; bin < metrics.calibration.size(); ++bin) {
      const CalibrationBin& b = metrics.calibration[bin];
      fmt::print("{:.1f} - {:.1f}   {:.4f}  {:.4f}  {:>10g}\n", 0.1 * static_cast<double>(bin),
                 0.1 * static_cast<double>(bin + 1), b.predicted, b.observed, b.weight);
    }
  }
  if (metrics.confusion.empty() || classes.size() > 12) return;
  fmt::print("\n{:>12}", "true \\ pred.");
  for (const std::string& name : classes) fmt::print(" {:>10}", name);
  for (std::size_t i = 0; i < classes.size(); ++i) {
    fmt::print("\n{:>12}", classes[i]);
    for (std::size_t j = 0; j < classes.size(); ++j)
      fmt::print(" {:>10g}", metrics.confusion[i * classes.size() + j]);
  }
  fmt::print("\n");
}

std::string metrics_json(const SampleMetrics& metrics, std::int64_t rows,
                         const std::vector<std::string>& classes) {
  nlohmann::ordered_json json;
  json["samples"] = rows;
  for (const auto& [name, value] : metrics.values) json[name] = value;
  if (!classes.empty()) json["classes"] = classes;
  for (const CalibrationBin& b : metrics.calibration)
    json["calibration"].push_back(
        {{"weight", b.weight}, {"predicted", b.predicted}, {"observed", b.observed}});
  if (!metrics.confusion.empty()) json["confusion"] = metrics.confusion;
  return json.dump();
}

/// Columns of the output: the prediction, then of a classification the probability of each class, then
/// the raw scores if they are wanted.
class Predictions {
 public:
  Predictions(const SamplePredictor& model, bool scores);
  const std::vector<std::string>& names() const { return names_; }
  /// margins [rows, C].
  void write(TableWriter& table, const std::vector<float>& margins, std::int64_t rows);

 private:
  bool has_probabilities() const {
    return link_ == Link::logistic || link_ == Link::softmax || link_ == Link::one_vs_rest;
  }
  IdColumn classes_of(const std::vector<int>& rows) const;

  Link link_;
  std::size_t outputs_;
  std::vector<std::string> classes_;
  std::vector<std::int64_t> class_numbers_;  // if every class is a whole number
  bool scores_;
  std::vector<std::string> names_{"prediction"};
};

Predictions::Predictions(const SamplePredictor& model, bool scores)
    : link_(model.link),
      outputs_(static_cast<std::size_t>(model.outputs)),
      classes_(model.inputs.classes),
      scores_(scores) {
  for (const std::string& name : classes_) {
    std::int64_t number = 0;
    if (!parse_id(name, number)) break;
    class_numbers_.push_back(number);
  }
  if (class_numbers_.size() != classes_.size()) class_numbers_.clear();
  if (has_probabilities())
    for (const std::string& name : classes_) names_.push_back("probability_" + name);
  if (scores_)
    for (std::int64_t c = 0; c < model.outputs; ++c)
      names_.push_back("score_" + model.inputs.output_name(c, model.outputs));
}

IdColumn Predictions::classes_of(const std::vector<int>& rows) const {
  IdColumn column;
  if (class_numbers_.empty()) column.kind = IdColumn::Kind::string;
  for (const int row : rows) {
    if (class_numbers_.empty())
      column.push(std::string_view(classes_[static_cast<std::size_t>(row)]));
    else
      column.push(class_numbers_[static_cast<std::size_t>(row)]);
  }
  return column;
}

void Predictions::write(TableWriter& table, const std::vector<float>& margins, std::int64_t rows) {
  const auto n = static_cast<std::size_t>(rows);
  std::vector<std::vector<double>> numbers(names_.size(), std::vector<double>(n));
  std::vector<int> predicted(n);
  std::vector<double> probabilities(classes_.size());
  for (std::size_t row = 0; row < n; ++row) {
    const std::span<const float> scores(margins.data() + row * outputs_, outputs_);
    std::size_t column = 1;
    if (classes_.empty())
      numbers[0][row] = link_ == Link::exponential ? std::exp(double{scores[0]}) : scores[0];
    else
      predicted[row] = predicted_class(scores);
    if (has_probabilities()) {
      class_probabilities(link_, scores, probabilities);
      for (const double p : probabilities) numbers[column++][row] = p;
    }
    if (scores_)
      for (const float score : scores) numbers[column++][row] = score;
  }
  const IdColumn names = classes_of(predicted);
  std::vector<TableColumn> columns(numbers.begin(), numbers.end());
  if (!classes_.empty()) columns[0] = &names;
  table.append(columns);
}
}  // namespace

int evaluate_samples(const Options& options, World& world, Log& log, PredictorLoader load) {
  expect(!options.config.data.train.empty(), ErrorKind::usage,
         "evaluate: give the held-out samples with --data FILE");
  const Session session(options, world, load);
  const SamplePredictor& model = session.model;
  Samples samples = read_all(session, log);
  const std::int64_t rows = samples.rows();
  const std::vector<float> labels = samples.labels, weights = samples.weights;
  const std::vector<float> margins = model.margins(std::move(samples));
  const auto comm = make_self_communicator();
  const auto& classes = model.inputs.classes;
  const SampleMetrics metrics =
      sample_metrics(session.host, *comm, model.link, static_cast<int>(classes.size()),
                     {{margins.data(), rows, model.outputs, model.outputs, {}},
                      {labels.data(), rows, {}},
                      {weights.data(), static_cast<std::int64_t>(weights.size()), {}}});
  if (options.json)
    fmt::print("{}\n", metrics_json(metrics, rows, classes));
  else
    print_metrics(metrics, rows, classes);
  return 0;
}

int predict_samples(const Options& options, World& world, Log& log, PredictorLoader load) {
  expect(!options.config.data.train.empty(), ErrorKind::usage,
         "predict: give the samples with --data FILE");
  const Session session(options, world, load);
  const SamplePredictor& model = session.model;
  Predictions predictions(model, options.scores);
  const auto stream = session.open(/*with_labels=*/false);
  const auto table = open_table(options.output.empty() ? "-" : options.output, predictions.names());
  std::int64_t dropped = 0;
  SampleChunk chunk;
  while (stream->next(chunk)) {  // a chunk at a time: any number of samples in bounded memory
    const std::int64_t rows = chunk.rows(), n = model.inputs.num_features;
    dropped += drop_unknown_features(chunk, n);
    predictions.write(*table, model.margins(take(chunk, n)), rows);
    chunk = {};
  }
  table->finish();
  log_report(log, session.config.data.train, stream->report());
  if (dropped)
    log.warning(
        fmt::format("{} entries of features that the model does not have count as 0", dropped));
  return 0;
}

}  // namespace gradmill
