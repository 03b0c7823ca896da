#include "codec/centre_watch.h"

#include <algorithm>

#include "codec/elements.h"

namespace shoal {
namespace {

constexpr uint64_t kEvery = 16;

template <class A, class B>
double DistanceSq(const std::vector<A>& a, const std::vector<B>& b) {
  return SumInOrder(a.size(), [&](size_t i) {
    const double apart = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    return apart * apart;
  });
}

}  // namespace

bool CentreWatch::Note(VectorView vector, size_t points) {
  const uint64_t call = calls_.fetch_add(1, std::memory_order_relaxed);  // A count; orders nothing.
  const bool begins = call < kBegin;
  if (!begins && call % kEvery != 0) return false;
  const MutexLock lock(mutex_);
  Add(vector, begins ? 1 : kEvery, static_cast<double>(points));
  return true;
}

void CentreWatch::NoteMany(MatrixView sample, size_t rows, size_t points) {
  const MutexLock lock(mutex_);
  const double each = static_cast<double>(rows) / static_cast<double>(sample.rows());
  for (size_t i = 0; i < sample.rows(); ++i) Add(sample[i], each, static_cast<double>(points));
}

template <class T>
double CentreWatch::AwaySq(const std::vector<T>& vector) const {
  if (metric_ != Metric::kInnerProduct) return DistanceSq(vector, centre_);
  double norm_sq = 0, product = 0, centre_sq = 0;
  for (size_t i = 0; i < vector.size(); ++i) {
    const auto x = static_cast<double>(vector[i]), c = static_cast<double>(centre_[i]);
    norm_sq += x * x;
    product += x * c;
    centre_sq += c * c;
  }
  return centre_sq == 0 ? norm_sq : std::max(0.0, norm_sq - product * product / centre_sq);
}

void CentreWatch::Add(VectorView vector, double count, double points) {
  count_ += count;
  spread_count_ += count;
  // Half of the points: exponential weights have the mean age then that equal ones of all have.
  const double most = std::max(points, static_cast<double>(kBegin)) / 2;
  const double weight = std::min(1.0, count / std::min(count_, most));
  PlaceOf(vector, metric_, floats_.data());
  for (size_t i = 0; i < mean_.size(); ++i)
    mean_[i] += weight * (static_cast<double>(floats_[i]) - mean_[i]);
  spread_ += std::min(1.0, count / std::min(spread_count_, most)) * (AwaySq(floats_) - spread_);
}

bool CentreWatch::HasMoved() const {
  const MutexLock lock(mutex_);
  return spread_count_ >= static_cast<double>(kBegin) && 9 * AwaySq(mean_) > spread_;
}

std::vector<float> CentreWatch::Mean() const {
  const MutexLock lock(mutex_);
  return {mean_.begin(), mean_.end()};
}

// E|x - c|^2 = E|x - m|^2 + |m - c|^2. About a line there is no such sum: it is counted anew.
void CentreWatch::SetCentre(std::span<const float> centre) {
  const MutexLock lock(mutex_);
  spread_ -= AwaySq(mean_);
  std::copy(centre.begin(), centre.end(), centre_.begin());
  spread_ = std::max(0.0, spread_ + AwaySq(mean_));
  if (metric_ == Metric::kInnerProduct) spread_ = spread_count_ = 0;
}

}  // namespace shoal
