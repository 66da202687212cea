#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>  // NOLINT: the one file that includes it
#include <fstream>
#include <sstream>

#include "launch/config.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {
std::string text_of(const toml::node& node, std::string_view where, std::string_view key) {
  if (const auto* s = node.as_string()) return s->get();
  if (const auto* i = node.as_integer()) return fmt::format("{}", i->get());
  if (const auto* f = node.as_floating_point()) return fmt::format("{}", f->get());
  if (const auto* b = node.as_boolean()) return b->get() ? "true" : "false";
  fail(ErrorKind::usage, "{}: {} must be a string, a number, or true or false", where, key);
}

ConfigValue value_of(const toml::node& node, std::string_view where, std::string_view key) {
  const toml::array* array = node.as_array();
  if (!array) return text_of(node, where, key);
  std::vector<std::string> list;
  for (const toml::node& item : *array) list.push_back(text_of(item, where, key));
  return list;
}

std::string place(const std::string& name, const toml::node& node) {
  return fmt::format("{}:{}", name, node.source().begin.line);
}

void load_features(Config& config, const toml::node& node, const std::string& name) {
  const toml::array* tables = node.as_array();
  expect(tables && tables->is_array_of_tables(), ErrorKind::usage,
         "{}: features must be tables: [[features]]", place(name, node));
  for (const toml::node& item : *tables) {
    std::vector<std::pair<std::string, ConfigValue>> values;
    for (const auto& [key, value] : *item.as_table())
      values.emplace_back(key.str(), value_of(value, place(name, value), key.str()));
    add_feature(config, values, place(name, item));
  }
}
}  // namespace

void load_config_text(Config& config, std::string_view text, const std::string& name) {
  toml::table root;
  try {
    root = toml::parse(text);
  } catch (const toml::parse_error& e) {
    fail(ErrorKind::usage, "{}:{}: {}", name, e.source().begin.line, e.description());
  }
  for (const auto& [section, node] : root) {
    if (section.str() == "features") {
      load_features(config, node, name);
      continue;
    }
    const std::string where = place(name, node);
    const toml::table* table = node.as_table();
    expect(table != nullptr, ErrorKind::usage,
           "{}: \"{}\" stands outside of a section such as [model]", where, section.str());
    for (const auto& [key, value] : *table) {
      const std::string full = fmt::format("{}.{}", section.str(), key.str());
      const std::string at = place(name, value);
      set_config(config, full, value_of(value, at, full), at);
    }
  }
}

void load_config_file(Config& config, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  expect(file.good(), ErrorKind::input_missing, "{}: cannot open the configuration file", path);
  std::ostringstream text;
  text << file.rdbuf();
  load_config_text(config, text.str(), path);
}

}  // namespace gradmill
