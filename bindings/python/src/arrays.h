// NumPy arrays as shoal's views, and back. Only arrays.cc knows NumPy's C API.
//
// Arrays come from the package's Python code, which has converted them: a wrong one is a TypeError.
// All functions need the GIL. Views stay valid while the caller holds a reference to the array.
#pragma once

#include <nanobind/nanobind.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "shoal/options.h"
#include "shoal/types.h"

namespace shoal::python {

namespace nb = nanobind;

// Loads NumPy's C API. Called once, when the module is imported.
void ImportNumpy();

// A C-contiguous array of one of the four scalar types: 1-d is one vector, 2-d is rows of them.
struct VectorArray {
  const void* data;
  ScalarType type;
  bool one;  // 1-d.
  size_t rows;
  size_t dim;
  VectorView vector() const { return {data, type, dim}; }
  MatrixView matrix() const { return {data, type, rows, dim}; }
};
VectorArray VectorsOf(nb::handle array);
// The same of an index: its vectors of bits are arrays of uint8, eight elements a byte.
VectorArray VectorsOf(nb::handle array, const IndexOptions& options);

// The elements of a C-contiguous, aligned 1-d array of uint64.
std::span<const uint64_t> IdsOf(nb::handle array);
// Of bool.
std::span<const uint8_t> FlagsOf(nb::handle array);
// Of uint32, any shape.
std::span<const uint32_t> Uint32sOf(nb::handle array);
// Of float32, any shape.
std::span<const float> FloatsOf(nb::handle array);

// New arrays, uninitialised, with the address of their elements.
template <class T>
struct NewArray {
  nb::object object;
  T* data;
  size_t size;
  std::span<T> elements() const { return {data, size}; }
};
NewArray<uint64_t> NewIds(size_t n);                                  // (n,) uint64
NewArray<uint64_t> NewIds(size_t rows, size_t columns);               // (rows, columns) uint64
NewArray<float> NewDistances(size_t n);                               // (n,) float32
NewArray<float> NewDistances(size_t rows, size_t columns);            // (rows, columns) float32
NewArray<uint32_t> NewCounts(size_t n);                               // (n,) uint32
NewArray<uint32_t> NewCounts(size_t rows, size_t columns);            // (rows, columns) uint32
NewArray<uint8_t> NewFlags(size_t n);                                 // (n,) bool
NewArray<void> NewVector(ScalarType type, size_t dim);                // (dim,); bits: (bytes,)
NewArray<void> NewVectors(ScalarType type, size_t rows, size_t dim);  // (rows, dim)

template <>
struct NewArray<void> {
  nb::object object;
  void* data;
  size_t size;
};

}  // namespace shoal::python
