#include "index_order.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <span>

#include "base/parallel.h"

namespace shoal {
namespace {

constexpr size_t kRegions = 32;
constexpr size_t kPivots = 1024;
constexpr size_t kUnorderedShare = 8;  // One row in so many.

using Vectors = std::vector<const std::byte*>;

// Finds the nearest of some vectors.
class Nearest {
 public:
  explicit Nearest(const FullCodec& codec) : codec_(codec), buffer_(codec.buffer_bytes()) {}

  size_t Of(const std::byte* vector, std::span<const std::byte* const> among) {
    distances_.resize(among.size());
    codec_.ScoreRaw(vector, among.data(), among.size(), buffer_.data(), distances_.data());
    return static_cast<size_t>(std::min_element(distances_.begin(), distances_.end()) -
                               distances_.begin());
  }

 private:
  const FullCodec& codec_;
  std::vector<std::byte> buffer_;
  std::vector<float> distances_;
};

// Pivots, grouped by region.
class Pivots {
 public:
  Pivots(const FullCodec& codec, const Vectors& sample) {
    for (size_t i = 0; i < kRegions; ++i) regions_.push_back(sample[i * sample.size() / kRegions]);
    std::vector<Vectors> of_region(kRegions);
    Nearest nearest(codec);
    for (const std::byte* pivot : sample) of_region[nearest.Of(pivot, regions_)].push_back(pivot);
    for (const Vectors& some : of_region) {
      begin_.push_back(pivots_.size());
      pivots_.insert(pivots_.end(), some.begin(), some.end());
    }
    begin_.push_back(pivots_.size());
  }

  size_t size() const { return pivots_.size(); }
  // The position of the one nearest to a vector in its region.
  size_t PlaceOf(const std::byte* vector, Nearest& nearest) const {
    const size_t region = nearest.Of(vector, regions_);
    const size_t begin = begin_[region], n = begin_[region + 1] - begin;
    if (n == 0) return std::min(begin, size() - 1);
    return begin + nearest.Of(vector, std::span(pivots_).subspan(begin, n));
  }

 private:
  Vectors regions_;
  Vectors pivots_;
  std::vector<size_t> begin_;  // Of each region's pivots, and the end of all.
};

const std::byte* RowBytesAt(MatrixView rows, size_t row) {
  return static_cast<const std::byte*>(rows[row].data());
}

// Valid rows, evenly spread.
Vectors Sample(const FullCodec& codec, MatrixView rows) {
  const VectorCheck check = codec.check();
  Vectors sample;
  for (size_t i = 0; i < kPivots; ++i)
    if (const size_t row = i * rows.rows() / kPivots; check.Vector(rows[row], "row"))
      sample.push_back(RowBytesAt(rows, row));
  return sample;
}

}  // namespace

std::vector<uint32_t> InsertOrder(const FullCodec& codec, MatrixView rows,
                                  std::span<const uint8_t> known, size_t points,
                                  const BatchOptions& batch) {
  constexpr size_t kGrain = 1024;
  const size_t n = rows.rows();
  const size_t wanted = std::max(kOrderedFrom, n / kUnorderedShare);
  const size_t unordered = wanted - std::min(wanted, points);
  const auto left_out = static_cast<size_t>(
      std::count_if(known.begin(), known.end(), [](uint8_t is_known) { return is_known != 0; }));
  if (n - left_out < unordered + kOrderedFrom || n > std::numeric_limits<uint32_t>::max())
    return {};
  const Vectors sample = Sample(codec, rows);
  if (sample.size() < kRegions) return {};  // Most rows are invalid.
  const Pivots pivots(codec, sample);
  std::vector<uint16_t> places(n - unordered);
  static_assert(kPivots <= std::numeric_limits<uint16_t>::max());
  const auto find_places = [&](size_t begin, size_t end) {
    Nearest nearest(codec);
    for (size_t i = begin; i < end; ++i)
      if (const size_t row = unordered + i; known.empty() || known[row] == 0)
        places[i] = static_cast<uint16_t>(pivots.PlaceOf(RowBytesAt(rows, row), nearest));
  };
  // After a stop nothing will be inserted.
  if (ParallelFor(batch.threads, places.size(), kGrain, {}, find_places, batch.stop) <
      places.size())
    return {};
  std::vector<size_t> next(pivots.size() + 1, 0);  // Where the next row of each place goes.
  for (const uint16_t place : places) ++next[place + size_t{1}];
  std::partial_sum(next.begin(), next.end(), next.begin());
  std::vector<uint32_t> order(n);
  std::iota(order.begin(), order.begin() + static_cast<ptrdiff_t>(unordered), uint32_t{0});
  for (size_t i = 0; i < places.size(); ++i)
    order[unordered + next[places[i]]++] = static_cast<uint32_t>(unordered + i);
  return order;
}

}  // namespace shoal
