// Everything a training run can be told. A value comes from the command line, else the environment
// (GRADMILL_MODEL_NUM_FACTORS), else the configuration file, else its default; the resolved
// configuration is written into the run.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "models/mf/config.h"

namespace gradmill {

struct RunConfig {
  std::string name;  // empty: mf-0001, mf-0002, …
  std::string dir = "runs";
  std::uint64_t seed = 1;
  std::string resume =
      "no";          // no, auto (newest checkpoint if there is one), or a checkpoint's path
  std::string init;  // warm start: a model or checkpoint whose factors are taken over
};

struct DataConfig {
  std::string train, valid;                           // sources of ratings; valid may be empty
  std::string user, item, rating, weight, timestamp;  // column names; empty: found
  std::string delimiter;                              // empty: found
  std::string header = "detect";
  std::string layout = "rows";  // rows, or lists (user item item …)
  bool has_ratings = true;      // false: every row is an interaction of value 1
  std::string bad_records = "fail";
  double holdout = 0.1;  // without valid: this share of rows is held out (0: none)
  std::string split =
      "random";  // of holdout: random (stable hash of user and item), last (by timestamp)
};

struct TrainConfig {
  std::int64_t epochs = 15;
  std::string device = "auto";  // auto, cpu, cuda, check
  int threads = 0;              // 0: the cores this process may use
  int evaluate_every = 1;       // epochs
  std::string metric =
      "auto";        // what decides "best": auto, rmse, mae, ndcg, recall, precision, map
  int patience = 3;  // evaluations without improvement before stopping; 0: never stop early
  double min_improvement = 0;  // relative
  int cut_off = 10;            // k of ranking metrics
  bool clip = true;            // predictions of ratings are clipped to the training data's range
  double timeout_s = 600;      // deadline of every wait for another rank
};

struct CheckpointConfig {
  int every = 1;  // epochs; 0: only the final model
  int keep = 3;
};

struct Config {
  RunConfig run;
  DataConfig data;
  MfConfig model;
  TrainConfig train;
  CheckpointConfig checkpoint;
};

/// One key of the configuration, bound to its place in a Config.
struct ConfigKey {
  std::string name;  // "model.num_factors"
  std::string help;
  std::variant<std::string*, double*, int*, std::int64_t*, std::uint64_t*, bool*> target;
};

/// All keys in the order of the file, bound to config.
std::vector<ConfigKey> config_keys(Config& config);

/// Sets one key from text. where: for messages ("--set", "run.toml:7"). Errors: ErrorKind::usage with
/// the nearest key, or with what was expected.
void set_config(Config& config, std::string_view key, std::string_view value,
                std::string_view where);

/// Reads a TOML file over config. Errors: ErrorKind::input_missing, usage with file and line.
void load_config_file(Config& config, const std::string& path);
void load_config_text(Config& config, std::string_view toml, const std::string& name);

/// Reads GRADMILL_<SECTION>_<KEY> variables; unknown ones with that prefix are errors, except those
/// that belong to the scripts.
void load_config_environment(Config& config);

/// Checks values that depend on one another. Errors: ErrorKind::usage.
void validate(const Config& config);

/// The whole configuration as TOML.
std::string to_toml(const Config& config);

}  // namespace gradmill
