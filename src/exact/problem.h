// One exact search, as all its threads see it. Constant once made.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <vector>

#include "distance/block_dot.h"
#include "shoal/types.h"

namespace shoal::exact {

struct Problem {
  const distance::BlockKernels* kernels = nullptr;
  MatrixView base;
  MatrixView queries;
  Metric metric = Metric::kL2;
  std::span<const uint8_t> include;  // empty: all
  size_t k = 0;                      // neighbours kept per query, at most the rows of the base

  // Float vectors under l2 are multiplied with `centre`, about the mean of the base, subtracted:
  // distances stay, norms shrink, and with them the error of |a|^2 + |b|^2 - 2ab. Else zeros.
  std::vector<float> centre;  // dim
  // About the root mean square norm of the float rows under inner product; 0: unknown.
  double typical_norm = 0;

  size_t dim() const { return base.dim(); }
  bool HasFloats() const {
    return base.type() == ScalarType::kFloat32 || base.type() == ScalarType::kFloat16;
  }
  // Whether distances are computed pair by pair, from vectors as they are. Else they are dot
  // products of packed vectors.
  bool ByPairs() const { return metric == Metric::kManhattan || metric == Metric::kHamming; }
  // 32-bit words of a packed vector.
  size_t words() const {
    return HasFloats() ? dim() : (dim() + kernels->int_elements - 1) / kernels->int_elements;
  }
  size_t chunks() const { return (words() + distance::kChunkWords - 1) / distance::kChunkWords; }
  // Bytes of a query and of a row as they are worked with.
  size_t query_bytes() const { return ByPairs() ? queries.row_bytes() : words() * 4; }
  size_t row_bytes() const {
    return ByPairs() ? base.row_bytes() : chunks() * distance::kChunkWords * 4;
  }
  bool Includes(size_t row) const { return include.empty() || include[row] != 0; }
};

// A neighbour with its final distance. int32 distances are exact in it, the others are floats.
struct Ranked {
  double distance;
  uint32_t row;
  friend bool operator<(const Ranked& a, const Ranked& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.row < b.row;
  }
};

// Bytes at an address that is a multiple of 64, uninitialised. Throws bad_alloc.
class AlignedBytes {
 public:
  explicit AlignedBytes(size_t size)
      : data_(static_cast<std::byte*>(::operator new(size, std::align_val_t{64}))) {}
  std::byte* data() const { return data_.get(); }
  template <class T>
  T* As() const {
    return reinterpret_cast<T*>(data_.get());
  }

 private:
  struct Delete {
    void operator()(std::byte* p) const { ::operator delete(p, std::align_val_t{64}); }
  };
  std::unique_ptr<std::byte, Delete> data_;
};

}  // namespace shoal::exact
