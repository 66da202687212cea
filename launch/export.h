// A trained factorization for other programs: NumPy or safetensors, with the users' and items' own ids.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "data/rating_stream.h"
#include "launch/safetensors.h"

namespace gradmill {

struct FactorExport {
  std::vector<TensorSource> tensors;  // user_factors, item_factors, user_biases, …: row r is id r
  const IdColumn* user_ids = nullptr;
  const IdColumn* item_ids = nullptr;
  std::map<std::string, std::string> metadata;  // kept in safetensors only
};

/// By the name's end: .npz or .safetensors; replaces a file of that name. Ids are the arrays user_ids and
/// item_ids; text ids are fixed-width text in .npz, and in safetensors the bytes of all ids
/// (user_ids.bytes) with the end of each (user_ids.ends).
/// Errors: ErrorKind::usage for another ending; as OutputFile.
void export_factors(const std::string& path, const FactorExport& factors);

}  // namespace gradmill
