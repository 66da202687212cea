// HDF5 files from any bytes: rows or an Error of kind data; libhdf5 itself may crash in its child
// process. Also the own decoding of chunks, in this process.
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "data/hdf5_column.h"
#include "data/hdf5_ratings.h"
#include "runtime/error.h"

namespace {

using namespace gradmill;

template <class Action>
void contained(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) std::abort();
  }
}

void decode_chunk(const std::uint8_t* data, std::size_t size) {
  Hdf5Column column;
  column.element.bytes = 1 + data[1] % 16;
  for (int f = 0; f < data[2] % 5; ++f)
    column.filters.push_back(static_cast<Hdf5Column::Filter>(data[3] >> (2 * f) & 3) ==
                                     Hdf5Column::Filter::deflate
                                 ? Hdf5Column::Filter::deflate
                                 : static_cast<Hdf5Column::Filter>(1 + (data[3] >> (2 * f) & 1)));
  Hdf5Scratch scratch;
  scratch.stored.assign(reinterpret_cast<const char*>(data) + 4, size - 4);
  contained([&] { decode_hdf5_chunk(column, 0, column.element.bytes * 64, scratch); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  decode_chunk(data, size);
  if (data[0] != 0x89) return 0;  // HDF5's signature
  // Not a MemoryFile: the child process closes the descriptors of its parent.
  const std::string path = "/dev/shm/gradmill-hdf5-fuzz-" + std::to_string(::getpid());
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  contained([&] {
    const auto stream = read_hdf5_slice({path, 0, -1}, {}, {std::int64_t{1} << 28, 2});
    RatingChunk chunk;
    while (stream->next(chunk)) {
      if (chunk.items.size() != chunk.rows()) std::abort();
    }
  });
  ::unlink(path.c_str());
  return 0;
}
