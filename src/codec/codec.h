// Seam 2 of the hop: what the bytes of a row mean.
//
// A codec encodes vectors as rows, decodes them and binds a query, or a stored row, to a Scorer.
// The virtual call is the binding, once a query or a row; a scorer is a small value that calls a
// kernel. What a vector must be to be encoded is checked apart (vector_check.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "distance/kernels.h"
#include "shoal/types.h"

namespace shoal {

class RqCodec;

// A query bound to a codec. Cheap to make and to copy; refers to the query's bytes and to the
// buffer that it was bound with. Used by one thread.
struct Scorer {
  using Fn = void (*)(const Scorer&, const std::byte* const* rows, size_t n, float* out);

  // out[i]: the distance of rows[i], i < n.
  void Score(const std::byte* const* rows, size_t n, float* out) const {
    score(*this, rows, n, out);
  }

  // What a codec fills in; its function uses what it needs.
  Fn score = nullptr;
  distance::BatchFn kernel = nullptr;
  const void* query = nullptr;
  size_t dim = 0;
  size_t suffix = 0;       // Where in a row its factors begin.
  float query_factor = 0;  // Of the query.
  float query_norm_sq = 0;
  float max_norm_sq = 0;
};

class Codec {
 public:
  virtual ~Codec() = default;

  size_t row_bytes() const { return row_bytes_; }
  // Bytes of working memory that a binding takes, beyond the bytes bound.
  size_t buffer_bytes() const { return buffer_bytes_; }

  // Writes a vector that VectorCheck has let pass as a row.
  virtual void Encode(VectorView vector, std::byte* row) = 0;
  // A row from a file, which a codec with the same parameters has written: learns of it what Encode
  // learns of a vector. False: Encode writes no such row.
  virtual bool Accept(const std::byte* row) = 0;
  // What rows mean beside the vectors: a codec made with these reads and writes the same ones.
  virtual std::vector<std::byte> Parameters() const { return {}; }
  // Writes the row of a start point, which is no point's vector: the origin (under cosine its
  // distance from everything is 1), or a centre of the rows.
  virtual void EncodeOrigin(std::byte* row) const = 0;

  // Writes the vector of a row, as far as the row has it, in the scalar type of the vectors.
  virtual void Decode(const std::byte* row, MutableVectorView out) const = 0;

  // Scores in the metric. The vector and `buffer` (buffer_bytes()) must outlive the scorer.
  virtual Scorer BindQuery(VectorView query, std::byte* buffer) const = 0;
  // Scores in the graph's geometry, from a stored row.
  virtual Scorer BindRow(const std::byte* row, std::byte* buffer) const = 0;
  // Inner product: scores in the metric, as if the stored row were a query.
  virtual Scorer BindRowAsQuery(const std::byte* row, std::byte* buffer) const = 0;

  // The codec itself, if its rows are relative to a centre, which is best near the vectors' mean.
  virtual RqCodec* AsCentred() { return nullptr; }

  // By how much a score that is estimated may exceed `radius` where the true distance does not: so
  // many standard errors. 0: nothing is estimated, or the error is not known.
  static constexpr float kMarginErrors = 2.5f;
  virtual float RangeMargin(VectorView /*query*/, float /*radius*/) const { return 0; }

  // Whether points about this far from a stored row, in the graph's geometry, are told apart: as
  // many standard errors are less than the distance. True: the error is not known.
  virtual bool TellsApart(const std::byte* /*row*/, float /*distance*/) const { return true; }

  // --- Inner product: what a codec learns of the norms of what it encodes.

  // The largest squared norm that was ever encoded; else 0.
  virtual float max_norm_sq() const { return 0; }
  virtual void RaiseMaxNormSq(float) {}
  // Whether norms differ by so much (a standard deviation of 1.5 %) that the largest products and
  // the shortest distances are not the same rows'.
  virtual bool NormsVary() const { return false; }

 protected:
  struct Shape {
    size_t row_bytes, buffer_bytes;
  };
  explicit Codec(const Shape& shape)
      : row_bytes_(shape.row_bytes), buffer_bytes_(shape.buffer_bytes) {}

 private:
  const size_t row_bytes_;
  const size_t buffer_bytes_;
};

}  // namespace shoal
