// A linear model's coefficients with their names, for people and other programs.
#pragma once

#include <string>

namespace gradmill {

/// The `count` coefficients of largest magnitude of each output, with the intercept; a table or JSON.
/// Errors: as LinearModel::load.
std::string largest_coefficients(const std::string& model, int count, bool json);

}  // namespace gradmill
