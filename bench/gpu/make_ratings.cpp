// Writes ratings to train on when measuring: skewed users and items, the same file on every machine.
//   bench_make_ratings FILE USERS ITEMS RATINGS
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#include "bench/gpu/ratings.h"

int main(int argc, char** argv) {
  const auto number = [&](int i) { return argc == 5 ? std::strtoll(argv[i], nullptr, 10) : 0; };
  if (number(2) <= 0 || number(3) <= 0 || number(4) <= 0) {
    std::fprintf(stderr, "usage: %s FILE USERS ITEMS RATINGS\n", argv[0]);
    return 64;
  }
  const auto ratings = gradmill::bench::skewed_ratings(number(2), number(3), number(4), 1);
  std::FILE* file = std::fopen(argv[1], "w");
  if (!file) {
    std::perror(argv[1]);
    return 73;
  }
  fmt::print(file, "user,item,rating\n");
  fmt::memory_buffer text;
  for (std::int64_t user = 0; user < ratings.rows; ++user) {
    text.clear();
    for (auto e = ratings.offsets[static_cast<std::size_t>(user)];
         e < ratings.offsets[static_cast<std::size_t>(user) + 1]; ++e)
      fmt::format_to(std::back_inserter(text), "{},{},{}\n", user,
                     ratings.indices[static_cast<std::size_t>(e)],
                     ratings.values[static_cast<std::size_t>(e)]);
    if (std::fwrite(text.data(), 1, text.size(), file) != text.size()) break;
  }
  const bool failed = std::ferror(file) != 0;
  if (std::fclose(file) != 0 || failed) {
    std::perror(argv[1]);
    return 73;
  }
  return 0;
}
