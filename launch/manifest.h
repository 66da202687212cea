// manifest.json: what a checkpoint or model folder holds, with digests of every file and of itself.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "data/files.h"
#include "runtime/element_type.h"

namespace gradmill {

/// Where a run stood. Everything that a resumed run needs besides the tensors.
struct CheckpointInfo {
  std::string run_id;
  std::string kind;  // the model: "mf-als", "mf-sgd", "mf-ials"
  std::int64_t step = 0;
  std::int64_t epoch = 0;
  std::int64_t sample_position = 0;  // within the epoch
  std::uint64_t seed = 0;
  std::int64_t generation = 0;  // of the run's start that wrote it; 0: not recorded
  int world_size = 1;
  std::string config;                           // resolved configuration, TOML
  std::string data_digest;                      // of the training data
  std::map<std::string, double> metrics;        // at this step; not-a-number where undefined
  std::int64_t metrics_bytes = 0;               // length of metrics.jsonl at this step
  std::map<std::string, std::string> versions;  // of gradmill and its libraries
  /// Not stored. Called by rank 0 right before the commit; throws if this run may not write any more.
  std::function<void()> fence = {};
};

/// Rows [first_row, first_row + rows) of a tensor are a tensor of the same name in this file.
struct TensorPiece {
  std::string file;
  std::int64_t first_row = 0, rows = 0;
};

/// A tensor as the model sees it, whichever ranks wrote it.
struct TensorEntry {
  std::string name;
  ElementType type = ElementType::f32;
  std::vector<std::int64_t> shape;  // at least one dimension
  std::vector<TensorPiece> pieces;  // ascending
};

struct Manifest {
  static constexpr int kFormatVersion = 1;
  static constexpr std::int64_t kMaxBytes = std::int64_t{256} << 20;

  CheckpointInfo info;
  std::vector<TensorEntry> tensors;
  std::vector<FileRecord> files;

  const TensorEntry* find_tensor(std::string_view name) const;  // nullptr if absent
  const FileRecord* find_file(std::string_view name) const;
};

/// Files that hold tensors are told by their name.
inline bool is_tensor_file(std::string_view name) { return name.ends_with(".safetensors"); }

/// JSON whose last field is the digest of all bytes before that field's line.
std::string manifest_text(const Manifest& manifest);
/// Errors: ErrorKind::data naming `path` and the field; a version that we do not know is one.
Manifest parse_manifest(std::string_view text, const std::string& path);

/// That names and files are there once and pieces cover every tensor exactly, from files of the
/// table. Sorts the pieces. Errors: ErrorKind::data naming `path`, tensor or file, and rows.
void check_manifest(Manifest& manifest, const std::string& path);

}  // namespace gradmill
