// RQ: a random rotation, then a few bits an element on a grid that is symmetric about 0. Nothing is
// trained. (RaBitQ: Gao and Long, SIGMOD 2024; of several bits: Gao et al., SIGMOD 2025. Ours has a
// fixed step instead of a search for the best one. docs/codes.md has figures.)
//
// Of a vector x and its set's centre c, which is best near the mean of all vectors, B bits,
// M = 2^B - 1, and the rotation T:
//   l2:            y = T(x - c)
//   cosine:        the same of x / (|x| sqrt 2), as these have the distances 1 - cos
//   inner product: y = T(x - t c'), c' = c / |c|, t = <x, c'>: what is along c is kept as it is
//   u_i = floor(y_i / step) + 2^(B-1), clamped to 0..M; step: the best one for normal numbers
//   g = u - M/2, f = |y|^2 / <g, y>, n = |y|^2
// <z, y> is estimated as f <z, g> for a query z that is prepared likewise, without rounding. That
// is right for z along y, and so right on average over rotations. The query is rounded to 8 bits:
// z ~ s v, <z, g> ~ s (<v, u> - (M/2) sum v). What vectors have in common is in no estimate.
//
// Row: f; n; t (inner product); the code (code_kernels.h). All floats. A row of less than a cache
// line is padded with zeros to a power of two, so that it lies in one line.
//
// Data move, and a centre that was their mean is so no longer. So up to two *sets* of parameters
// are alive, which differ in the centre. The sign of n says which one a row has. A binding knows
// the sets that are alive then. To its scorer a row of any other set is infinitely far; an index
// writes rows of a set when all bindings know it (index_centre.cc). The start point has f = n =
// t = 0, at the centre (inner product: at the origin), whatever the set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "codec/centres.h"
#include "codec/codec.h"
#include "codec/norm_record.h"
#include "codec/rotation.h"
#include "shoal/result.h"
#include "shoal/types.h"

namespace shoal {

class RqCodec final : public Codec {
 public:
  struct Shape {
    Metric metric;  // kL2, kInnerProduct or kCosine.
    size_t dim;
    size_t bits;  // 1 to 4.
  };
  // Of vectors of any type. `seed`: of the rotation.
  RqCodec(const Shape& shape, uint64_t seed);

  void Encode(VectorView vector, std::byte* row) override;
  bool Accept(const std::byte* row) override;
  void EncodeOrigin(std::byte* row) const override;
  // The nearest vector along the code. Cosine: of the direction only, of about unit length.
  void Decode(const std::byte* row, MutableVectorView out) const override;
  // Estimates: of l2 and cosine they may be below 0.
  Scorer BindQuery(VectorView query, std::byte* buffer) const override;
  // Estimates, not below 0: of rows whose codes are equal, 0.
  Scorer BindRow(const std::byte* row, std::byte* buffer) const override;
  // l2 and cosine: the same.
  Scorer BindRowAsQuery(const std::byte* row, std::byte* buffer) const override;
  float RangeMargin(VectorView query, float radius) const override;
  bool TellsApart(const std::byte* row, float distance) const override;

  // The seed, and the sets that are alive.
  std::vector<std::byte> Parameters() const override;
  // Takes the parameters of a codec of the same shape: scores of its rows and new rows are the same
  // to the last bit. Before the first other call. Corrupt: they are not such a codec's.
  Status Restore(std::span<const std::byte> parameters);
  // Whether these are of a version whose rows had a centre under l2 alone, under another metric.
  static bool IsOfOlderVersion(Metric metric, std::span<const std::byte> parameters);

  float max_norm_sq() const override { return norms_.max(); }
  void RaiseMaxNormSq(float norm_sq) override { norms_.RaiseMax(norm_sq); }
  bool NormsVary() const override { return norms_.Vary(); }

  RqCodec* AsCentred() override { return this; }

  // --- Sets. One thread at a time, beside any that encode and bind.

  // The mean of `rows`, as PlaceOf has them; there is one. They are of the codec's dimension.
  std::vector<float> MeanOf(MatrixView rows) const;
  // A second set, with this centre (`dim` elements): bindings from now on know it. Returns its
  // number. The number of a set that was dropped is used again: when this is called, no row of
  // that set may be readable, and no thread may be in a call that began before DropCentre.
  // InvalidArgument: dimension, or a norm above 1e18. AlreadyExists: two sets are alive.
  Result<uint32_t> AnnounceCentre(std::span<const float> centre);
  // Rows are encoded with this set, which is alive, from now on.
  void UseCentre(uint32_t set) { centres_.Use(set); }
  // Both at once.
  Result<uint32_t> AddCentre(std::span<const float> centre);
  // Bindings from now on do not know the set. It is not the one that rows are encoded with.
  void DropCentre(uint32_t set) { centres_.Drop(set); }
  // Of a row that was encoded.
  uint32_t SetOf(const std::byte* row) const;
  // The set that rows are encoded with.
  uint32_t current_set() const { return centres_.state().current; }
  bool IsAlive(uint32_t set) const { return centres_.state().has(set); }
  // Of a set that is alive.
  std::span<const float> CentreOf(uint32_t set) const { return {centres_.centre(set), shape_.dim}; }

 private:
  struct Binding;  // What a scorer's query points to.
  struct Buffer;   // The parts of a buffer.
  struct ByDistance;
  struct ByProduct;
  struct BySphere;
  struct FromTo {
    uint32_t from, to;
  };

  bool has_along() const { return shape_.metric == Metric::kInnerProduct; }
  size_t offset() const { return (has_along() ? 3 : 2) * sizeof(float); }
  static size_t BufferBytes(const Shape& shape, size_t run);
  Buffer PartsOf(std::byte* buffer) const;

  // y, rotation_.size() floats. Returns t; 0 where rows have none.
  float Prepare(VectorView vector, uint32_t set, float* y) const;
  void SetEstimate(float factor, float scale, double sum, Binding& binding) const;
  void BindRounded(const float* z, uint32_t set, float factor, int8_t* v, Binding& binding) const;
  template <class Estimate>
  Scorer MakeScorer(const Binding& binding) const;
  void BindElements(const std::byte* row, float factor, const Buffer& parts) const;
  void BindForeign(const std::byte* row, const FromTo& sets, float factor,
                   const Buffer& parts) const;
  void BindSets(const std::byte* row, float factor, const Buffer& parts) const;

  template <class Estimate>
  static void ScoreRows(const Scorer& s, const std::byte* const* rows, size_t n, float* out);
  template <class Estimate>
  static void ScoreForeign(const Scorer& s, const std::byte* const* rows, size_t n, float* out);

  const Shape shape_;
  uint64_t seed_;  // Both change only in Restore.
  Rotation rotation_;
  const size_t run_;
  const distance::CodeFn kernel_;
  NormRecord norms_;
  Centres centres_;
};

}  // namespace shoal
