// The names of the choices in [[features]], in configurations and in features.json.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "data/feature_plan.h"
#include "runtime/expect.h"

namespace gradmill {

template <class Value, std::size_t Count>
using Choices = std::array<std::pair<std::string_view, Value>, Count>;

inline constexpr Choices<FeatureKind, 5> kFeatureKinds{{{"numeric", FeatureKind::numeric},
                                                        {"categorical", FeatureKind::categorical},
                                                        {"hashed", FeatureKind::hashed},
                                                        {"text", FeatureKind::text},
                                                        {"interaction", FeatureKind::interaction}}};
inline constexpr Choices<NumberScale, 3> kNumberScales{{{"standard", NumberScale::standard},
                                                        {"minmax", NumberScale::minmax},
                                                        {"none", NumberScale::none}}};
inline constexpr Choices<MissingPolicy, 5> kMissingPolicies{
    {{"mean", MissingPolicy::mean},
     {"zero", MissingPolicy::zero},
     {"indicator", MissingPolicy::indicator},
     {"own", MissingPolicy::own},
     {"fail", MissingPolicy::fail}}};
inline constexpr Choices<TokenizerKind, 2> kTokenizers{
    {{"spark", TokenizerKind::spark}, {"words", TokenizerKind::words}}};
inline constexpr Choices<TermValue, 3> kTermValues{
    {{"count", TermValue::count}, {"binary", TermValue::binary}, {"tfidf", TermValue::tfidf}}};
inline constexpr Choices<ColumnKind, 2> kColumnKinds{
    {{"number", ColumnKind::number}, {"text", ColumnKind::text}}};

template <class Value, std::size_t Count>
std::string_view name_of(const Choices<Value, Count>& choices, Value value) {
  for (const auto& [name, choice] : choices)
    if (choice == value) return name;
  fail(ErrorKind::internal, "a choice without a name");
}

/// Errors: `kind` "features: <what>: <option> = "x"; expected one of …".
template <class Value, std::size_t Count>
Value value_named(const Choices<Value, Count>& choices, std::string_view asked,
                  std::string_view option, const std::string& what,
                  ErrorKind kind = ErrorKind::usage) {
  std::string names;
  for (const auto& [name, choice] : choices) {
    if (name == asked) return choice;
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  fail(kind, "features: {}: {} = \"{}\"; expected one of {}", what, option, asked, names);
}

}  // namespace gradmill
