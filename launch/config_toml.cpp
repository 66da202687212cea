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
}  // namespace

void load_config_text(Config& config, std::string_view text, const std::string& name) {
  toml::table root;
  try {
    root = toml::parse(text);
  } catch (const toml::parse_error& e) {
    fail(ErrorKind::usage, "{}:{}: {}", name, e.source().begin.line, e.description());
  }
  for (const auto& [section, node] : root) {
    const std::string where = fmt::format("{}:{}", name, node.source().begin.line);
    const toml::table* table = node.as_table();
    expect(table != nullptr, ErrorKind::usage,
           "{}: \"{}\" stands outside of a section such as [model]", where, section.str());
    for (const auto& [key, value] : *table) {
      const std::string full = fmt::format("{}.{}", section.str(), key.str());
      const std::string at = fmt::format("{}:{}", name, value.source().begin.line);
      set_config(config, full, text_of(value, at, full), at);
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
