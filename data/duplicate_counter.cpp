#include "data/duplicate_counter.h"

#include <algorithm>
#include <queue>

#include "runtime/expect.h"

namespace gradmill {
namespace {

constexpr std::size_t kBlockKeys = 1 << 13;

/// One sorted run, read in blocks.
class Run {
 public:
  explicit Run(std::FILE* file) : file_(file) { std::rewind(file); }
  bool next(std::uint64_t& key) {
    if (at_ == block_.size()) {
      block_.resize(kBlockKeys);
      block_.resize(std::fread(block_.data(), sizeof key, block_.size(), file_));
      expect(!std::ferror(file_), ErrorKind::io, "a temporary file cannot be read");
      at_ = 0;
      if (block_.empty()) return false;
    }
    key = block_[at_++];
    return true;
  }

 private:
  std::FILE* file_;
  std::vector<std::uint64_t> block_;
  std::size_t at_ = 0;
};

}  // namespace

DuplicateCounter::DuplicateCounter(std::int64_t memory_bytes)
    : capacity_(static_cast<std::size_t>(std::max<std::int64_t>(1, memory_bytes / 8))) {}

void DuplicateCounter::add(std::uint64_t key) {
  if (keys_.size() == capacity_) spill();
  keys_.push_back(key);
}

void DuplicateCounter::spill() {
  std::sort(keys_.begin(), keys_.end());
  File file(std::tmpfile());
  expect(file &&
             std::fwrite(keys_.data(), sizeof keys_[0], keys_.size(), file.get()) == keys_.size() &&
             std::fflush(file.get()) == 0,
         ErrorKind::io,
         "counting duplicates needs temporary files, and one cannot be written; set TMPDIR or more "
         "memory");
  runs_.push_back(std::move(file));
  keys_.clear();
}

std::int64_t DuplicateCounter::count() {
  std::int64_t repeated = 0;
  if (runs_.empty()) {
    std::sort(keys_.begin(), keys_.end());
    for (std::size_t k = 1; k < keys_.size(); ++k) repeated += keys_[k] == keys_[k - 1];
    return repeated;
  }
  spill();
  std::vector<Run> runs;
  for (const File& file : runs_) runs.emplace_back(file.get());
  using Head = std::pair<std::uint64_t, std::size_t>;  // key, run
  std::priority_queue<Head, std::vector<Head>, std::greater<>> heads;
  std::uint64_t key = 0;
  for (std::size_t r = 0; r < runs.size(); ++r)
    if (runs[r].next(key)) heads.emplace(key, r);
  bool any = false;
  for (std::uint64_t last = 0; !heads.empty();) {
    const auto [least, run] = heads.top();
    heads.pop();
    repeated += any && least == last;
    last = least;
    any = true;
    if (runs[run].next(key)) heads.emplace(key, run);
  }
  return repeated;
}

}  // namespace gradmill
