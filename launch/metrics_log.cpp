#include "launch/metrics_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <system_error>

#include "runtime/expect.h"

namespace gradmill {
namespace {

using Json = nlohmann::ordered_json;

std::string system_message() { return std::generic_category().message(errno); }

std::int64_t whole_number(const Json& object, const char* field) {
  const auto found = object.find(field);
  expect(found != object.end() && found->is_number_unsigned(), ErrorKind::data,
         "{}: a whole number expected", field);
  return found->get<std::int64_t>();
}

}  // namespace

std::string metrics_line(const MetricsRecord& record) {
  Json line{{"step", record.step}, {"epoch", record.epoch}, {"seconds", record.seconds}};
  for (const auto& [name, value] : record.values)
    line[name] = std::isfinite(value) ? Json(value) : Json(nullptr);
  return line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

MetricsRecord parse_metrics_line(std::string_view line) {
  const Json object = Json::parse(line, nullptr, false);
  expect(object.is_object(), ErrorKind::data, "a JSON object expected");
  MetricsRecord record;
  record.step = whole_number(object, "step");
  record.epoch = whole_number(object, "epoch");
  for (const auto& [name, value] : object.items()) {
    if (name == "step" || name == "epoch") continue;
    expect(value.is_number() || value.is_null(), ErrorKind::data, "{}: a number expected", name);
    const double number =
        value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
    if (name == "seconds")
      record.seconds = number;
    else
      record.values.emplace_back(name, number);
  }
  return record;
}

std::vector<MetricsRecord> read_metrics(const std::string& path) {
  const std::string text = read_file(path, std::int64_t{1} << 30);
  std::vector<MetricsRecord> records;
  std::size_t line = 1;
  for (std::size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos;
       begin = end + 1, ++line) {
    try {
      records.push_back(parse_metrics_line(std::string_view(text).substr(begin, end - begin)));
    } catch (const Error& e) {
      fail(ErrorKind::data, "{}:{}: {}", path, line, e.what());
    }
  }
  return records;
}

MetricsLog::MetricsLog(const std::string& path, std::int64_t keep_bytes)
    : path_(path), bytes_(keep_bytes) {
  descriptor_ = Descriptor(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644));
  struct stat info {};
  const bool ready = descriptor_ && ::fstat(descriptor_.get(), &info) == 0;
  expect(ready, ErrorKind::cannot_write, "{}: cannot open: {}", path, system_message());
  expect(info.st_size >= keep_bytes, ErrorKind::checkpoint,
         "{}: has {} bytes, the checkpoint was written at {}", path,
         static_cast<std::int64_t>(info.st_size), keep_bytes);
  expect(::ftruncate(descriptor_.get(), keep_bytes) == 0, ErrorKind::cannot_write,
         "{}: cannot cut off: {}", path, system_message());
}

void MetricsLog::append(const MetricsRecord& record) {
  const std::string line = metrics_line(record);
  for (std::string_view rest = line; !rest.empty();) {
    const auto written = ::write(descriptor_.get(), rest.data(), rest.size());
    expect(written >= 0 || errno == EINTR,
           errno == ENOSPC ? ErrorKind::cannot_write : ErrorKind::io, "{}: cannot write: {}", path_,
           system_message());
    if (written > 0) rest.remove_prefix(static_cast<std::size_t>(written));
  }
  bytes_ += static_cast<std::int64_t>(line.size());
}

void MetricsLog::sync() {
  expect(::fsync(descriptor_.get()) == 0, ErrorKind::io, "{}: cannot bring to the disk: {}", path_,
         system_message());
}

}  // namespace gradmill
