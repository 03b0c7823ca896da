// Inner product: what a codec learns of the norms of what it encodes, and the sphere that it puts
// the rows of a graph on (full_codec.h). Any thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>

#include "codec/codec.h"

namespace shoal {

class NormRecord {
 public:
  // Of an encoded vector.
  void Note(float norm_sq);
  void RaiseMax(float norm_sq);
  // The largest of both; 0 before.
  float max() const { return max_norm_sq_.load(std::memory_order_relaxed); }
  // See Codec::NormsVary.
  bool Vary() const;

 private:
  // M^2, only grows; and of the logarithms of all squared norms but 0.
  std::atomic<float> max_norm_sq_{0};
  std::atomic<double> log_norms_{0}, log_norms_sq_{0};
  std::atomic<uint64_t> norms_{0};
};

// What OnSphere needs of a query that is a row of this norm. max_norm_sq: M^2; query_factor:
// sqrt(M^2 - |q|^2).
void BindToSphere(const NormRecord& norms, float norm_sq, Scorer& scorer);

// The distance on the sphere of a row of this norm: |a - b|^2, and this, the square of the
// difference of the coordinates beyond. As a quotient: M^2 may be so much larger than either norm
// that nothing would be left of them beside it.
inline float BeyondSphere(const Scorer& s, float norm_sq) {
  const float rest = std::sqrt(std::max(0.0f, s.max_norm_sq - norm_sq)) + s.query_factor;
  const float beyond = rest > 0 ? (norm_sq - s.query_norm_sq) / rest : 0.0f;
  return beyond * beyond;
}
// The whole, by the inner product with the query.
inline float OnSphere(const Scorer& s, float norm_sq, float product) {
  const float inside = s.query_norm_sq + norm_sq - 2.0f * product;
  return std::max(0.0f, inside) + BeyondSphere(s, norm_sq);
}

}  // namespace shoal
