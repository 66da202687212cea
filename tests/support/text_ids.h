// A column of text ids.
#pragma once

#include <string>
#include <vector>

#include "data/rating_stream.h"

namespace gradmill::testing {

inline IdColumn text_ids(const std::vector<std::string>& ids) {
  IdColumn column;
  column.kind = IdColumn::Kind::string;
  for (const std::string& id : ids) column.push(id);
  return column;
}

}  // namespace gradmill::testing
