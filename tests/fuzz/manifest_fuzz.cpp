// A manifest from any text: one that says the same when it is written again, or an Error of kind data.
#include <cstdlib>
#include <string>

#include "launch/manifest.h"
#include "runtime/error.h"

namespace {

using namespace gradmill;

void read(const std::string& text) {
  try {
    Manifest manifest = parse_manifest(text, "m.json");
    const std::string again = manifest_text(manifest);
    if (manifest_text(parse_manifest(again, "m.json")) != again) std::abort();
    check_manifest(manifest, "m.json");
    for (const TensorEntry& tensor : manifest.tensors) {
      std::int64_t row = 0;
      for (const TensorPiece& piece : tensor.pieces) {
        if (piece.first_row != row || !manifest.find_file(piece.file)) std::abort();
        row += piece.rows;
      }
      if (row != tensor.shape.at(0)) std::abort();
    }
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::data) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string input(reinterpret_cast<const char*>(bytes), size);
  read(input);
  // With its right digest, so that damage gets past it.
  read(input + ",\n  \"manifest_digest\": \"" + xxh128_hex(input) + "\"\n}\n");
  return 0;
}
