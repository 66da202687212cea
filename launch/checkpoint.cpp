#include "launch/checkpoint.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <sstream>
#include <system_error>

#include "dist/gather_strings.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

namespace fs = std::filesystem;

constexpr const char* kManifest = "manifest.json";
constexpr std::string_view kTemporary = "tmp-", kTrash = "trash-", kStep = "step-";

/// What a parser calls bad data is a bad checkpoint to a run.
template <class Work>
auto as_checkpoint_error(Work&& work) {
  try {
    return work();
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::data && e.kind() != ErrorKind::input_missing) throw;
    fail(ErrorKind::checkpoint, e.what());
  }
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  expect(!error || error == std::errc::no_such_file_or_directory, ErrorKind::io,
         "{}: cannot list the folder: {}", folder, error.message());
  return names;
}

}  // namespace

// ---- writing

void CheckpointWriter::add(TensorSource source, std::int64_t global_rows, std::int64_t first_row,
                           Device device) {
  require(device.kind == DeviceKind::cpu, "checkpoint: tensor {:?} is not in host memory",
          source.name);
  require(first_row >= 0 && source.rows <= global_rows - first_row,
          "checkpoint: tensor {:?}: {} rows from row {} do not fit into {}", source.name,
          source.rows, first_row, global_rows);
  shares_.push_back({std::move(source), global_rows, first_row});
}

CheckpointWriter& CheckpointWriter::add(const StateTensor& t) {
  if (t.replicated && comm_.rank() != 0) return *this;
  const std::int64_t size = element_size(t.type);
  add({t.name, t.type, {t.rows, t.cols}, t.data, t.rows, t.cols * size, t.stride * size, {}},
      t.global_rows, t.first_row, t.device);
  return *this;
}

CheckpointWriter& CheckpointWriter::add_file(std::string name, std::string bytes) {
  require(is_plain_name(name) && !is_tensor_file(name) && name != kManifest,
          "checkpoint: file name {:?}", name);
  files_.push_back({std::move(name), std::move(bytes)});
  return *this;
}

/// Writes this rank's files; what comes back lists them and the rows in them.
Manifest CheckpointWriter::write_share(const std::string& folder) const {
  Manifest mine;
  const std::string name = fmt::format("rank-{:05}.safetensors", comm_.rank());
  std::vector<TensorSource> sources;
  for (const Share& share : shares_) {
    TensorEntry entry{share.source.name, share.source.type, share.source.shape, {}};
    entry.shape[0] = share.global_rows;
    if (share.source.rows > 0) {
      entry.pieces.push_back({name, share.first_row, share.source.rows});
      sources.push_back(share.source);
    }
    mine.tensors.push_back(std::move(entry));
  }
  if (!sources.empty()) {
    mine.files.push_back(
        write_safetensors(folder + "/" + name, std::move(sources), {{"format", "gradmill"}}));
  }
  for (const SmallFile& small : files_) {
    OutputFile file(folder + "/" + small.name);
    file.write(small.bytes);
    mine.files.push_back(file.finish());
  }
  return mine;
}

void CheckpointWriter::write_manifest(const std::string& folder,
                                      const std::vector<std::string>& shares,
                                      const CheckpointInfo& info) const {
  Manifest whole;
  whole.info = info;
  for (std::size_t rank = 0; rank < shares.size(); ++rank) {
    Manifest share = parse_manifest(shares[rank], fmt::format("share of rank {}", rank));
    for (FileRecord& file : share.files) {
      const std::string path = folder + "/" + file.name;
      expect(fs::exists(path), ErrorKind::cannot_write,
             "{}: written by rank {} but not there on rank 0: the run's folder must be on a file "
             "system that all "
             "ranks share",
             path, rank);
      whole.files.push_back(std::move(file));
    }
    for (TensorEntry& tensor : share.tensors) {
      const auto known = std::find_if(whole.tensors.begin(), whole.tensors.end(),
                                      [&](const TensorEntry& t) { return t.name == tensor.name; });
      if (known == whole.tensors.end()) {
        whole.tensors.push_back(std::move(tensor));
        continue;
      }
      require(
          known->type == tensor.type && known->shape == tensor.shape,
          "checkpoint: tensor {:?} of rank {} has another type or shape than on the ranks before",
          tensor.name, rank);
      known->pieces.insert(known->pieces.end(), tensor.pieces.begin(), tensor.pieces.end());
    }
  }
  try {
    check_manifest(whole, name_);
  } catch (const Error& e) {
    fail(ErrorKind::internal, e.what());  // our ranks disagree on who owns what
  }
  OutputFile file(folder + "/" + kManifest);
  file.write(manifest_text(whole));
  file.finish();
  sync_folder(folder);
}

void CheckpointWriter::commit(const CheckpointInfo& info) {
  const bool first = comm_.rank() == 0;
  std::string temporary;
  try {
    temporary = on_every_rank(ctx_, comm_, [&] {
      if (!first) return std::string();
      create_folder(parent_);
      std::string folder = fmt::format("{}/{}{}-{}", parent_, kTemporary, name_, ::getpid());
      std::error_code ignored;
      fs::remove_all(folder, ignored);
      create_folder(folder);
      return folder;
    })[0];
    const auto shares =
        on_every_rank(ctx_, comm_, [&] { return manifest_text(write_share(temporary)); });
    on_every_rank(ctx_, comm_, [&] {
      if (first) {
        write_manifest(temporary, shares, info);
        if (info.fence) info.fence();
        publish_over(temporary, parent_ + "/" + name_);  // the commit
      }
      return std::string();
    });
  } catch (...) {
    std::error_code ignored;
    if (first && !temporary.empty()) fs::remove_all(temporary, ignored);
    throw;
  }
}

// ---- reading

Checkpoint Checkpoint::open(const std::string& path, int part, int parts) {
  return as_checkpoint_error([&] {
    Folder folder = Folder::open(path);
    const InputFile file = folder.open_file(kManifest);
    expect(file.size() <= Manifest::kMaxBytes, ErrorKind::data,
           "{}: has {} bytes, at most {} are read", file.path(), file.size(), Manifest::kMaxBytes);
    std::string text(static_cast<std::size_t>(file.size()), '\0');
    file.read_at(0, text.data(), text.size());
    Manifest manifest = parse_manifest(text, file.path());
    check_manifest(manifest, file.path());

    Checkpoint checkpoint(std::move(folder), std::move(manifest));
    const auto& files = checkpoint.manifest_.files;
    for (std::size_t f = 0; f < files.size(); ++f) {
      checkpoint.check_file(files[f],
                            static_cast<int>(f % static_cast<std::size_t>(parts)) == part);
    }
    return checkpoint;
  });
}

void Checkpoint::check_file(const FileRecord& record, bool digest) {
  const InputFile file = folder_.open_file(record.name);
  expect(file.size() == record.bytes, ErrorKind::data, "{}: has {} bytes instead of {}",
         file.path(), file.size(), record.bytes);
  if (digest) file.verify(record);
  if (!is_tensor_file(record.name)) return;
  SafetensorsHeader header = SafetensorsHeader::read(file);
  for (const TensorEntry& tensor : manifest_.tensors) {
    for (const TensorPiece& piece : tensor.pieces) {
      if (piece.file != record.name) continue;
      const TensorInfo* stored = header.find(tensor.name);
      expect(stored != nullptr, ErrorKind::data, "{}: has no tensor {:?}", file.path(),
             tensor.name);
      std::vector<std::int64_t> shape = tensor.shape;
      shape[0] = piece.rows;
      expect(stored->type == tensor.type && stored->shape == shape, ErrorKind::data, [&] {
        return fmt::format("{}: tensor {:?} is {} [{}], {} [{}] expected", file.path(), tensor.name,
                           dtype_name(stored->type), fmt::join(stored->shape, ", "),
                           dtype_name(tensor.type), fmt::join(shape, ", "));
      });
    }
  }
  headers_.emplace_back(record.name, std::move(header));
}

const TensorEntry& Checkpoint::tensor(std::string_view name) const {
  const TensorEntry* entry = manifest_.find_tensor(name);
  if (entry) return *entry;
  std::vector<std::string_view> names;
  for (const TensorEntry& t : manifest_.tensors) names.push_back(t.name);
  fail(ErrorKind::checkpoint, "{}: has no tensor {:?}; it has {}", path(), name,
       fmt::join(names, ", "));
}

void Checkpoint::read_rows(std::string_view name, std::int64_t first, std::int64_t count,
                           const Target& to) const {
  const TensorEntry& entry = tensor(name);
  std::int64_t cols = 1;
  for (std::size_t d = 1; d < entry.shape.size(); ++d) cols *= entry.shape[d];
  expect(entry.type == to.type && cols == to.cols && first >= 0 && count >= 0 &&
             count <= entry.shape[0] && first <= entry.shape[0] - count,
         ErrorKind::checkpoint,
         "{}: tensor {:?} is {} [{}]; rows {} to {} as {} with {} columns were asked for", path(),
         name, dtype_name(entry.type), fmt::join(entry.shape, ", "), first, first + count,
         dtype_name(to.type), to.cols);
  require(to.device.kind == DeviceKind::cpu && to.rows == count && to.stride >= to.cols,
          "checkpoint: {} rows of stride {} given for {} rows of tensor {:?}", to.rows, to.stride,
          count, name);

  const std::int64_t stride_bytes = to.stride * element_size(to.type);
  for (const TensorPiece& piece : entry.pieces) {
    const std::int64_t begin = std::max(first, piece.first_row);
    const std::int64_t end = std::min(first + count, piece.first_row + piece.rows);
    if (begin >= end) continue;
    const auto header = std::find_if(headers_.begin(), headers_.end(),
                                     [&](const auto& h) { return h.first == piece.file; });
    as_checkpoint_error([&] {
      read_tensor_rows(folder_.open_file(piece.file), *header->second.find(name),
                       begin - piece.first_row, end - begin,
                       static_cast<char*>(to.data) + (begin - first) * stride_bytes, stride_bytes);
    });
  }
}

void Checkpoint::read(const StateTensor& to) const {
  const std::int64_t rows = tensor(to.name).shape[0];
  expect(rows == to.global_rows, ErrorKind::checkpoint, "{}: {} has {} rows, this run {}", path(),
         to.name, rows, to.global_rows);
  read_rows(to.name, to.first_row, to.rows,
            {to.type, to.rows, to.cols, to.data, to.stride, to.device});
}

std::string Checkpoint::read_file(std::string_view name) const {
  const FileRecord* record = manifest_.find_file(name);
  expect(record != nullptr, ErrorKind::checkpoint, "{}: has no file {:?}", path(), name);
  return as_checkpoint_error([&] {
    std::string bytes(static_cast<std::size_t>(record->bytes), '\0');
    folder_.open_file(name).read_at(0, bytes.data(), bytes.size());
    return bytes;
  });
}

// ---- folders of checkpoints

std::string checkpoint_name(std::int64_t step) { return fmt::format("{}{:08}", kStep, step); }

std::vector<std::int64_t> checkpoint_steps(const std::string& folder) {
  std::vector<std::int64_t> steps;
  for (const std::string& name : names_in(folder)) {
    std::int64_t step = -1;
    if (!name.starts_with(kStep)) continue;
    std::from_chars(name.data() + kStep.size(), name.data() + name.size(), step);
    if (step >= 0 && name == checkpoint_name(step)) steps.push_back(step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

std::optional<Checkpoint> open_newest_checkpoint(const Context& ctx, Communicator& comm,
                                                 const std::string& folder, bool strict, Log& log) {
  // Rank 0 looks, so that all ranks try the same ones.
  const std::string listed = on_every_rank(ctx, comm, [&] {
    std::string names;
    if (comm.rank() != 0) return names;
    for (const std::int64_t step : checkpoint_steps(folder)) names += checkpoint_name(step) + '\n';
    return names;
  })[0];
  std::vector<std::string> names;
  for (std::istringstream in(listed); std::getline(in, names.emplace_back());) {
  }
  names.pop_back();
  std::reverse(names.begin(), names.end());

  for (const std::string& name : names) {
    std::optional<Checkpoint> checkpoint;
    std::string problem;
    try {
      checkpoint = Checkpoint::open(folder + "/" + name, comm.rank(), comm.world_size());
    } catch (const Error& e) {
      problem = e.what();
    }
    for (const std::string& p : all_gather_strings(ctx, comm, problem)) {
      if (problem.empty()) problem = p;
    }
    if (problem.empty()) return checkpoint;
    expect(!strict, ErrorKind::checkpoint, "the newest checkpoint is not usable: {}", problem);
    log.warning(
        fmt::format("checkpoint {} is not usable, trying the one before: {}", name, problem));
  }
  expect(names.empty(), ErrorKind::checkpoint, "{}: none of the {} checkpoints is usable", folder,
         names.size());
  return std::nullopt;
}

void prune_checkpoints(const std::string& folder, int keep, std::int64_t best) {
  std::vector<std::int64_t> steps = checkpoint_steps(folder);
  const std::size_t kept = static_cast<std::size_t>(std::max(keep, 2));
  if (steps.size() <= kept) return;
  steps.resize(steps.size() - kept);
  for (const std::int64_t step : steps) {
    if (step != best) remove_folder(folder + "/" + checkpoint_name(step));
  }
}

void remove_leftovers(const std::string& folder) {
  for (const std::string& name : names_in(folder)) {
    if (name.starts_with(kTemporary) || name.starts_with(kTrash))
      remove_folder(folder + "/" + name);
  }
}

}  // namespace gradmill
