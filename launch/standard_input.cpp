#include "launch/standard_input.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <vector>

#include "data/files.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {
constexpr std::size_t kBufferBytes = 1 << 20;

std::string make_folder() {
  std::error_code error;
  const auto parent = std::filesystem::temp_directory_path(error);
  std::string name = (parent / "gradmill-XXXXXX").string();
  expect(!error && ::mkdtemp(name.data()), ErrorKind::cannot_write,
         "standard input: no folder for it in {}: {}; set TMPDIR to one with room for it",
         parent.string(), error ? error.message() : std::strerror(errno));
  return name;
}

/// 0 at the end.
std::size_t read_some(std::vector<char>& buffer) {
  ssize_t got = 0;
  do {
    got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
  } while (got < 0 && errno == EINTR);
  expect(got >= 0, ErrorKind::io, "standard input: {}", std::strerror(errno));
  return static_cast<std::size_t>(got);
}

const char* name_of(std::string_view head, bool records) {
  if (!records) return "/stdin.svm";
  if (head.starts_with("\xef\xbb\xbf")) head.remove_prefix(3);
  const auto first = head.find_first_not_of(" \t\r\n");
  return first != head.npos && head[first] == '{' ? "/stdin.jsonl" : "/stdin.csv";
}
}  // namespace

StandardInput::StandardInput(bool records) : folder_(make_folder()) {
  try {
    std::vector<char> buffer(kBufferBytes);
    std::size_t got = read_some(buffer);
    path_ = folder_ + name_of({buffer.data(), got}, records);
    OutputFile file(path_);
    for (; got > 0; got = read_some(buffer)) file.write(buffer.data(), got);
    file.finish();
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
    throw;
  }
}

StandardInput::~StandardInput() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

}  // namespace gradmill
