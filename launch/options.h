// What the command line said.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "launch/config.h"
#include "launch/supervisor.h"

namespace gradmill {

/// A key of the configuration that the command line sets.
struct Assignment {
  std::string key, value, where;
};

struct Options {
  std::string verb;
  std::string target;  // train: "mf", "linear", "mlp" or a configuration file; else a run, model,
                       // checkpoint or source
  std::string output;  // file or folder to write; empty: the terminal
  Config config;       // defaults, file, environment and command line, in this order
  std::vector<Assignment> assignments;  // the command line's part of it

  // predict, recommend
  std::vector<std::string> users;  // recommend: ids; empty and no users_file: all users
  std::string users_file;          // one id a line
  std::string fold_in;             // ratings of users that the model has not seen
  std::string exclude;             // further ratings whose items are left out
  bool with_seen = false;          // recommend items that the user has rated as well
  int count = 10;
  bool scores = false;  // predict: raw scores as well
  int top = 0;          // inspect, linear: the largest coefficients

  // convert, inspect, validate, doctor
  std::string to = "hdf5";
  int shards = 0;  // 0: one for each 2 million rows' worth of file, at least 1
  int deflate = 0;
  bool force = false;
  std::string like;  // convert, validate: a model whose features and classes records have
  bool json = false;
  std::optional<double> min_value, max_value;

  LaunchOptions launch;

  bool quiet = false;
  bool verbose = false;
  std::string trace;
};

/// Parses, loads the configuration file and the environment. Prints help and version itself: then the
/// process should end with `exit`. Errors: ErrorKind::usage, with the nearest option or verb.
struct ParsedCommandLine {
  Options options;
  std::optional<int> exit;
};
ParsedCommandLine parse_command_line(int argc, const char* const* argv);

}  // namespace gradmill
