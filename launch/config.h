// Everything a training run can be told. A value comes from the command line, else the environment
// (GRADMILL_MODEL_NUM_FACTORS), else the configuration file, else its default; the resolved
// configuration is written into the run.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "data/features.h"
#include "models/linear/config.h"
#include "models/mf/config.h"
#include "models/mlp/config.h"

namespace gradmill {

struct RunConfig {
  std::string name;  // empty: mf-0001, mf-0002, …; linear-0001, …; mlp-0001, …
  std::string dir = "runs";
  std::uint64_t seed = 1;
  std::string resume =
      "no";          // no, auto (newest checkpoint if there is one), or a checkpoint's path
  std::string init;  // warm start: a model or checkpoint whose parameters are taken over
};

struct DataConfig {
  std::string train, valid;  // sources; valid may be empty
  std::string weight;        // column of sample weights; empty: found (ratings), none (samples)
  std::string delimiter;     // empty: found
  std::string header = "detect";
  std::string bad_records = "fail";
  double holdout = 0.1;  // without valid: this share of rows is held out (0: none)

  // ratings
  std::string user, item, rating, timestamp;  // column names; empty: found
  std::string layout = "rows";                // rows, or lists (user item item …)
  bool has_ratings = true;                    // false: every row is an interaction of value 1
  std::string split =
      "random";  // of holdout: random (stable hash of user and item), last (by timestamp)

  // samples
  std::string label;                        // column; empty: found (LabelSpec)
  std::string label_strip;                  // characters taken off the end of text labels
  bool quotes = true;                       // of CSV
  std::string format = "auto";              // auto, libsvm, csv, jsonl, csr, columns
  std::string index_base = "detect";        // of LIBSVM text: detect, 0, 1
  std::int64_t num_features = 0;            // 0: found
  std::vector<std::string> missing_values;  // texts that mean "missing"; empty: the usual ones
  // Features when the configuration has no [[features]]: every column but label and weight.
  std::vector<std::string> text;          // columns to split into terms
  std::vector<std::string> interactions;  // "a*b": columns crossed and hashed
  int hash_bits = 0;  // > 0: categories are hashed; 2^hash_bits buckets for text and interactions
};

struct TrainConfig {
  std::int64_t epochs = -1;     // negative: the model's default
  std::string device = "auto";  // auto, cpu, cuda, check
  int threads = 0;              // 0: the cores this process may use
  int evaluate_every = 0;       // epochs; 0: each if a metric decides, else only the last
  std::string metric = "auto";  // what decides "best"; none: the last model
  int patience = 3;  // evaluations without improvement before stopping; 0: never stop early
  double min_improvement = 0;  // relative
  int cut_off = 10;            // k of ranking metrics
  bool clip = true;            // predictions of ratings are clipped to the training data's range
  double timeout_s = 600;      // deadline of every wait for another rank
  double heartbeat_s = 15;     // a rank that is silent for so long is lost; 0: no heartbeats
};

struct CheckpointConfig {
  int every = 1;        // epochs; 0: only the final model
  double seconds = -1;  // and at least so long after the last; negative: the model's default
  int keep = 3;
  bool strict = false;  // resume only what goes on bit for bit
};

struct Config {
  RunConfig run;
  DataConfig data;
  std::string kind = "mf";  // model.kind: mf, linear, mlp
  std::vector<FeatureSpec> features;
  MfConfig mf;          // [model] of kind mf
  LinearConfig linear;  // [model], [loss], [optimizer] of kind linear
  MlpConfig mlp;        // the same of kind mlp
  TrainConfig train;
  CheckpointConfig checkpoint;
  std::map<std::string, std::string> given;  // keys that were set, and where
};

/// Kinds of models that a key is for; a sum of these.
enum KeyKinds : unsigned {
  kForMf = 1,
  kForLinear = 2,
  kForMlp = 4,
  kForSamples = kForLinear | kForMlp,
  kForAll = kForMf | kForSamples
};

/// Text that may be given as a list, whose items it then has with commas between them.
struct ListAsText {
  std::string* text;
};

/// One key of the configuration, bound to its place in a Config. Several may have one name: each is for other kinds
/// of models, and setting the name sets them all.
struct ConfigKey {
  std::string name;  // "optimizer.l2"
  unsigned kinds;
  std::string help;
  std::variant<std::string*, double*, int*, std::int64_t*, std::uint64_t*, bool*,
               std::vector<std::string>*, ListAsText>
      target;
  bool applies_to(std::string_view kind) const;
};

/// All keys in the order of the file, bound to config.
std::vector<ConfigKey> config_keys(Config& config);
/// Those of kind mlp alone; a part of config_keys.
std::vector<ConfigKey> mlp_keys(MlpConfig& config);
/// The keys of one [[features]] table.
std::vector<ConfigKey> feature_keys(FeatureSpec& feature);

/// Text, or the elements of a list (of which text is one: "a,b").
using ConfigValue = std::variant<std::string, std::vector<std::string>>;

/// Sets one key. where: for messages ("--set", "run.toml:7"). Errors: ErrorKind::usage with the nearest
/// key, or with what was expected.
void set_config(Config& config, std::string_view key, const ConfigValue& value,
                std::string_view where);
/// Adds a [[features]] table.
void add_feature(Config& config, std::span<const std::pair<std::string, ConfigValue>> values,
                 std::string_view where);

/// Reads a TOML file over config. Errors: ErrorKind::input_missing, usage with file and line.
void load_config_file(Config& config, const std::string& path);
void load_config_text(Config& config, std::string_view toml, const std::string& name);

/// Reads GRADMILL_<SECTION>_<KEY> variables; unknown ones with that prefix are errors, except those
/// that belong to the scripts.
void load_config_environment(Config& config);

/// "auto" and negative values replaced by the kind's defaults, as far as they do not depend on the data.
void complete(Config& config);

/// Checks values that depend on one another, of a complete configuration. Errors: ErrorKind::usage.
void validate(const Config& config);
/// That every key which was set is for config.kind. Errors: ErrorKind::usage naming key and place.
void check_keys_apply(const Config& config);

/// All that applies to config.kind as TOML.
std::string to_toml(const Config& config);
/// Of it only what makes the model: sections model, loss, optimizer and features, and the seed.
std::string model_toml(const Config& config);
/// Without [run] but its seed, and [checkpoint]: all that decides how training goes on.
std::string training_toml(const Config& config);

}  // namespace gradmill
