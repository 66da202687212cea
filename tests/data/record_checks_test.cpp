#include "data/record_checks.h"

#include <gtest/gtest.h>

#include <cmath>

#include "runtime/error.h"

namespace gradmill {
namespace {

TEST(RecordChecks, CountsRefusedRecordsOrThrows) {
  ReadReport report;
  EXPECT_THROW(reject_record(report, BadRecords::fail, BadRecord::missing, "f: no"), Error);
  for (int r = 0; r < 20; ++r) reject_record(report, BadRecords::skip, BadRecord::missing, "f: no");
  EXPECT_EQ(report.skipped, 20);
  EXPECT_EQ(report.skipped_by[static_cast<std::size_t>(BadRecord::missing)], 20);
  EXPECT_EQ(report.examples.size(), 10u);
}

TEST(RecordChecks, ValuesAreFiniteFloatsAndWeightsNotNegative) {
  float value = 0;
  EXPECT_FALSE(to_real(RatingRole::value, -2.5, value));
  EXPECT_EQ(value, -2.5f);
  EXPECT_FALSE(to_real(RatingRole::weight, 0, value));
  EXPECT_EQ(to_real(RatingRole::weight, -1e-3, value), BadRecord::out_of_range);
  EXPECT_EQ(to_real(RatingRole::value, 1e39, value), BadRecord::out_of_range);
  EXPECT_EQ(to_real(RatingRole::value, NAN, value), BadRecord::non_finite);
  EXPECT_EQ(to_real(RatingRole::weight, -INFINITY, value), BadRecord::non_finite);
}

TEST(RecordChecks, WholeNumbersHave64Bits) {
  std::int64_t whole = 0;
  EXPECT_FALSE(to_whole(-1.5, whole));
  EXPECT_EQ(whole, -2);
  EXPECT_FALSE(to_whole(std::uint64_t{1} << 62, whole));
  EXPECT_EQ(whole, std::int64_t{1} << 62);
  EXPECT_EQ(to_whole(std::uint64_t{1} << 63, whole), BadRecord::out_of_range);
  EXPECT_EQ(to_whole(0x1p63, whole), BadRecord::out_of_range);
  EXPECT_EQ(to_whole(-0x1p63, whole), BadRecord::out_of_range);
  EXPECT_EQ(to_whole(std::nan(""), whole), BadRecord::non_finite);
}

}  // namespace
}  // namespace gradmill
