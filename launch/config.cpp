#include "launch/config.h"

#include <algorithm>
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

std::vector<std::string> split_at_commas(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    items.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return items;
}

/// What the value must be, empty if it was set.
std::string_view assign(const ConfigKey& key, const ConfigValue& value) {
  if (const auto* list = std::get_if<std::vector<std::string>>(&value)) {
    if (const auto* target = std::get_if<std::vector<std::string>*>(&key.target))
      **target = *list;
    else if (const auto* joined = std::get_if<ListAsText>(&key.target))
      *joined->text = fmt::format("{}", fmt::join(*list, ","));
    else
      return "one value, not a list";
    return {};
  }
  const std::string_view text = std::get<std::string>(value);
  return std::visit(
      [&]<class Target>(Target target) -> std::string_view {
        using T = std::remove_pointer_t<Target>;
        if constexpr (std::is_same_v<T, ListAsText>) {
          *target.text = text;
          return {};
        } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          *target = split_at_commas(text);
          return {};
        } else if constexpr (std::is_same_v<T, std::string>) {
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
      []<class Target>(Target value) -> std::string {
        using T = std::remove_pointer_t<Target>;
        if constexpr (std::is_same_v<T, ListAsText>) {
          return quote(*value.text);
        } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          std::string list;
          for (const std::string& item : *value) list += (list.empty() ? "" : ", ") + quote(item);
          return fmt::format("[{}]", list);
        } else if constexpr (std::is_same_v<T, std::string>)
          return quote(*value);
        else if constexpr (std::is_same_v<T, double>) {
          const std::string text = fmt::format("{}", *value);
          return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
        } else
          return fmt::format("{}", *value);
      },
      key.target);
}

/// All keys of that name; false if there is none.
bool set(const std::vector<ConfigKey>& keys, std::string_view name, const ConfigValue& value,
         std::string_view where) {
  bool found = false;
  for (const ConfigKey& key : keys) {
    if (key.name != name) continue;
    found = true;
    const std::string_view expected = assign(key, value);
    const auto* text = std::get_if<std::string>(&value);
    expect(expected.empty(), ErrorKind::usage, "{}: {} is {}; expected {}", where, name,
           text ? quote(*text) : "a list", expected);
  }
  return found;
}

std::vector<std::string> names_of(const std::vector<ConfigKey>& keys) {
  std::vector<std::string> names;
  for (const ConfigKey& key : keys) names.push_back(key.name);
  return names;
}

bool is_section(std::string_view name) {
  for (const auto* section : {"run", "data", "model", "loss", "optimizer", "train", "checkpoint"})
    if (name == section) return true;
  return false;
}

/// [section] and key = value lines of what applies and is wanted.
template <class Wanted>
std::string keys_toml(const Config& config, Wanted&& wanted) {
  Config copy = config;
  std::string text, section;
  for (const ConfigKey& key : config_keys(copy)) {
    if (!key.applies_to(config.kind) || !wanted(key.name)) continue;
    const auto dot = key.name.find('.');
    if (key.name.substr(0, dot) != section) {
      section = key.name.substr(0, dot);
      text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", section);
    }
    text += fmt::format("{} = {}\n", key.name.substr(dot + 1), toml_value(key));
  }
  return text;
}

/// The [[features]] tables, without what has its default.
std::string features_toml(const Config& config) {
  std::string text;
  for (FeatureSpec feature : config.features) {
    text += "\n[[features]]\n";
    FeatureSpec plain;
    const auto keys = feature_keys(feature), defaults = feature_keys(plain);
    for (std::size_t k = 0; k < keys.size(); ++k)
      if (const std::string value = toml_value(keys[k]); value != toml_value(defaults[k]))
        text += fmt::format("{} = {}\n", keys[k].name, value);
  }
  return text;
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
void in_range(std::string_view key, double value, double low, double high) {
  expect(value >= low && value <= high, ErrorKind::usage, "{} is {}; it must be in [{}, {}]", key,
         value, low, high);
}

void validate_data(const DataConfig& data) {
  one_of("data.header", data.header, {"detect", "yes", "no"});
  one_of("data.layout", data.layout, {"rows", "lists"});
  one_of("data.bad_records", data.bad_records, {"fail", "skip"});
  one_of("data.split", data.split, {"random", "last"});
  one_of("data.format", data.format, {"auto", "libsvm", "csv", "jsonl", "csr", "columns"});
  one_of("data.index_base", data.index_base, {"detect", "0", "1"});
  in_range("data.holdout", data.holdout, 0, 0.9);
  in_range("data.num_features", static_cast<double>(data.num_features), 0, 2147483647);
  in_range("data.hash_bits", data.hash_bits, 0, 30);
}
}  // namespace

void set_config(Config& config, std::string_view name, const ConfigValue& value,
                std::string_view where) {
  const auto keys = config_keys(config);
  if (set(keys, name, value, where)) {
    config.given[std::string(name)] = where;
    return;
  }
  const auto names = names_of(keys);
  const auto dot = name.find('.');
  if (dot != name.npos) {
    fail(ErrorKind::usage, "{}: unknown key \"{}\" in [{}]{}", where, name.substr(dot + 1),
         name.substr(0, dot), did_you_mean(name, names));
  }
  fail(ErrorKind::usage, "{}: unknown key \"{}\"{}", where, name, did_you_mean(name, names));
}

void add_feature(Config& config, std::span<const std::pair<std::string, ConfigValue>> values,
                 std::string_view where) {
  FeatureSpec feature;
  const auto keys = feature_keys(feature);
  for (const auto& [name, value] : values)
    expect(set(keys, name, value, where), ErrorKind::usage,
           "{}: unknown key \"{}\" in [[features]]{}", where, name,
           did_you_mean(name, names_of(keys)));
  expect(!feature.column.empty() || !feature.columns.empty(), ErrorKind::usage,
         "{}: [[features]] needs column = \"NAME\" (or columns of an interaction)", where);
  config.features.push_back(std::move(feature));
  config.given["features"] = where;
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
    if (!is_section(section)) continue;  // GRADMILL_PRESET and the like belong to scripts and tests
    name[split] = '.';
    set_config(config, name, std::string(variable.substr(equals + 1)), variable.substr(0, equals));
  }
}

void complete(Config& c) {
  const bool linear = c.kind == "linear";
  c.mf = with_defaults(c.mf);
  c.linear = with_defaults(c.linear);
  c.mlp = with_defaults(c.mlp);
  const bool full_batch = linear && !is_mini_batch(c.linear.optimizer);
  if (c.train.epochs < 0) c.train.epochs = full_batch ? 1000 : 15;
  c.linear.planned_epochs = c.mlp.planned_epochs = c.train.epochs;
  // An iteration of a full-batch optimizer may take a millisecond; a checkpoint takes ten.
  if (c.checkpoint.seconds < 0) c.checkpoint.seconds = full_batch ? 30 : 0;
}

void check_keys_apply(const Config& config) {
  Config copy = config;
  if (config.kind == "mf")
    if (const auto given = config.given.find("features"); given != config.given.end())
      fail(ErrorKind::usage,
           "{}: [[features]] are for kind = \"linear\" or \"mlp\", not for \"{}\"", given->second,
           config.kind);
  const auto keys = config_keys(copy);
  for (const auto& [name, where] : config.given) {
    const auto applies = [&, &name = name](const ConfigKey& key) {
      return key.name == name && key.applies_to(config.kind);
    };
    expect(name == "features" || std::any_of(keys.begin(), keys.end(), applies), ErrorKind::usage,
           "{}: {} does not apply to a model of kind \"{}\"", where, name, config.kind);
  }
}

void validate(const Config& c) {
  one_of("model.kind", c.kind, {"mf", "linear", "mlp"});
  check_keys_apply(c);
  if (c.kind == "mf")
    validate(c.mf);
  else if (c.kind == "linear")
    validate(c.linear);
  else
    validate(c.mlp);
  validate_data(c.data);
  if (c.kind == "mf")
    one_of("train.metric", c.train.metric,
           {"auto", "none", "rmse", "mae", "ndcg", "recall", "precision", "map"});
  else
    one_of("train.metric", c.train.metric,
           {"auto", "none", "rmse", "mae", "r2", "accuracy", "log_loss", "auc", "pr_auc", "f1"});
  in_range("train.epochs", static_cast<double>(c.train.epochs), 0, 1e6);
  in_range("train.threads", c.train.threads, 0, 4096);
  in_range("train.evaluate_every", c.train.evaluate_every, 0, 1e6);
  in_range("train.patience", c.train.patience, 0, 1e6);
  in_range("train.cut_off", c.train.cut_off, 1, 1024);
  in_range("train.timeout_s", c.train.timeout_s, 1, 1e6);
  in_range("train.heartbeat_s", c.train.heartbeat_s, 0, 1e6);
  in_range("checkpoint.every", c.checkpoint.every, 0, 1e6);
  in_range("checkpoint.seconds", c.checkpoint.seconds, 0, 1e9);
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
  return keys_toml(config, [](const std::string&) { return true; }) + features_toml(config);
}

std::string training_toml(const Config& config) {
  return keys_toml(config,
                   [](const std::string& key) {
                     return key == "run.seed" ||
                            !(key.starts_with("run.") || key.starts_with("checkpoint."));
                   }) +
         features_toml(config);
}

std::string model_toml(const Config& config) {
  return keys_toml(config,
                   [](const std::string& key) {
                     return key.starts_with("model.") || key.starts_with("loss.") ||
                            key.starts_with("optimizer.") || key == "run.seed" ||
                            key == "train.global_batch";
                   }) +
         features_toml(config);
}

}  // namespace gradmill
