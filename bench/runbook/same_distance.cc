#include "runbook/same_distance.h"

#include <cmath>
#include <vector>

#include "distance/kernels.h"

namespace shoal::bench {
namespace {

using distance::Op;

double Kernel(Op op, VectorView a, VectorView b) {
  const distance::KernelSet& kernels = distance::Active();
  const distance::PairFn pair = kernels.Pair(op, b.type());
  if (a.type() != ScalarType::kFloat16) return pair(a.data(), b.data(), a.dim());
  // Queries for halves are floats.
  std::vector<float> floats(a.dim());
  kernels.half_to_float(static_cast<const Half*>(a.data()), a.dim(), floats.data());
  return pair(floats.data(), b.data(), a.dim());
}

}  // namespace

bool SameDistance(Metric metric, VectorView query, VectorView row, float reported) {
  constexpr double kRounding = 1e-4;  // Of float sums, relative to what is summed.
  if (metric == Metric::kL2) {
    const double l2 = Kernel(Op::kL2, query, row);
    return std::abs(l2 - double{reported}) <= kRounding * l2;
  }
  if (metric == Metric::kManhattan || metric == Metric::kHamming) {
    const double found = Kernel(metric == Metric::kManhattan ? Op::kL1 : Op::kHamming, query, row);
    return std::abs(found - double{reported}) <= kRounding * found;
  }
  const double dot = Kernel(Op::kDot, query, row);
  const double norms =
      std::sqrt(Kernel(Op::kDot, query, query)) * std::sqrt(Kernel(Op::kDot, row, row));
  if (metric == Metric::kInnerProduct) return std::abs(dot + double{reported}) <= kRounding * norms;
  return std::abs(1 - dot / norms - double{reported}) <= kRounding;
}

}  // namespace shoal::bench
