// Byte strings of all ranks on all ranks: file records, vocabularies, error texts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "dist/communicator.h"

namespace gradmill {

/// Every rank's bytes, in rank order. Collective; lengths may differ.
std::vector<std::string> all_gather_strings(const Context& ctx, Communicator& comm,
                                            std::string_view mine);

}  // namespace gradmill
