#include "launch/environment.h"

#include <sched.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/expect.h"

namespace gradmill {
namespace {

using Json = nlohmann::ordered_json;

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

std::string system_name() {
  std::ifstream file("/etc/os-release");
  for (std::string line; std::getline(file, line);) {
    constexpr std::string_view kField = "PRETTY_NAME=\"";
    if (line.starts_with(kField))
      return line.substr(kField.size(), line.size() - kField.size() - 1);
  }
  return "unknown";
}

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
}

}  // namespace

std::string host_name() {
  char name[256] = "unknown";
  ::gethostname(name, sizeof name - 1);
  return name;
}

std::string utc_time() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

Facts host_facts() {
  struct utsname kernel {};
  ::uname(&kernel);
  struct sysinfo memory {};
  ::sysinfo(&memory);
  const double gib = static_cast<double>(memory.totalram) * memory.mem_unit / (1 << 30);
  return {{"gradmill", GRADMILL_VERSION},
          {"host", host_name()},
          {"system", fmt::format("{}, {} {}", system_name(), kernel.sysname, kernel.release)},
          {"processor", processor()},
          {"usable cores", std::to_string(usable_cores())},
          {"memory", fmt::format("{:.1f} GiB", gib)},
          {"compiler", "g++ " __VERSION__},
          {"started", utc_time()}};
}

std::string facts_json(const Facts& facts) {
  Json object = Json::object();
  for (const auto& [name, value] : facts) object[name] = value;
  return object.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Facts parse_facts(const std::string& text, const std::string& path) {
  const Json object = Json::parse(text, nullptr, false);
  expect(object.is_object(), ErrorKind::data, "{}: a JSON object expected", path);
  Facts facts;
  for (const auto& [name, value] : object.items()) {
    expect(value.is_string(), ErrorKind::data, "{}: {}: text expected", path, name);
    facts.emplace_back(name, value.get<std::string>());
  }
  return facts;
}

}  // namespace gradmill
