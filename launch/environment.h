// Where and with what a run happens: host, cores, memory, versions.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace gradmill {

/// Names and values, in the order to show them.
using Facts = std::vector<std::pair<std::string, std::string>>;

std::string host_name();
/// "2026-11-24T13:33:15Z"
std::string utc_time();
/// Host, system, processor, cores that this process may use, memory, compiler, versions of gradmill and libraries.
Facts host_facts();

/// A JSON object of texts, and back. Errors: ErrorKind::data naming `path`.
std::string facts_json(const Facts& facts);
Facts parse_facts(const std::string& text, const std::string& path);

}  // namespace gradmill
