#include "data/record_checks.h"

#include <cmath>

#include "runtime/error.h"

namespace gradmill {

constexpr std::size_t kExamples = 10;

Verdict to_real(RatingRole role, double number, float& value) {
  value = static_cast<float>(number);
  if (!std::isfinite(number)) return BadRecord::non_finite;
  if (!std::isfinite(value) || (role == RatingRole::weight && value < 0))
    return BadRecord::out_of_range;
  return {};
}

Verdict to_whole(std::int64_t number, std::int64_t& whole) {
  whole = number;
  return {};
}

Verdict to_whole(std::uint64_t number, std::int64_t& whole) {
  whole = static_cast<std::int64_t>(number);
  if (whole < 0) return BadRecord::out_of_range;
  return {};
}

Verdict to_whole(double number, std::int64_t& whole) {
  if (!std::isfinite(number)) return BadRecord::non_finite;
  if (std::abs(number) >= 0x1p63) return BadRecord::out_of_range;
  whole = static_cast<std::int64_t>(std::floor(number));
  return {};
}

std::string_view expected_of(RatingRole role) {
  switch (role) {
    case RatingRole::value:
      return "a finite number";
    case RatingRole::weight:
      return "a finite number of at least 0";
    case RatingRole::timestamp:
      return "an integer (if this is no timestamp, give '-' as the timestamp column)";
    default:
      return "an id";
  }
}

void reject_record(ReadReport& report, BadRecords mode, BadRecord why, const std::string& message) {
  if (mode == BadRecords::fail) fail(ErrorKind::data, message);
  ++report.skipped;
  ++report.skipped_by[static_cast<std::size_t>(why)];
  if (report.examples.size() < kExamples) report.examples.push_back(message);
}

}  // namespace gradmill
