// The rows of a file in regions, by k-means: for streams whose points come and go region by region.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "need.h"
#include "shoal/dataset.h"
#include "shoal/exact.h"

namespace shoal::bench {

inline constexpr size_t kRegions = 64;

// Of every row its region. Lloyd's k-means on a sample; then every row goes to its nearest centre.
// rows: uint8 or float32.
inline std::vector<uint32_t> CutIntoRegions(const Matrix& rows) {
  std::vector<uint32_t> region_of;
  constexpr size_t kSample = 20000;
  const size_t dim = rows.dim();
  std::vector<float> sample(kSample * dim), centres(kRegions * dim);
  const auto value = [&](size_t row, size_t i) {
    const std::byte* data = rows.data() + row * rows.row_bytes();
    if (rows.type() == ScalarType::kUint8)
      return static_cast<float>(std::to_integer<uint8_t>(data[i]));
    float element = 0;
    std::memcpy(&element, data + i * sizeof(float), sizeof(float));
    return element;
  };
  for (size_t s = 0; s < kSample; ++s)
    for (size_t i = 0; i < dim; ++i) sample[s * dim + i] = value(s * rows.rows() / kSample, i);
  std::copy_n(sample.begin(), centres.size(), centres.begin());
  const auto nearest = [&](const std::vector<float>& points) {
    return Need(ExactSearch(MatrixView(std::span<const float>(centres), dim),
                            MatrixView(std::span<const float>(points), dim), {.k = 1}))
        .ids;
  };
  for (int step = 0; step < 8; ++step) {
    const auto of = nearest(sample);
    std::vector<double> sums(kRegions * dim, 0);
    std::vector<size_t> counts(kRegions, 0);
    for (size_t s = 0; s < kSample; ++s) {
      ++counts[of[s]];
      for (size_t i = 0; i < dim; ++i) sums[of[s] * dim + i] += sample[s * dim + i];
    }
    for (size_t c = 0; c < kRegions; ++c)
      for (size_t i = 0; counts[c] > 0 && i < dim; ++i)
        centres[c * dim + i] =
            static_cast<float>(sums[c * dim + i] / static_cast<double>(counts[c]));
  }
  constexpr size_t kBlock = 50000;
  for (size_t begin = 0; begin < rows.rows(); begin += kBlock) {
    const size_t n = std::min(kBlock, rows.rows() - begin);
    std::vector<float> block(n * dim);
    for (size_t r = 0; r < n; ++r)
      for (size_t i = 0; i < dim; ++i) block[r * dim + i] = value(begin + r, i);
    for (const uint32_t region : nearest(block)) region_of.push_back(region);
  }
  return region_of;
}

}  // namespace shoal::bench
