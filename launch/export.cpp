#include "launch/export.h"

#include "launch/npz.h"
#include "runtime/expect.h"

namespace gradmill {
namespace {

void add_ids(const std::string& name, const IdColumn& ids, std::vector<TensorSource>& tensors) {
  if (ids.kind == IdColumn::Kind::i64) {
    tensors.push_back(
        tensor_source(name, VectorView<const std::int64_t>{ids.numbers.data(), ids.size()}));
    return;
  }
  const auto bytes = static_cast<std::int64_t>(ids.bytes.size());
  tensors.push_back(
      tensor_source(name + ".bytes", VectorView<const char>{ids.bytes.data(), bytes}));
  tensors.push_back(
      tensor_source(name + ".ends", VectorView<const std::int64_t>{ids.ends.data(), ids.size()}));
}

}  // namespace

void export_model(const std::string& path, const ModelExport& model) {
  if (path.ends_with(".npz")) {
    NpzWriter file(path);
    for (const TensorSource& tensor : model.tensors) file.add(tensor);
    for (const auto& [name, ids] : model.names) file.add(name, *ids);
    return file.finish();
  }
  expect(path.ends_with(".safetensors"), ErrorKind::usage,
         "{}: a name ending in .npz or .safetensors expected", path);
  std::vector<TensorSource> tensors = model.tensors;
  for (const auto& [name, ids] : model.names) add_ids(name, *ids, tensors);
  write_safetensors(path, std::move(tensors), model.metadata, Existing::replace);
}

}  // namespace gradmill
