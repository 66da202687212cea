// Byte strings of all ranks on all ranks: file records, vocabularies, error texts.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "dist/communicator.h"

namespace gradmill {

/// Every rank's bytes, in rank order. Collective; lengths may differ.
std::vector<std::string> all_gather_strings(const Context& ctx, Communicator& comm,
                                            std::string_view mine);

/// Runs `work` on every rank and gives all results, in rank order. Collective. If it throws on some
/// rank, every rank throws that Error (of the lowest such rank, which the text then names): so no
/// rank waits for one that has given up.
std::vector<std::string> on_every_rank(const Context& ctx, Communicator& comm,
                                       const std::function<std::string()>& work);

}  // namespace gradmill
