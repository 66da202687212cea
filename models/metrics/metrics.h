// Metrics of classification and regression, exact over all ranks, in double precision.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dist/communicator.h"
#include "models/metrics/link.h"

namespace gradmill {

/// This rank's evaluated samples, in host memory. Any number of rows on any rank, also none.
struct Scored {
  MatrixView<const float> margins;    // [N, C], finite
  VectorView<const float> labels;     // [N]: classes 0 .. C - 1 (C = 1: 0 or 1), or values
  VectorView<const float> weights{};  // [N], or empty: all 1
};

/// One of ten equal ranges of the predicted probability.
struct CalibrationBin {
  double weight = 0, predicted = 0,
         observed = 0;  // means of the samples within; 0 if there are none
};

/// Of the samples whose score is at least some threshold: which share of the positive ones they hold (recall), of
/// the negative ones (fall-out), and which share of them is positive (precision).
struct CurvePoint {
  double recall = 0, fall_out = 0, precision = 1;
};

/// Sums are over sample weights. What is undefined (no samples, AUC with one class only, log loss of
/// a hinge) is NaN. Two classes: class 1 is the positive one.
struct ClassificationMetrics {
  double weight = 0;
  double accuracy, log_loss;
  double auc, pr_auc;  // two classes: exact, tied scores count half; average precision
  double f1;           // two classes: of class 1; more: the mean over classes (macro)
  std::array<CalibrationBin, 10> calibration{};  // two classes and a link with probabilities
  std::vector<CurvePoint> curve;  // two classes of which there are both: from the highest threshold
  std::vector<double> confusion;  // [C, C] true x predicted, row-major; C up to 64, else empty
};

/// num_classes >= 2. Collective. Bits depend on the rows of each rank alone, not on threads.
ClassificationMetrics classification_metrics(const Context& host, Communicator& comm, Link link,
                                             int num_classes, const Scored& scored);

struct RegressionMetrics {
  double weight = 0;
  double rmse, mae, r2;
};
/// link identity or exponential. Collective.
RegressionMetrics regression_metrics(const Context& host, Communicator& comm, Link link,
                                     const Scored& scored);

/// Areas under the ROC curve and under the precision-recall curve (average precision, without
/// interpolation) of scores against labels > 0. Exact: the scores are sorted over all ranks.
/// Bytes   each rank sends and receives about 8 N once.
/// Source  Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27, 2006, algorithm 3.
/// curve: about a hundred points or more of the curves, the same on every rank; empty if a class is absent.
struct BinaryCurves {
  double auc, average_precision;
  std::vector<CurvePoint> curve;
};
BinaryCurves binary_curves(const Context& host, Communicator& comm, VectorView<const float> scores,
                           VectorView<const float> labels, VectorView<const float> weights);

}  // namespace gradmill
