// The gradmill command in the test's own process: `run_command({"train", "mf", ...})`.
#pragma once

#include <string>
#include <vector>

#include "dist/world.h"
#include "launch/options.h"
#include "launch/verbs.h"

namespace gradmill::testing {

/// Its exit code; what the command would report is thrown as Error.
inline int run_command(std::vector<std::string> words, World& world, Log& log) {
  words.insert(words.begin(), "gradmill");
  std::vector<const char*> argv;
  for (const std::string& word : words) argv.push_back(word.c_str());
  const auto parsed = parse_command_line(static_cast<int>(argv.size()), argv.data());
  return run_verb(parsed.options, world, log);
}

/// As one process, which says nothing.
inline int run_command(std::vector<std::string> words) {
  words.emplace_back("--quiet");
  Log log(0, LogLevel::error);
  return run_command(std::move(words), *World::start(), log);
}

}  // namespace gradmill::testing
