// A trained model for other programs: NumPy or safetensors, with the names of what its rows stand for.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "data/rating_stream.h"
#include "launch/safetensors.h"

namespace gradmill {

struct ModelExport {
  std::vector<TensorSource> tensors;
  std::vector<std::pair<std::string, const IdColumn*>> names;  // "user_ids", "feature_names", …
  std::map<std::string, std::string> metadata;                 // kept in safetensors only
};

/// By the name's end: .npz or .safetensors; replaces a file of that name. Numbers as names are an array;
/// texts are fixed-width text in .npz, and in safetensors the bytes of all of them (user_ids.bytes) with
/// the end of each (user_ids.ends).
/// Errors: ErrorKind::usage for another ending; as OutputFile.
void export_model(const std::string& path, const ModelExport& model);

}  // namespace gradmill
