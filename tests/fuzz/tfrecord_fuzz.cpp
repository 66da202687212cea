// TFRecord frames and rating records from any bytes: rows or an Error of kind data, never a crash; what
// was read whole is framed again to the same bytes. With an odd first byte the frames are made sound, so
// that the fuzzer gets past the CRCs.
#include <cstdlib>
#include <string>

#include "data/tfrecord.h"
#include "data/tfrecord_ratings.h"
#include "runtime/error.h"

namespace {

using namespace gradmill;

void read_ratings(std::string_view bytes, BadRecords bad_records) {
  RatingReadOptions options;
  options.bad_records = bad_records;
  try {
    const auto stream = read_tfrecord_ratings(TfRecordReader(bytes, "fuzz"), -1, options);
    RatingChunk chunk;
    while (stream->next(chunk))
      if (chunk.items.size() != chunk.rows() || chunk.rows() == 0) std::abort();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::string framed;
  if (data[0] & 1) {  // records of a length that their first byte says
    for (std::size_t at = 0; at < input.size();) {
      const std::size_t length = static_cast<unsigned char>(input[at++]);
      framed += frame_record(input.substr(at, length));
      at += std::min(length, input.size() - at);
    }
  } else {
    framed = input;
  }
  std::string again;
  try {
    TfRecordReader reader(std::string_view(framed), "fuzz");
    std::string_view payload;
    while (reader.next(payload)) again += frame_record(payload);
    if (again != framed) std::abort();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data || (data[0] & 1)) std::abort();
  }
  read_ratings(framed, data[0] & 2 ? BadRecords::skip : BadRecords::fail);
  return 0;
}
