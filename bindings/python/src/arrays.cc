#include "arrays.h"

#define NPY_NO_DEPRECATED_API NPY_1_22_API_VERSION
#define NPY_TARGET_VERSION NPY_1_22_API_VERSION
#include <numpy/arrayobject.h>

#include <optional>

namespace shoal::python {
namespace {

std::optional<ScalarType> ScalarTypeOfNumpy(int type) {
  switch (type) {
    case NPY_FLOAT: return ScalarType::kFloat32;
    case NPY_HALF: return ScalarType::kFloat16;
    case NPY_BYTE: return ScalarType::kInt8;
    case NPY_UBYTE: return ScalarType::kUint8;
    default: return std::nullopt;
  }
}

int NumpyTypeOf(ScalarType type) {
  switch (type) {
    case ScalarType::kFloat32: return NPY_FLOAT;
    case ScalarType::kFloat16: return NPY_HALF;
    case ScalarType::kInt8: return NPY_BYTE;
    default: return NPY_UBYTE;
  }
}

// Elements of a NumPy array that holds a vector.
size_t ColumnsOf(ScalarType type, size_t dim) {
  return type == ScalarType::kBit ? BytesOf(type, dim) : dim;
}

[[noreturn]] void RefuseArray(const char* expected) { throw nb::type_error(expected); }

PyArrayObject* PlainArray(nb::handle object, const char* expected) {
  if (!PyArray_Check(object.ptr())) RefuseArray(expected);
  auto* array = reinterpret_cast<PyArrayObject*>(object.ptr());
  if (!PyArray_IS_C_CONTIGUOUS(array) || PyArray_ISBYTESWAPPED(array)) RefuseArray(expected);
  return array;
}

// The elements of an array whose type is `type`.
template <class T>
std::span<const T> ElementsOf(nb::handle object, int type, const char* expected) {
  PyArrayObject* array = PlainArray(object, expected);
  if (PyArray_TYPE(array) != type || !PyArray_ISALIGNED(array)) RefuseArray(expected);
  return {static_cast<const T*>(PyArray_DATA(array)), static_cast<size_t>(PyArray_SIZE(array))};
}

// `columns`: none for a 1-d array.
template <class T>
NewArray<T> Make(int type, size_t rows, std::optional<size_t> columns = std::nullopt) {
  npy_intp shape[2] = {static_cast<npy_intp>(rows), static_cast<npy_intp>(columns.value_or(1))};
  PyObject* made = PyArray_SimpleNew(columns ? 2 : 1, shape, type);
  if (made == nullptr) throw nb::python_error();
  auto* data = static_cast<T*>(PyArray_DATA(reinterpret_cast<PyArrayObject*>(made)));
  return {nb::steal(made), data, rows * columns.value_or(1)};
}

}  // namespace

void ImportNumpy() {
  if (_import_array() < 0) throw nb::python_error();
}

VectorArray VectorsOf(nb::handle object) {
  constexpr const char* kExpected =
      "vectors: a C-contiguous array of float32, float16, int8 or uint8 expected";
  PyArrayObject* array = PlainArray(object, kExpected);
  const auto type = ScalarTypeOfNumpy(PyArray_TYPE(array));
  const int dimensions = PyArray_NDIM(array);
  if (!type || dimensions < 1 || dimensions > 2) RefuseArray(kExpected);
  const bool one = dimensions == 1;
  return {PyArray_DATA(array), *type, one, one ? 1 : static_cast<size_t>(PyArray_DIM(array, 0)),
          static_cast<size_t>(PyArray_DIM(array, dimensions - 1))};
}

VectorArray VectorsOf(nb::handle object, const IndexOptions& options) {
  VectorArray array = VectorsOf(object);
  if (options.scalar_type != ScalarType::kBit || array.type != ScalarType::kUint8) return array;
  const bool fits = array.dim == BytesOf(ScalarType::kBit, options.dim);
  array.type = ScalarType::kBit;
  array.dim = fits ? options.dim : array.dim * 8;
  return array;
}

std::span<const uint64_t> IdsOf(nb::handle array) {
  return ElementsOf<uint64_t>(array, NPY_UINT64, "ids: an array of uint64 expected");
}

std::span<const uint8_t> FlagsOf(nb::handle array) {
  return ElementsOf<uint8_t>(array, NPY_BOOL, "an array of bool expected");
}

std::span<const uint32_t> Uint32sOf(nb::handle array) {
  return ElementsOf<uint32_t>(array, NPY_UINT32, "an array of uint32 expected");
}

std::span<const float> FloatsOf(nb::handle array) {
  return ElementsOf<float>(array, NPY_FLOAT, "an array of float32 expected");
}

NewArray<uint64_t> NewIds(size_t n) { return Make<uint64_t>(NPY_UINT64, n); }
NewArray<uint64_t> NewIds(size_t rows, size_t columns) {
  return Make<uint64_t>(NPY_UINT64, rows, columns);
}
NewArray<float> NewDistances(size_t n) { return Make<float>(NPY_FLOAT, n); }
NewArray<float> NewDistances(size_t rows, size_t columns) {
  return Make<float>(NPY_FLOAT, rows, columns);
}
NewArray<uint32_t> NewCounts(size_t n) { return Make<uint32_t>(NPY_UINT32, n); }
NewArray<uint32_t> NewCounts(size_t rows, size_t columns) {
  return Make<uint32_t>(NPY_UINT32, rows, columns);
}
NewArray<uint8_t> NewFlags(size_t n) { return Make<uint8_t>(NPY_BOOL, n); }

NewArray<void> NewVector(ScalarType type, size_t dim) {
  return Make<void>(NumpyTypeOf(type), ColumnsOf(type, dim));
}
NewArray<void> NewVectors(ScalarType type, size_t rows, size_t dim) {
  return Make<void>(NumpyTypeOf(type), rows, ColumnsOf(type, dim));
}

}  // namespace shoal::python
