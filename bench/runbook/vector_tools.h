// Elements of vectors of any scalar type, and the distance between two.
#pragma once

#include <cstddef>
#include <vector>

#include "shoal/types.h"

namespace shoal::bench {

// All elements, row by row. Exact.
std::vector<float> Floats(MatrixView rows);

// Writes `value` as element i of a row; false, and the nearest is written, if the type does not
// have it.
bool PutElement(float value, ScalarType type, std::byte* row, size_t i);

// Of two vectors of one type and dimension, in the metric, summed in double.
double DistanceOf(Metric metric, VectorView a, VectorView b);

// Whether `reported` is their distance, but for float sums in another order.
bool SameDistance(Metric metric, VectorView a, VectorView b, float reported);

}  // namespace shoal::bench
