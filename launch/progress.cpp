#include "launch/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <fmt/format.h>

namespace gradmill {
namespace {

constexpr double kRedrawSeconds = 0.1;

struct Part {
  std::string text;
  int importance;  // the lowest goes first when the line is too long
};

std::vector<Part> parts_of(const ProgressState& s) {
  std::vector<Part> parts;
  parts.push_back({s.epochs > 0 ? fmt::format("epoch {}/{}", s.epoch, s.epochs)
                                : fmt::format("epoch {}", s.epoch),
                   9});
  if (s.fraction >= 0)
    parts.push_back({fmt::format("{:.0f}%", 100 * std::min(s.fraction, 1.0)), 8});
  if (s.step >= 0) parts.push_back({fmt::format("step {}", s.step), 3});
  int importance = 7;
  for (const auto& [name, value] : s.metrics) {
    parts.push_back({fmt::format("{} {:.4g}", name, value), importance});
    importance = std::max(importance - 1, 4);
  }
  if (s.items_per_second >= 0) {
    parts.push_back({fmt::format("{} {}/s", short_count(s.items_per_second), s.item), 5});
    if (s.ranks > 1)
      parts.push_back({fmt::format("({}/rank)", short_count(s.items_per_second / s.ranks)), 1});
  }
  if (s.data_share >= 0) parts.push_back({fmt::format("data {:.0f}%", 100 * s.data_share), 2});
  if (s.communication_share >= 0)
    parts.push_back({fmt::format("comm {:.0f}%", 100 * s.communication_share), 2});
  if (s.seconds_left >= 0) parts.push_back({"eta " + short_time(s.seconds_left), 6});
  return parts;
}

std::string joined(const std::vector<Part>& parts) {
  std::string line;
  for (const Part& part : parts) {
    if (!line.empty()) line += part.text.starts_with('(') ? " " : "  ";
    line += part.text;
  }
  return line;
}

int terminal_width(std::FILE* out) {
  struct winsize size {};
  if (::ioctl(::fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

}  // namespace

std::string short_count(double count) {
  constexpr const char* kUnits[] = {"", "k", "M", "G", "T"};
  int unit = 0;
  while (unit < 4 && count >= 999.5) {
    count /= 1000;
    ++unit;
  }
  return fmt::format("{:.{}f}{}", count, unit > 0 && count < 9.95 ? 1 : 0, kUnits[unit]);
}

std::string short_time(double seconds) {
  const auto s = static_cast<std::int64_t>(std::llround(std::clamp(seconds, 0.0, 1e9)));
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{:02}:{:02}", s / 60, s % 60);
}

std::string progress_line(const ProgressState& state, int width) {
  std::vector<Part> parts = parts_of(state);
  std::string line = joined(parts);
  while (width > 0 && line.size() > static_cast<std::size_t>(width) && parts.size() > 1) {
    parts.erase(std::min_element(parts.begin(), parts.end(), [](const Part& a, const Part& b) {
      return a.importance < b.importance;
    }));
    line = joined(parts);
  }
  if (width > 0 && line.size() > static_cast<std::size_t>(width))
    line.resize(static_cast<std::size_t>(width));
  return line;
}

Progress::Progress(int rank, std::FILE* out, Style style, double line_seconds)
    : out_(out),
      style_(rank == 0 ? style : Style::none),
      line_seconds_(line_seconds),
      last_(Clock::now()) {
  if (style_ != Style::automatic) return;
  const char* term = std::getenv("TERM");
  const bool dumb = term != nullptr && std::string_view(term) == "dumb";
  style_ = ::isatty(::fileno(out_)) && !dumb ? Style::terminal : Style::lines;
}

Progress::~Progress() { finish(); }

void Progress::update(const ProgressState& state) {
  const double since = std::chrono::duration<double>(Clock::now() - last_).count();
  const bool due =
      style_ == Style::terminal ? !drawn_ || since >= kRedrawSeconds : since >= line_seconds_;
  if (due) draw(state, false);
}

void Progress::epoch_end(const ProgressState& state) { draw(state, true); }

void Progress::draw(const ProgressState& state, bool keep) {
  if (style_ == Style::none) return;
  last_ = Clock::now();
  drawn_ = true;
  if (style_ == Style::lines) {
    fmt::print(out_, "{}\n", progress_line(state, 0));
  } else {
    // One column less than there are: a full line would wrap on some terminals. ESC [K clears the rest.
    fmt::print(out_, "\r{}\x1b[K{}", progress_line(state, terminal_width(out_) - 1),
               keep ? "\n" : "");
    line_open_ = !keep;
  }
  std::fflush(out_);
}

void Progress::finish() {
  if (!line_open_) return;
  fmt::print(out_, "\n");
  std::fflush(out_);
  line_open_ = false;
}

}  // namespace gradmill
