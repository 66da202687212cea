// Checkpoints and model folders: safetensors files, one a rank, and a manifest that makes them
// whole.
//
//   checkpoints/step-00000012/{manifest.json, rank-00000.safetensors, rank-00001.safetensors, …}
//
// Tensors are stored by name with their global shape and the rows that each file holds, so any
// number of ranks can read what any number wrote. A folder has its final name only when every byte
// of it is on the disk (docs/formats.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dist/communicator.h"
#include "launch/manifest.h"
#include "launch/safetensors.h"
#include "models/state_tensor.h"
#include "runtime/log.h"

namespace gradmill {

/// Collects the tensors and files of one checkpoint. Every rank of `comm` makes one and calls
/// commit().
class CheckpointWriter {
 public:
  /// The folder parent/name; parent must be on a file system that all ranks share. Touches nothing.
  CheckpointWriter(const Context& ctx, Communicator& comm, std::string parent, std::string name)
      : ctx_(ctx), comm_(comm), parent_(std::move(parent)), name_(std::move(name)) {}

  /// This rank's rows of a tensor [global_rows, cols] or [global_rows]: rows first_row, first_row +
  /// 1, …. All ranks' rows must cover the tensor once; a replicated tensor is added by one rank
  /// only. Host memory that stays unchanged until commit() returns.
  template <class T>
  CheckpointWriter& add(std::string name, std::int64_t global_rows, std::int64_t first_row,
                        MatrixView<const T> rows) {
    add(tensor_source(std::move(name), rows), global_rows, first_row, rows.device);
    return *this;
  }
  template <class T>
  CheckpointWriter& add(std::string name, std::int64_t global_rows, std::int64_t first_row,
                        VectorView<const T> rows) {
    add(tensor_source(std::move(name), rows), global_rows, first_row, rows.device);
    return *this;
  }
  /// The same of rows that source.produce makes while commit() writes them.
  CheckpointWriter& add_produced(TensorSource source, std::int64_t global_rows,
                                 std::int64_t first_row) {
    add(std::move(source), global_rows, first_row, Device{});
    return *this;
  }
  /// This rank's rows of a model's state, in host memory; what is replicated is taken from rank 0.
  CheckpointWriter& add(const StateTensor& tensor);
  /// A file of any bytes (a vocabulary), by one rank only.
  CheckpointWriter& add_file(std::string name, std::string bytes);

  /// Writes, syncs and publishes; replaces a folder of the same name. Collective. If it throws, it
  /// does so on every rank, and what was there before is still there. Errors:
  /// ErrorKind::cannot_write or io, with rank and file; internal if rows are missing or doubled.
  void commit(const CheckpointInfo& info);

 private:
  struct Share {
    TensorSource source;
    std::int64_t global_rows, first_row;
  };
  struct SmallFile {
    std::string name, bytes;
  };
  void add(TensorSource source, std::int64_t global_rows, std::int64_t first_row, Device device);
  Manifest write_share(const std::string& folder) const;
  void write_manifest(const std::string& folder, const std::vector<std::string>& shares,
                      const CheckpointInfo& info) const;

  const Context& ctx_;
  Communicator& comm_;
  std::string parent_, name_;
  std::vector<Share> shares_;
  std::vector<SmallFile> files_;
};

/// A checkpoint or model folder whose bytes were checked before anything is read from it.
class Checkpoint {
 public:
  /// Checks the manifest, the digests of the part-th of `parts` of the files (ranks divide the
  /// work; all of it by default) and that every file holds what the manifest says. Errors:
  /// ErrorKind::checkpoint naming the file and the damaged bytes or field.
  static Checkpoint open(const std::string& path, int part = 0, int parts = 1);

  const std::string& path() const { return folder_.path(); }
  const CheckpointInfo& info() const { return manifest_.info; }
  const Manifest& manifest() const { return manifest_; }

  bool has(std::string_view tensor) const { return manifest_.find_tensor(tensor) != nullptr; }
  /// Errors: ErrorKind::checkpoint naming the tensors that are there.
  const TensorEntry& tensor(std::string_view name) const;

  /// Rows [first, first + count) of a tensor. Errors: ErrorKind::checkpoint if the tensor is
  /// absent, of another type or width, or has fewer rows; io.
  template <class T>
  void read_rows(std::string_view name, std::int64_t first, std::int64_t count,
                 MatrixView<T> to) const {
    read_rows(name, first, count,
              {element_type<T>(), to.rows, to.cols, to.data, to.stride, to.device});
  }
  template <class T>
  void read_rows(std::string_view name, std::int64_t first, std::int64_t count,
                 VectorView<T> to) const {
    read_rows(name, first, count, {element_type<T>(), to.size, 1, to.data, 1, to.device});
  }
  /// This rank's rows of a model's state, all of what is replicated; in host memory.
  void read(const StateTensor& to) const;
  /// The bytes of a file that add_file() put there.
  std::string read_file(std::string_view name) const;

 private:
  struct Target {
    ElementType type;
    std::int64_t rows, cols;
    void* data;
    std::int64_t stride;
    Device device;
  };
  Checkpoint(Folder folder, Manifest manifest)
      : folder_(std::move(folder)), manifest_(std::move(manifest)) {}
  void check_file(const FileRecord& record, bool digest);
  void read_rows(std::string_view name, std::int64_t first, std::int64_t count,
                 const Target& to) const;

  Folder folder_;  // stays open: a checkpoint that is being removed can still be read
  Manifest manifest_;
  std::vector<std::pair<std::string, SafetensorsHeader>> headers_;  // by file name
};

/// "step-00000012"
std::string checkpoint_name(std::int64_t step);
/// Steps of the checkpoint folders of `folder`, ascending; sound or not. Empty if there is no such
/// folder.
std::vector<std::int64_t> checkpoint_steps(const std::string& folder);

/// The newest sound checkpoint; none if there is not a single one. Collective: ranks divide the
/// checking and all open the same. A damaged one is passed over with a warning that names the file
/// and place; if `strict`, or if none is sound, that is ErrorKind::checkpoint.
std::optional<Checkpoint> open_newest_checkpoint(const Context& ctx, Communicator& comm,
                                                 const std::string& folder, bool strict, Log& log);

/// Keeps the newest `keep` (at least 2) and the one of step `best` (-1: none). By one rank, after a
/// commit.
void prune_checkpoints(const std::string& folder, int keep, std::int64_t best);
/// Removes what a killed run left under temporary names. By one rank that holds the run's lock.
void remove_leftovers(const std::string& folder);

}  // namespace gradmill
