// Vectors as floats, for codecs that compute with them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "shoal/types.h"

namespace shoal {

// `out`: vector.dim() floats. Exact. Not of bits, which are their own code.
void ToFloats(VectorView vector, float* out);
// The same, as codecs with a centre have them: for cosine of length sqrt(1/2), as the squared
// distances of such vectors are cosine distances. (0 stays 0: what a shorter type has rounded.)
void PlaceOf(VectorView vector, Metric metric, float* out);
// `floats`: out.dim() of them; rounded to the type, and the integers clamped to it.
void FromFloats(const float* floats, MutableVectorView out);

// sum of term(i) over i < n, in double, in an order that does not depend on the instruction set.
template <class Term>
double SumInOrder(size_t n, Term term) {
  constexpr size_t kLanes = 8;
  double sums[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (size_t k = 0; k < kLanes; ++k) sums[k] += term(i + k);
  for (size_t k = 0; i < n; ++i, ++k) sums[k] += term(i);
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}
inline double NormSqOf(const float* x, size_t n) {
  return SumInOrder(n, [x](size_t i) { return static_cast<double>(x[i]) * x[i]; });
}

// x ~ scale * v for a vector of integers v.
struct Rounded {
  float scale = 0;
  int64_t sum = 0;  // Of v.
};
// v: n integers of at most `most` in magnitude, to nearest, ties to even; at least one of them has
// it, or all are 0.
Rounded RoundTo(const float* x, size_t n, int32_t most, int8_t* v);
Rounded RoundTo(const float* x, size_t n, int32_t most, int16_t* v);

}  // namespace shoal
