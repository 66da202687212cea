// Arrays as bench/peers/mf writes them: numbers back to back.
#pragma once

#include <filesystem>
#include <fstream>
#include <vector>

#include "runtime/expect.h"

namespace gradmill {

template <class T>
std::vector<T> read_array(const std::filesystem::path& path) {
  std::vector<T> values(std::filesystem::file_size(path) / sizeof(T));
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(values.data()),
            static_cast<std::streamsize>(values.size() * sizeof(T)));
  expect(file.good(), ErrorKind::io, "{}: cannot be read", path.string());
  return values;
}

}  // namespace gradmill
