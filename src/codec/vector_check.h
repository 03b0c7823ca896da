// What is checked of a vector before it is encoded or bound.
#pragma once

#include "distance/kernels.h"
#include "shoal/result.h"
#include "shoal/types.h"

namespace shoal {

// Any thread.
class VectorCheck {
 public:
  VectorCheck(ScalarType type, Metric metric, size_t dim)
      : type_(type), metric_(metric), dim_(dim), kernels_(distance::Active()) {}

  // InvalidArgument: scalar type, dimension, NaN or infinity, a norm that is too large or, under
  // cosine, too small (base/norm.h), a bit behind the last element. `what` names the vector in the
  // message.
  Status Vector(VectorView vector, const char* what) const;
  // Of these, what concerns all rows of a matrix: scalar type, dimension, no data.
  Status Shape(MatrixView rows, const char* what) const;

 private:
  // True: finite, and of a legal norm. False: perhaps not.
  bool IsPlainlyLegal(VectorView vector) const;

  const ScalarType type_;
  const Metric metric_;
  const size_t dim_;
  const distance::KernelSet& kernels_;
};

// |x|^2 of `dim` elements, exact up to rounding of a double. For no bits.
double SquaredNorm(const void* elements, ScalarType type, size_t dim);

}  // namespace shoal
