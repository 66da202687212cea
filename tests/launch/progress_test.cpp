#include "launch/progress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>

namespace gradmill {
namespace {

ProgressState example() {
  ProgressState s;
  s.epoch = 2;
  s.epochs = 3;
  s.fraction = 0.42;
  s.step = 1200;
  s.metrics = {{"loss", 0.43121}, {"rmse", 0.91}};
  s.items_per_second = 5.2e6;
  s.ranks = 8;
  s.data_share = 0.02;
  s.communication_share = 0.11;
  s.seconds_left = 190;
  return s;
}

TEST(Progress, WholeLine) {
  EXPECT_EQ(progress_line(example(), 0),
            "epoch 2/3  42%  step 1200  loss 0.4312  rmse 0.91  5.2M ratings/s (650k/rank)  data "
            "2%  comm "
            "11%  eta 03:10");
  ProgressState bare;
  bare.epoch = 1;
  EXPECT_EQ(progress_line(bare, 0), "epoch 1");
}

TEST(Progress, NarrowLinesKeepWhatMatters) {
  EXPECT_EQ(progress_line(example(), 98),
            "epoch 2/3  42%  step 1200  loss 0.4312  rmse 0.91  5.2M ratings/s  data 2%  comm 11%  "
            "eta 03:10");
  EXPECT_EQ(progress_line(example(), 40), "epoch 2/3  42%  loss 0.4312  eta 03:10");
  for (int width = 1; width < 120; ++width) {
    const std::string line = progress_line(example(), width);
    EXPECT_LE(line.size(), static_cast<std::size_t>(width));
    EXPECT_EQ(line.substr(0, 9),
              std::string("epoch 2/3").substr(0, static_cast<std::size_t>(width)));
  }
}

TEST(Progress, ShortNumbers) {
  EXPECT_EQ(short_count(0), "0");
  EXPECT_EQ(short_count(999), "999");
  EXPECT_EQ(short_count(999.9), "1.0k");
  EXPECT_EQ(short_count(650e3), "650k");
  EXPECT_EQ(short_count(999'600), "1.0M");
  EXPECT_EQ(short_count(5.2e6), "5.2M");
  EXPECT_EQ(short_count(9.96e6), "10M");
  EXPECT_EQ(short_count(3e15), "3000T");
  EXPECT_EQ(short_time(0), "00:00");
  EXPECT_EQ(short_time(59.6), "01:00");
  EXPECT_EQ(short_time(3723), "1:02:03");
}

/// What a Progress writes.
template <class Work>
std::string output(int rank, Progress::Style style, double line_seconds, Work&& work) {
  char* bytes = nullptr;
  std::size_t size = 0;
  std::FILE* out = ::open_memstream(&bytes, &size);
  {
    Progress progress(rank, out, style, line_seconds);
    work(progress);
  }
  std::fclose(out);
  std::string text(bytes, size);
  std::free(bytes);
  return text;
}

TEST(Progress, TerminalRewritesOneLineAndEndsIt) {
  const std::string text = output(0, Progress::Style::terminal, 30, [](Progress& p) {
    for (int i = 0; i < 1000; ++i) p.update(example());
  });
  EXPECT_EQ(text.front(), '\r');
  EXPECT_EQ(text.back(), '\n');
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  EXPECT_LT(std::count(text.begin(), text.end(), '\r'), 10);
  EXPECT_NE(text.find("\x1b[K"), std::string::npos);
}

TEST(Progress, ElsewhereALineNowAndThenAndAtEveryEpochsEnd) {
  const auto epochs = [](Progress& p) {
    for (int i = 0; i < 1000; ++i) p.update(example());
    p.epoch_end(example());
    p.finish();
  };
  EXPECT_EQ(output(0, Progress::Style::lines, 30, epochs), progress_line(example(), 0) + "\n");
  EXPECT_EQ(output(1, Progress::Style::lines, 30, epochs), "");
  EXPECT_EQ(output(0, Progress::Style::none, 30, epochs), "");
  const std::string often = output(0, Progress::Style::lines, 0, epochs);
  EXPECT_EQ(std::count(often.begin(), often.end(), '\n'), 1001);
  EXPECT_EQ(often.find('\r'), std::string::npos);
}

}  // namespace
}  // namespace gradmill
