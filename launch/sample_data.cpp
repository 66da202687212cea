#include "launch/sample_data.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "data/files.h"
#include "dist/gather_strings.h"
#include "launch/reading.h"
#include "launch/record_features.h"
#include "models/linear/class_weights.h"
#include "runtime/expect.h"
#include "runtime/random.h"
#include "runtime/thread_pool.h"

namespace gradmill {
namespace {
constexpr std::size_t kMaxGuessedClasses = 64;  // whole numbers, with loss.kind = "auto"
constexpr std::size_t kMaxClasses = 65536;

template <class T>
std::uint64_t hash_of(const T* values, std::int64_t count, std::uint64_t seed) {
  return XXH3_64bits_withSeed(values, static_cast<std::size_t>(count) * sizeof(T), seed);
}

/// Of a row's label and entries.
std::uint64_t row_hash(const SampleChunk& chunk, std::int64_t row) {
  const auto r = static_cast<std::size_t>(row);
  const std::int64_t begin = chunk.offsets[r], count = chunk.offsets[r + 1] - begin;
  return hash_of(chunk.values.data() + begin, count,
                 hash_of(chunk.indices.data() + begin, count, hash_of(&chunk.labels[r], 1, 0)));
}

bool held_out(std::uint64_t hash, double share, std::uint64_t seed) {
  const Philox4 bits = random_bits(seed, RandomStream::split, hash);
  return (bits.x[0] + 0x1p-21 * (bits.x[1] >> 11)) * 0x1p-32 < share;
}

/// An estimate that is out of bounds is none.
template <class T>
void set_aside(std::vector<T>& values, std::int64_t estimate) {
  if (estimate > 0 && estimate < (std::int64_t{1} << 36))
    values.reserve(static_cast<std::size_t>(estimate) + 1);
}

/// What is the same on every rank: sums of these over the ranks.
enum Total { kTrainRows, kValidRows, kSkipped, kDropped, kDigest, kTotals };

class Loader {
 public:
  Loader(const Context& host, Communicator& comm, const Config& config, const SampleInputs* like,
         Log& log)
      : host_(host),
        comm_(comm),
        config_(config),
        loss_(config.kind == "mlp" ? config.mlp.loss : config.linear.loss),
        class_weight_(config.kind == "mlp" ? config.mlp.class_weight : config.linear.class_weight),
        like_(like),
        log_(log) {}
  SampleData load();

 private:
  SampleSource source(const std::string& path) const {
    return {config_.data, path, host_.threads().size(), comm_.rank(), comm_.world_size()};
  }
  void fit_pipeline();
  void read_train(bool strict);
  void read_valid();
  void agree_on_features(std::int64_t declared);
  void find_classes();
  void check_regression(const std::vector<float>& labels) const;
  void tell(const std::string& path, const ReadReport& report);

  const Context& host_;
  Communicator& comm_;
  const Config& config_;
  const std::string &loss_, &class_weight_;
  const SampleInputs* like_;
  Log& log_;
  SampleData data_;
  std::array<std::int64_t, kTotals> totals_{};
};

void Loader::fit_pipeline() {
  const FeatureFit mine = fit_records(config_, source(config_.data.train));
  data_.inputs.take(std::make_shared<const FeaturePipeline>(
      FeatureFit::merge(all_gather_strings(host_, comm_, mine.serialize()))));
}

void Loader::tell(const std::string& path, const ReadReport& report) {
  log_report(log_, path, report);
  totals_[kSkipped] += report.skipped;
}

void Loader::read_train(bool strict) {
  const auto stream =
      open_model_samples(source(config_.data.train), data_.inputs, strict, /*with_labels=*/true);
  data_.inputs.index_base = stream->index_base();
  set_aside(data_.train.offsets, stream->row_estimate());
  set_aside(data_.train.labels, stream->row_estimate());
  set_aside(data_.train.indices, stream->nnz_estimate());
  set_aside(data_.train.values, stream->nnz_estimate());
  const double share = config_.data.valid.empty() ? config_.data.holdout : 0;
  SampleChunk chunk;
  while (stream->next(chunk)) {
    std::int64_t begin = 0;
    for (std::int64_t row = 0; row < chunk.rows(); ++row) {
      const std::uint64_t hash = row_hash(chunk, row);
      const bool out = share > 0 && held_out(hash, share, config_.run.seed);
      if (!out) {
        totals_[kDigest] += static_cast<std::int64_t>(hash);
        continue;
      }
      append_rows(data_.train, chunk, begin, row);
      append_rows(data_.valid, chunk, row, row + 1);
      begin = row + 1;
    }
    append_rows(data_.train, chunk, begin, chunk.rows());
  }
  agree_on_features(stream->num_features());
  tell(config_.data.train, stream->report());
}

/// Features that no rank's training rows reach are none of the model's, unless a source declares them.
void Loader::agree_on_features(std::int64_t declared) {
  std::int64_t most = std::max(declared, data_.inputs.num_features);
  for (const Samples* samples : {&data_.train, &data_.valid})
    for (const std::int32_t index : samples->indices)
      most = std::max<std::int64_t>(most, index + std::int64_t{1});
  for (const std::string& one : all_gather_strings(host_, comm_, std::to_string(most)))
    most = std::max<std::int64_t>(most, std::stoll(one));
  expect(!like_ || most == data_.inputs.num_features, ErrorKind::data,
         "{}: {} features, but the model {} has {}", config_.data.train, most, config_.run.init,
         data_.inputs.num_features);
  data_.inputs.num_features = most;
}

void Loader::read_valid() {
  if (config_.data.valid.empty()) return;
  const auto stream =
      open_model_samples(source(config_.data.valid), data_.inputs, /*strict=*/false, true);
  SampleChunk chunk;
  while (stream->next(chunk)) {
    totals_[kDropped] += drop_unknown_features(chunk, data_.inputs.num_features);
    append_rows(data_.valid, chunk, 0, chunk.rows());
  }
  tell(config_.data.valid, stream->report());
}

void Loader::check_regression(const std::vector<float>& labels) const {
  if (loss_ != "poisson") return;
  for (const float label : labels)
    expect(label >= 0, ErrorKind::data,
           "{}: a label is {}; the Poisson loss needs counts, 0 or more", config_.data.train,
           label);
}

/// From the distinct labels of all ranks. Regression if the loss says so, or (auto) if labels are not a
/// few whole numbers.
void Loader::find_classes() {
  SampleInputs& inputs = data_.inputs;
  const bool regression =
      loss_ == "squared" || loss_ == "huber" || loss_ == "quantile" || loss_ == "poisson";
  if (regression) {
    expect(inputs.classes.empty(), ErrorKind::data,
           "{}: labels are text ({}, …), but loss.kind = \"{}\" needs numbers", config_.data.train,
           inputs.classes.empty() ? "" : inputs.classes.front(), loss_);
    return check_regression(data_.train.labels);
  }
  if (inputs.classes.empty()) {
    const bool guess = loss_ == "auto";
    const std::size_t limit = guess ? kMaxGuessedClasses : kMaxClasses;
    std::set<float> distinct;
    bool few = true;
    auto add = [&](float label) {
      if (!few) return;
      distinct.insert(label == 0 ? 0.0f : label);
      few = distinct.size() <= limit && (!guess || label == std::floor(label));
    };
    for (const float label : data_.train.labels) add(label);
    std::string mine(few ? "1" : "0");
    for (const float label : distinct)
      mine.append(reinterpret_cast<const char*>(&label), sizeof label);
    bool all_few = few;
    for (const std::string& part : all_gather_strings(host_, comm_, mine)) {
      all_few = all_few && part[0] == '1';
      for (std::size_t at = 1; at < part.size(); at += sizeof(float)) {
        float label;
        std::copy_n(part.data() + at, sizeof label, reinterpret_cast<char*>(&label));
        add(label);
      }
    }
    if (!few || !all_few) {
      expect(guess, ErrorKind::data, "{}: more than {} distinct labels; too many for classes",
             config_.data.train, kMaxClasses);
      return;  // a regression
    }
    inputs.class_values.assign(distinct.begin(), distinct.end());
    for (const float label : inputs.class_values)
      inputs.classes.push_back(fmt::format("{}", label));
  }
  expect(inputs.classes.size() != 1, ErrorKind::data,
         "{}: every label is {}; a classification needs two classes or more", config_.data.train,
         inputs.classes.front());
}

SampleData Loader::load() {
  if (like_) {
    data_.inputs = *like_;
    expect(like_->pipeline != nullptr || !has_records(config_.data.train, config_.data.format),
           ErrorKind::usage,
           "{}: records with columns, but the model {} was trained on sparse rows; their features "
           "do not agree",
           config_.data.train, config_.run.init);
  } else if (has_records(config_.data.train, config_.data.format)) {
    fit_pipeline();
  } else {
    expect(config_.features.empty(), ErrorKind::usage,
           "{}: sparse rows have no columns for [[features]]", config_.data.train);
    data_.inputs.num_features = config_.data.num_features;
    if (auto pipeline = features_of_dataset(config_.data.train))
      data_.inputs.take(std::move(pipeline));
  }
  const bool strict = data_.inputs.num_features > 0;
  read_train(strict);
  read_valid();

  for (const Samples* samples : {&data_.train, &data_.valid})
    totals_[samples == &data_.train ? kTrainRows : kValidRows] = samples->rows();
  comm_.all_reduce_sum(host_, VectorView<std::int64_t>{totals_.data(), kTotals, {}});
  data_.train_rows = totals_[kTrainRows];
  data_.valid_rows = totals_[kValidRows];
  data_.skipped = totals_[kSkipped];
  expect(data_.train_rows > 0, ErrorKind::data, "{}: no samples to train on{}", config_.data.train,
         data_.skipped ? fmt::format(" ({} records were left out)", data_.skipped) : "");
  if (totals_[kDropped])
    log_.info(
        fmt::format("{}: {} entries of features that the training data do not have count as 0",
                    config_.data.valid, totals_[kDropped]));

  if (!like_) find_classes();
  constexpr float kRefuse = std::numeric_limits<float>::quiet_NaN();
  data_.inputs.to_classes(data_.train.labels, config_.data.train, 0, kRefuse);
  data_.inputs.to_classes(data_.valid.labels,
                          config_.data.valid.empty() ? config_.data.train : config_.data.valid, 0,
                          kRefuse);
  data_.train.num_features = data_.valid.num_features = data_.inputs.num_features;
  if (!data_.inputs.classes.empty())
    apply_class_weights(host_, comm_, class_weight_, data_.inputs.classes, data_.train);
  data_.digest =
      xxh128_hex(fmt::format("{} {} {} {}", data_.train_rows, totals_[kDigest],
                             data_.inputs.num_features, fmt::join(data_.inputs.classes, "\n")));
  return std::move(data_);
}
}  // namespace

SampleData load_sample_data(const Context& host, Communicator& comm, const Config& config,
                            const SampleInputs* like, Log& log) {
  return Loader(host, comm, config, like, log).load();
}

void standardize_labels(const Context& host, Communicator& comm, bool learn, SampleData& data) {
  SampleInputs& inputs = data.inputs;
  std::vector<float>& labels = data.train.labels;
  const auto mean_of = [&](auto&& value) {
    double sum = 0;
    for (const float label : labels) sum += value(static_cast<double>(label));
    comm.all_reduce_sum(host, VectorView<double>{&sum, 1, {}});
    return sum / static_cast<double>(data.train_rows);
  };
  if (learn) {
    const double mean = mean_of([](double label) { return label; });
    const double variance = mean_of([&](double label) { return (label - mean) * (label - mean); });
    inputs.label_mean = mean;
    inputs.label_scale = variance > 0 ? std::sqrt(variance) : 1.0;
  }
  for (float& label : labels)
    label =
        static_cast<float>((static_cast<double>(label) - inputs.label_mean) / inputs.label_scale);
}

}  // namespace gradmill
