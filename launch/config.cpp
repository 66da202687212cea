#include "launch/config.h"

#include <charconv>
#include <cmath>
#include <cstdlib>

#include "launch/nearest.h"
#include "runtime/expect.h"

extern char** environ;  // NOLINT: POSIX

namespace gradmill {
namespace {
template <class T>
bool parse_number(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

/// Names of what text may be, empty if it was set.
std::string_view assign(const ConfigKey& key, std::string_view text) {
  return std::visit(
      [&]<class T>(T* target) -> std::string_view {
        if constexpr (std::is_same_v<T, std::string>) {
          *target = text;
          return {};
        } else if constexpr (std::is_same_v<T, bool>) {
          if (text == "true" || text == "1" || text == "yes")
            return *target = true, std::string_view{};
          if (text == "false" || text == "0" || text == "no")
            return *target = false, std::string_view{};
          return "true or false";
        } else if constexpr (std::is_same_v<T, double>) {
          return parse_number(text, *target) && std::isfinite(*target) ? std::string_view{}
                                                                       : "a number";
        } else {
          return parse_number(text, *target) ? std::string_view{} : "a whole number";
        }
      },
      key.target);
}

std::string quote(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (c == '\n')
      quoted += "\\n";
    else if (c == '\t')
      quoted += "\\t";
    else if (static_cast<unsigned char>(c) < 0x20)
      quoted += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else
      quoted += c;
  }
  return quoted + '"';
}

std::string toml_value(const ConfigKey& key) {
  return std::visit(
      []<class T>(const T* value) -> std::string {
        if constexpr (std::is_same_v<T, std::string>)
          return quote(*value);
        else if constexpr (std::is_same_v<T, double>) {
          const std::string text = fmt::format("{}", *value);
          return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
        } else
          return fmt::format("{}", *value);
      },
      key.target);
}

void one_of(std::string_view key, const std::string& value,
            std::initializer_list<std::string_view> allowed) {
  std::string list;
  for (const auto a : allowed) {
    if (value == a) return;
    list += (list.empty() ? "" : ", ") + std::string(a);
  }
  fail(ErrorKind::usage, "{} is \"{}\"; it must be one of {}", key, value, list);
}
}  // namespace

std::vector<ConfigKey> config_keys(Config& c) {
  return {
      {"run.name", "name of the run; default: the next free mf-0001", &c.run.name},
      {"run.dir", "folder of all runs", &c.run.dir},
      {"run.seed", "seed of every random number", &c.run.seed},
      {"run.resume", "no, auto (the newest checkpoint if there is one) or a checkpoint's path",
       &c.run.resume},
      {"run.init", "model or checkpoint whose factors the run starts from", &c.run.init},
      {"data.train", "ratings to train on: a file, folder, glob or converted data set",
       &c.data.train},
      {"data.valid", "held-out ratings; without it data.holdout of the rows is held out",
       &c.data.valid},
      {"data.user", "column of the users (name, or 1-based position)", &c.data.user},
      {"data.item", "column of the items", &c.data.item},
      {"data.rating", "column of the ratings", &c.data.rating},
      {"data.weight", "column of sample weights", &c.data.weight},
      {"data.timestamp", "column of times", &c.data.timestamp},
      {"data.delimiter", "of text files; default: found from the first lines", &c.data.delimiter},
      {"data.header", "detect, yes or no", &c.data.header},
      {"data.layout", "rows (user item rating) or lists (user item item ...)", &c.data.layout},
      {"data.has_ratings", "false: every row is an interaction of value 1", &c.data.has_ratings},
      {"data.bad_records", "fail, or skip: leave out, count and report", &c.data.bad_records},
      {"data.holdout", "share of rows held out when data.valid is not given", &c.data.holdout},
      {"data.split", "of the holdout: random (a stable hash) or last (each user's last by time)",
       &c.data.split},
      {"model.algorithm", "als, sgd (explicit ratings) or ials (implicit feedback)",
       &c.model.algorithm},
      {"model.num_factors", "latent size, 1 to 256", &c.model.num_factors},
      {"model.solver", "auto, cholesky, or cg (ials)", &c.model.solver},
      {"model.biases", "user and item biases (als; sgd always has them)", &c.model.biases},
      {"model.regularization", "l2 of factors and biases; negative: the algorithm's default",
       &c.model.regularization},
      {"model.bias_regularization", "sgd: l2 of biases; negative: half of model.regularization",
       &c.model.bias_regularization},
      {"model.ridge_exponent", "als, ials: l2 of a row grows with (number of ratings)^this",
       &c.model.ridge_exponent},
      {"model.alpha", "ials: confidence that a rating adds", &c.model.alpha},
      {"model.unobserved_weight", "ials: weight of unobserved pairs", &c.model.unobserved_weight},
      {"model.cg_steps", "conjugate gradient steps a half-step", &c.model.cg_steps},
      {"model.learning_rate", "sgd", &c.model.learning_rate},
      {"model.adagrad", "sgd: adaptive rate for each row", &c.model.adagrad},
      {"model.init_stddev",
       "factors start as N(0, init_stddev^2 / num_factors); negative: the default",
       &c.model.init_stddev},
      {"model.exchange", "between ranks: gather factors, reduce normal equations, or auto",
       &c.model.exchange},
      {"train.epochs", "passes over the ratings", &c.train.epochs},
      {"train.device", "auto, cpu, cuda, or check (cpu against cuda, kernel by kernel)",
       &c.train.device},
      {"train.threads", "CPU threads of each rank; 0: the cores it may use", &c.train.threads},
      {"train.evaluate_every", "epochs between evaluations", &c.train.evaluate_every},
      {"train.metric",
       "what decides which model is best: auto, rmse, mae, ndcg, recall, precision, map",
       &c.train.metric},
      {"train.patience", "stop after so many evaluations without improvement; 0: never",
       &c.train.patience},
      {"train.min_improvement", "relative improvement that counts", &c.train.min_improvement},
      {"train.cut_off", "k of the ranking metrics", &c.train.cut_off},
      {"train.clip", "clip predicted ratings to the range seen in training", &c.train.clip},
      {"train.timeout_s", "seconds that a rank waits for the others", &c.train.timeout_s},
      {"checkpoint.every", "epochs between checkpoints; 0: none", &c.checkpoint.every},
      {"checkpoint.keep", "newest checkpoints to keep (the best is kept too)", &c.checkpoint.keep},
  };
}

void set_config(Config& config, std::string_view name, std::string_view value,
                std::string_view where) {
  const auto keys = config_keys(config);
  std::vector<std::string> names;
  for (const ConfigKey& key : keys) {
    if (key.name == name) {
      const std::string_view expected = assign(key, value);
      expect(expected.empty(), ErrorKind::usage, "{}: {} is \"{}\"; expected {}", where, name,
             value, expected);
      return;
    }
    names.push_back(key.name);
  }
  const auto dot = name.find('.');
  if (dot != name.npos) {
    fail(ErrorKind::usage, "{}: unknown key \"{}\" in [{}]{}", where, name.substr(dot + 1),
         name.substr(0, dot), did_you_mean(name, names));
  }
  fail(ErrorKind::usage, "{}: unknown key \"{}\"{}", where, name, did_you_mean(name, names));
}

void load_config_environment(Config& config) {
  static constexpr std::string_view kPrefix = "GRADMILL_";
  for (char** entry = environ; entry && *entry; ++entry) {
    const std::string_view variable(*entry);
    if (!variable.starts_with(kPrefix)) continue;
    const auto equals = variable.find('=');
    if (equals == variable.npos) continue;
    std::string name(variable.substr(kPrefix.size(), equals - kPrefix.size()));
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const auto split = name.find('_');
    if (split == name.npos) continue;
    const std::string section = name.substr(0, split);
    if (section != "run" && section != "data" && section != "model" && section != "train" &&
        section != "checkpoint")
      continue;  // GRADMILL_PRESET and the like belong to scripts and tests
    name[split] = '.';
    set_config(config, name, variable.substr(equals + 1), variable.substr(0, equals));
  }
}

void validate(const Config& c) {
  validate(c.model);
  one_of("data.header", c.data.header, {"detect", "yes", "no"});
  one_of("data.layout", c.data.layout, {"rows", "lists"});
  one_of("data.bad_records", c.data.bad_records, {"fail", "skip"});
  one_of("data.split", c.data.split, {"random", "last"});
  one_of("train.metric", c.train.metric,
         {"auto", "rmse", "mae", "ndcg", "recall", "precision", "map"});
  auto in_range = [](std::string_view key, double value, double low, double high) {
    expect(value >= low && value <= high, ErrorKind::usage, "{} is {}; it must be in [{}, {}]", key,
           value, low, high);
  };
  in_range("data.holdout", c.data.holdout, 0, 0.9);
  in_range("train.epochs", static_cast<double>(c.train.epochs), 0, 1e6);
  in_range("train.threads", c.train.threads, 0, 4096);
  in_range("train.evaluate_every", c.train.evaluate_every, 1, 1e6);
  in_range("train.patience", c.train.patience, 0, 1e6);
  in_range("train.cut_off", c.train.cut_off, 1, 1024);
  in_range("train.timeout_s", c.train.timeout_s, 1, 1e6);
  in_range("checkpoint.every", c.checkpoint.every, 0, 1e6);
  in_range("checkpoint.keep", c.checkpoint.keep, 2, 1e6);
  const std::string& device = c.train.device;
  expect(device == "auto" || device == "cpu" || device == "check" || device == "cuda" ||
             (device.starts_with("cuda:") && device.size() > 5 &&
              device.find_first_not_of("0123456789", 5) == std::string::npos),
         ErrorKind::usage, "train.device is \"{}\"; it must be auto, cpu, cuda, cuda:N or check",
         device);
  expect(!c.data.train.empty(), ErrorKind::usage,
         "no training data; give --data FILE, or train = \"FILE\" in [data] of the configuration "
         "file");
}

std::string to_toml(const Config& config) {
  Config copy = config;
  std::string text, section;
  for (const ConfigKey& key : config_keys(copy)) {
    const auto dot = key.name.find('.');
    if (key.name.substr(0, dot) != section) {
      section = key.name.substr(0, dot);
      text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", section);
    }
    text += fmt::format("{} = {}\n", key.name.substr(dot + 1), toml_value(key));
  }
  return text;
}

}  // namespace gradmill
