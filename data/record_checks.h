// What readers of every format refuse in a record, and how a refusal is told.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "data/rating_columns.h"
#include "data/rating_stream.h"

namespace gradmill {

/// Why a field is refused, if it is.
using Verdict = std::optional<BadRecord>;

/// A value or weight: finite, within float's range; a weight at least 0.
Verdict to_real(RatingRole role, double number, float& value);

/// A timestamp or id as a whole number; a fraction is dropped (floor).
Verdict to_whole(std::int64_t number, std::int64_t& whole);
Verdict to_whole(std::uint64_t number, std::int64_t& whole);
Verdict to_whole(double number, std::int64_t& whole);

/// What a field of this role should be, for messages.
std::string_view expected_of(RatingRole role);

/// Refuses a record: throws ErrorKind::data with this message, or counts it (BadRecords::skip).
void reject_record(ReadReport& report, BadRecords mode, BadRecord why, const std::string& message);

}  // namespace gradmill
