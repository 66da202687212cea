// metrics.jsonl: one JSON object a line, {"step":12,"epoch":1,"seconds":3.25,"train_rmse":0.91,…}.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/files.h"

namespace gradmill {

struct MetricsRecord {
  std::int64_t step = 0, epoch = 0;
  double seconds = 0;  // of training, over all parts of a resumed run
  std::vector<std::pair<std::string, double>>
      values;  // "train_rmse", …; not finite: null in the file
};

std::string metrics_line(const MetricsRecord& record);
/// Errors: ErrorKind::data.
MetricsRecord parse_metrics_line(std::string_view line);
/// All records; a last line without its end (the run was killed while writing it) is left out.
/// Errors: ErrorKind::data with file and line.
std::vector<MetricsRecord> read_metrics(const std::string& path);

class MetricsLog {
 public:
  /// Appends after the first keep_bytes bytes: what a resumed run wrote after its checkpoint goes away.
  /// Errors: ErrorKind::checkpoint if the file is shorter; cannot_write.
  MetricsLog(const std::string& path, std::int64_t keep_bytes);
  void append(const MetricsRecord& record);
  /// Brings all of it to the disk; call before a checkpoint that records bytes().
  void sync();
  std::int64_t bytes() const { return bytes_; }

 private:
  std::string path_;
  Descriptor descriptor_;
  std::int64_t bytes_;
};

}  // namespace gradmill
