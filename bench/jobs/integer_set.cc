#include "jobs/integer_set.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "jobs/random.h"

namespace shoal::bench {
namespace {

constexpr int kCentre = 96;
// A coordinate is the centre's plus this many steps, each uniform in [-kStep, kStep].
constexpr int kSteps = 3;
constexpr int kStep = 16;
constexpr int kMax = 127;

int Uniform(Random& random, int most) {
  return static_cast<int>(random.Below(2 * static_cast<uint64_t>(most) + 1)) - most;
}

template <class T>
void Put(std::byte* out, size_t i, T value) {
  std::memcpy(out + i * sizeof(T), &value, sizeof(T));
}

void PutElement(std::byte* out, ScalarType type, size_t i, int value) {
  switch (type) {
    case ScalarType::kFloat32: return Put(out, i, static_cast<float>(value));
    case ScalarType::kFloat16: return Put(out, i, FloatToHalf(static_cast<float>(value)));
    case ScalarType::kInt8: return Put(out, i, static_cast<int8_t>(value));
    case ScalarType::kUint8: return Put(out, i, static_cast<uint8_t>(value + 128));
    case ScalarType::kBit:
      if (value > 0) out[i / 8] |= std::byte{1} << i % 8;
  }
}

// A row depends on the seed and its number alone.
void FillRows(Matrix& matrix, const std::vector<int>& centres, uint64_t seed) {
  const size_t dim = matrix.dim();
  for (size_t row = 0; row < matrix.rows(); ++row) {
    Random random(Random::Mix(seed) + row * 0x100000001b3u);
    const size_t cluster = random.Below(centres.size() / dim);
    for (size_t i = 0; i < dim; ++i) {
      int value = centres[cluster * dim + i];
      for (int step = 0; step < kSteps; ++step) value += Uniform(random, kStep);
      PutElement(matrix.data() + row * matrix.row_bytes(), matrix.type(), i,
                 std::clamp(value, -kMax, kMax));
    }
  }
}

}  // namespace

Result<IntegerSet> MakeIntegerSet(ScalarType type, const IntegerSetOptions& options) {
  Random random(options.seed);
  std::vector<int> centres(options.clusters * options.dim);
  for (int& centre : centres) centre = Uniform(random, kCentre);
  Result<Matrix> rows = Matrix::Create(type, options.rows, options.dim);
  if (!rows) return tl::unexpected(rows.error());
  Result<Matrix> queries = Matrix::Create(type, options.queries, options.dim);
  if (!queries) return tl::unexpected(queries.error());
  FillRows(*rows, centres, 2 * options.seed);
  FillRows(*queries, centres, 2 * options.seed + 1);
  return IntegerSet{std::move(*rows), std::move(*queries)};
}

}  // namespace shoal::bench
