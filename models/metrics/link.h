// From raw scores (margins) to what a model predicts.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/losses.h"

namespace gradmill {

/// none      scores of a hinge loss: signs count, they are no probabilities
/// logistic  one margin: P(class 1) = 1 / (1 + exp(-m))
/// softmax   C margins: P(class c) = exp(m_c) / sum exp(m)
/// one_vs_rest  C logistic margins: their probabilities divided by their sum
/// identity  regression: the margin;   exponential  Poisson: exp(margin)
enum class Link : std::uint8_t { none, logistic, softmax, one_vs_rest, identity, exponential };

/// From raw scores to what a model of this loss predicts.
Link link_of(const Loss& loss, int outputs);

/// P(class 1) of one logistic margin; exact in both tails.
double logistic(double margin);

/// Probabilities of all classes [max(2, C)] from C margins; link logistic, softmax or one_vs_rest.
void class_probabilities(Link link, std::span<const float> margins, std::span<double> out);

/// The class with the highest margin (C = 1: class 1 if the margin is positive); ties: the lower class.
int predicted_class(std::span<const float> margins);

}  // namespace gradmill
