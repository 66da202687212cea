// What a run shows on the terminal while it goes on.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace gradmill {

struct ProgressState {
  std::int64_t epoch = 0, epochs = 0;  // 1 .. epochs; epochs 0: unknown
  double fraction = -1;                // of this epoch; negative: unknown
  std::int64_t step = -1;
  std::vector<std::pair<std::string, double>> metrics;  // "loss", "rmse", …
  double items_per_second = -1;
  std::string item = "ratings";
  int ranks = 1;
  double data_share = -1;           // of the time, 0 .. 1: waiting for data
  double communication_share = -1;  // of the time: in collectives
  double seconds_left = -1;
};

/// "epoch 2/3  42%  step 1200  loss 0.4312  5.2M ratings/s (650k/rank)  data 2%  comm 11%  eta 03:10", in at most
/// `width` columns: the least important parts are left out. width 0: no limit.
std::string progress_line(const ProgressState& state, int width);

std::string short_count(double count);   // 5.2M, 650k, 12
std::string short_time(double seconds);  // 03:10, 1:02:03

/// On a terminal one line rewritten in place; elsewhere a line now and then, and one at every epoch's end.
class Progress {
 public:
  enum class Style { automatic, terminal, lines, none };

  /// Shows nothing on ranks other than 0. automatic: terminal if `out` is one.
  explicit Progress(int rank, std::FILE* out = stderr, Style style = Style::automatic,
                    double line_seconds = 30);
  ~Progress();
  Progress(Progress&&) = delete;

  void update(const ProgressState& state);
  void epoch_end(const ProgressState& state);
  /// Ends the line that is being rewritten; the next output starts a fresh one.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  void draw(const ProgressState& state, bool keep);
  std::FILE* out_;
  Style style_;
  double line_seconds_;
  Clock::time_point last_;
  bool drawn_ = false;      // anything at all
  bool line_open_ = false;  // the cursor stands after an unfinished line
};

}  // namespace gradmill
