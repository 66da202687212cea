#include "launch/inspect_checkpoint.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "data/inspect.h"
#include "launch/checkpoint.h"

namespace gradmill {
namespace {
using nlohmann::ordered_json;

ordered_json describe(const Checkpoint& checkpoint) {
  const CheckpointInfo& info = checkpoint.info();
  ordered_json json;
  json["path"] = checkpoint.path();
  json["kind"] = info.kind;
  json["run"] = info.run_id;
  json["epoch"] = info.epoch;
  json["step"] = info.step;
  json["seed"] = info.seed;
  json["world_size"] = info.world_size;
  json["data_digest"] = info.data_digest;
  json["metrics"] = info.metrics;
  json["versions"] = info.versions;
  for (const TensorEntry& tensor : checkpoint.manifest().tensors)
    json["tensors"].push_back(ordered_json{{"name", tensor.name},
                                           {"type", element_name(tensor.type)},
                                           {"shape", tensor.shape},
                                           {"pieces", tensor.pieces.size()}});
  for (const FileRecord& file : checkpoint.manifest().files)
    json["files"].push_back(
        ordered_json{{"name", file.name}, {"bytes", file.bytes}, {"xxh3_128", file.digest}});
  json["config"] = info.config;
  return json;
}

std::string as_text(const ordered_json& json) {
  std::string text = fmt::format("{}: {}, epoch {}, written by {} rank(s), every digest checked\n",
                                 json["path"].get<std::string>(), json["kind"].get<std::string>(),
                                 json["epoch"].get<std::int64_t>(), json["world_size"].get<int>());
  for (const auto& [name, value] : json["metrics"].items())
    text += fmt::format("  {:<24} {}\n", name, value.dump());
  text += "tensors\n";
  for (const auto& tensor : json["tensors"])
    text += fmt::format("  {:<24} {:<5} {}\n", tensor["name"].get<std::string>(),
                        tensor["type"].get<std::string>(), tensor["shape"].dump());
  text += "files\n";
  for (const auto& file : json["files"])
    text += fmt::format("  {:<28} {:>12} bytes  {}\n", file["name"].get<std::string>(),
                        file["bytes"].get<std::int64_t>(), file["xxh3_128"].get<std::string>());
  return text;
}
}  // namespace

std::string inspect_path(const std::string& path, bool json) {
  for (const std::string& folder : {path, path + "/model"}) {
    if (!std::filesystem::exists(folder + "/manifest.json")) continue;
    const ordered_json description = describe(Checkpoint::open(folder));
    return json ? description.dump(2) + "\n" : as_text(description);
  }
  return inspect_data(path, json);
}

}  // namespace gradmill
