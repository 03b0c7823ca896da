// What the numbers in a block mean: floats, integers, integers under cosine. A mode packs vectors,
// runs the tile kernel, and turns its sums into scores (larger is nearer) with rigorous bounds.
//
// Scores: dot - |row|^2 / 2 under l2 (the query's norm is the same for all rows), dot under inner
// product, dot of unit vectors under cosine. A mode keeps what belongs to the packed queries of a
// group by `slot` (place in the group) and what belongs to the packed rows of a block by `place`.
//
// The error of a float score, with u = 2^-24 and g = (dim + 2) u / (1 - (dim + 2) u): that of a dot
// of dim terms in any order of summation, the bias among them, is at most g (|q| |r| + |bias|), and
// |q| |r| <= (|q|^2 + |r|^2) / 2; so it has a part of the query's alone and one of the row's alone.
// Subtracting the centre rounds each element (2 u of the squared norms), and equality of reported
// distances is equality after rounding to float (another u): together less than
//   (g + 8u) |q|^2 + (g + 8u) |r|^2 =: slack of the query + slack of the row.
#pragma once

#include <vector>

#include "distance/block_dot.h"
#include "exact/candidates.h"
#include "exact/problem.h"

namespace shoal::exact {

// Where a tile's kernel finds and leaves things.
struct TilePlace {
  size_t slot;     // of the panel's first query
  size_t vectors;  // of the panel
  const std::byte* panel;
  size_t place;  // of the tile's first row
  const std::byte* tile;
};

// The kernel's scores and hits of one tile.
template <class Score>
struct TileResult {
  alignas(
      64) Score scores[distance::kMaxTileRows * distance::kMaxPanelVectors * distance::kMaxLanes];
  uint32_t hits[distance::kMaxTileRows];
};

// float32 and float16, every metric.
class FloatMode {
 public:
  using Score = float;
  // slots, places: how many of each at most.
  FloatMode(const Problem& problem, size_t slots, size_t places);

  // Packs query `query` as slot `slot` into consecutive words.
  void PackQuery(size_t query, size_t slot, std::byte* out);
  // Packs row `row` as `place`; chunks lie `stride` bytes apart. False: the row is not finite, or
  // its norm is not legal (base/norm.h).
  bool PackRow(size_t row, size_t place, std::byte* out, size_t stride);
  // Slots behind the last query never hit.
  void ClearSlot(size_t slot);

  // Rows below this bar are out: sets what the kernel compares with.
  void SetBar(size_t slot, Score bar, bool strictly_better);
  // The mask of rows that have hits.
  uint32_t Multiply(const TilePlace& at, TileResult<Score>& result);
  // The tile's tops, tile_rows / kTopRows x width, into result.scores.
  void Tops(const TilePlace& at, TileResult<Score>& result);
  // Of the row behind a tile's top: a score that it has at least.
  Score LeastScore(Score top, size_t slot, size_t place) const;
  // False: below the bar after all.
  bool Bounds(Score score, size_t slot, size_t place, Candidate<Score>& candidate) const {
    if (score < Limit(slot)) return false;
    // The kernel's score is raised by the row's slack already.
    candidate = {score - twice_slack_[place], score, 0};
    // Where float arithmetic gave up, nothing is known.
    if (!std::isfinite(candidate.low)) candidate = {kLowest, -kLowest, 0};
    return true;
  }
  // The least upper bound that is not out.
  Score Limit(size_t slot) const { return limits_.As<float>()[slot]; }
  static constexpr bool kExactScores = false;
  static constexpr Score kLowest = -std::numeric_limits<float>::infinity();

  // The distance that is reported, from the very rows.
  double Distance(size_t slot, const Candidate<Score>& candidate);

 private:
  distance::TileJob<float> Job(const TilePlace& at, TileResult<Score>& result) const;
  const float* RowAsFloats(const std::byte* row, std::vector<float>& scratch) const;
  void CopyAsFloats(const std::byte* row, float* out) const;
  double Slack(double norm) const;
  double UnitSlack(double norm) const;
  bool IsLegal(const std::byte* row, double centred_norm_sq);
  void ClearRow(size_t place, std::byte* out, size_t stride);

  const Problem& problem_;
  double relative_error_;  // g + 8u
  double centre_norm_;
  double absolute_error_;            // of underflow
  AlignedBytes limits_;              // slots x float
  std::vector<double> query_slack_;  // slots
  std::vector<double> query_norm_;   // slots; squared, of the vector itself; cosine only
  std::vector<float> query_floats_;  // slots x dim
  std::vector<float> bias_;          // places
  std::vector<float> twice_slack_;   // places
  std::vector<float> row_floats_;    // dim
};

// int8 and uint8, l2 and inner product: exact throughout, scores are -distance.
class IntMode {
 public:
  using Score = int32_t;
  IntMode(const Problem& problem, size_t slots, size_t places);
  void PackQuery(size_t query, size_t slot, std::byte* out);
  bool PackRow(size_t row, size_t place, std::byte* out, size_t stride);
  void ClearSlot(size_t slot);
  void SetBar(size_t slot, Score bar, bool strictly_better);
  uint32_t Multiply(const TilePlace& at, TileResult<Score>& result);
  void Tops(const TilePlace& at, TileResult<Score>& result);
  Score LeastScore(Score top, size_t slot, size_t place) const;
  bool Bounds(Score sum, size_t slot, size_t place, Candidate<Score>& candidate) const {
    int64_t score = int64_t{sum} + query_[slot].offset;
    if (problem_.metric == Metric::kL2) score = 2 * score - query_[slot].norm - odd_[place];
    candidate = {static_cast<Score>(score), static_cast<Score>(score), 0};
    return score >= bars_[slot];
  }
  Score Limit(size_t slot) const { return bars_[slot]; }
  static constexpr bool kExactScores = true;
  static constexpr Score kLowest = std::numeric_limits<int32_t>::min();
  double Distance(size_t slot, const Candidate<Score>& candidate);

 private:
  distance::TileJob<int32_t> Job(const TilePlace& at, TileResult<Score>& result) const;

  const Problem& problem_;
  AlignedBytes limits_;                     // slots x int32, of the kernel's sums
  std::vector<Score> bars_;                 // slots
  std::vector<distance::PackedInt> query_;  // slots
  std::vector<int32_t> bias_;               // places
  std::vector<uint8_t> odd_;                // places: what halving the norm dropped
};

// int8 and uint8 under cosine: exact dots, scores in float, distances in double.
class ScaledIntMode {
 public:
  using Score = float;
  ScaledIntMode(const Problem& problem, size_t slots, size_t places);
  void PackQuery(size_t query, size_t slot, std::byte* out);
  bool PackRow(size_t row, size_t place, std::byte* out, size_t stride);
  void ClearSlot(size_t slot);
  void SetBar(size_t slot, Score bar, bool strictly_better);
  uint32_t Multiply(const TilePlace& at, TileResult<Score>& result);
  void Tops(const TilePlace& at, TileResult<Score>& result);
  Score LeastScore(Score top, size_t slot, size_t place) const;
  bool Bounds(Score score, size_t slot, size_t /*place*/, Candidate<Score>& candidate) const {
    candidate = {score, score, 0};
    return score >= Limit(slot);
  }
  Score Limit(size_t slot) const { return limits_.As<float>()[slot]; }
  static constexpr bool kExactScores = false;
  static constexpr Score kLowest = -std::numeric_limits<float>::infinity();
  double Distance(size_t slot, const Candidate<Score>& candidate);

 private:
  distance::ScaledTileJob Job(const TilePlace& at, TileResult<Score>& result) const;

  const Problem& problem_;
  AlignedBytes limits_;            // slots x float
  AlignedBytes offsets_;           // slots x int32
  std::vector<size_t> query_;      // slots
  std::vector<float> query_norm_;  // slots
  std::vector<int32_t> bias_;      // places
  std::vector<float> scale_;       // places
};

}  // namespace shoal::exact
