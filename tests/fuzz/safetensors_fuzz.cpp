// A safetensors file from any bytes: a header whose every range lies in the file, or an Error of kind data.
#include <cstdlib>
#include <string>
#include <vector>

#include "launch/safetensors.h"
#include "runtime/error.h"
#include "tests/fuzz/memory_file.h"

namespace {

using namespace gradmill;

void expect(bool ok) {
  if (!ok) std::abort();
}

void read(const std::string& bytes) {
  const testing::MemoryFile memory(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                   bytes.size());
  const InputFile file = InputFile::open(memory.path());
  try {
    const SafetensorsHeader header = SafetensorsHeader::read(file);
    std::int64_t at = -1;
    for (const TensorInfo& t : header.tensors()) {
      expect(t.begin >= 8 && t.begin <= t.end && t.end <= file.size() && (at < 0 || t.begin == at));
      at = t.end;
      const std::int64_t row_bytes = t.row_elements() * element_size(t.type);
      expect(t.rows() * row_bytes == t.end - t.begin && header.find(t.name) != nullptr);
      if (t.rows() == 0) continue;
      std::vector<char> row(static_cast<std::size_t>(row_bytes + 3));
      read_tensor_rows(file, t, t.rows() - 1, 1, row.data(), row_bytes + 3);
    }
    expect(at < 0 || at == file.size());
  } catch (const Error& e) {
    expect(e.kind() == ErrorKind::data);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string input(reinterpret_cast<const char*>(bytes), size);
  read(input);
  if (size < 1) return 0;
  // The same as a header that has its right length, with some data.
  std::string sound(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) sound[i] = static_cast<char>((size - 1) >> (8 * i));
  read(sound + input.substr(1) + std::string(bytes[0], 'd'));
  return 0;
}
