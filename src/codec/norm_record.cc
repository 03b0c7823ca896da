#include "codec/norm_record.h"

#include <algorithm>
#include <cmath>

namespace shoal {

void NormRecord::Note(float norm_sq) {
  RaiseMax(norm_sq);
  if (norm_sq == 0) return;
  const double log_norm = std::log(norm_sq);
  log_norms_.fetch_add(log_norm, std::memory_order_relaxed);
  log_norms_sq_.fetch_add(log_norm * log_norm, std::memory_order_relaxed);
  norms_.fetch_add(1, std::memory_order_relaxed);
}

void NormRecord::RaiseMax(float norm_sq) {
  float max = max_norm_sq_.load(std::memory_order_relaxed);
  while (max < norm_sq &&
         !max_norm_sq_.compare_exchange_weak(max, norm_sq, std::memory_order_relaxed)) {
  }
}

// The three sums may be of different moments: so good is good enough.
bool NormRecord::Vary() const {
  constexpr double kAlike = 0.03;  // Of the logarithm of the square.
  const auto n = static_cast<double>(norms_.load(std::memory_order_relaxed));
  if (n == 0) return false;
  const double mean = log_norms_.load(std::memory_order_relaxed) / n;
  return log_norms_sq_.load(std::memory_order_relaxed) / n - mean * mean > kAlike * kAlike;
}

void BindToSphere(const NormRecord& norms, float norm_sq, Scorer& scorer) {
  scorer.max_norm_sq = norms.max();
  scorer.query_norm_sq = norm_sq;
  scorer.query_factor = std::sqrt(std::max(0.0f, scorer.max_norm_sq - norm_sq));
}

}  // namespace shoal
