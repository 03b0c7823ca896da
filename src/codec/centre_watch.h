// Where the mean of what an index encodes is, beside the centre that its code has.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "shoal/types.h"

namespace shoal {

// The mean of about the last n vectors, n the points of the index: in an index whose points come
// and go that is about the mean of those that are there. Older ones count exponentially less. Any
// thread.
class CentreWatch {
 public:
  // Vectors before a first verdict; as many are looked at one by one, then every 16th.
  static constexpr uint64_t kBegin = 1024;

  // About the origin. `dim`: of the vectors. Means and centres are of vectors as PlaceOf has them.
  CentreWatch(Metric metric, size_t dim)
      : metric_(metric), centre_(dim), mean_(dim), floats_(dim) {}

  // A vector was encoded; the index has `points`. True: it was looked at, and HasMoved is worth a
  // call.
  bool Note(VectorView vector, size_t points);
  // A sample of `rows` vectors that are about to be encoded.
  void NoteMany(MatrixView sample, size_t rows, size_t points);
  // Whether the mean is farther from the centre than a third of the rms distance of the vectors:
  // then |y|^2, which the error of an estimate grows with, is 9/8 of what it could be. (Inner
  // product: from the line through the centre, about.)
  bool HasMoved() const;
  std::vector<float> Mean() const;
  // The code has this centre now.
  void SetCentre(std::span<const float> centre);

 private:
  // `count`: of the vectors that this one stands for.
  void Add(VectorView vector, double count, double points) SHOAL_REQUIRES(mutex_);
  // How far what a row is encoded from would be from 0.
  template <class T>
  double AwaySq(const std::vector<T>& vector) const SHOAL_REQUIRES(mutex_);

  const Metric metric_;
  std::atomic<uint64_t> calls_{0};  // Of Note.
  mutable Mutex mutex_;
  std::vector<float> centre_ SHOAL_GUARDED_BY(mutex_);
  std::vector<double> mean_ SHOAL_GUARDED_BY(mutex_);
  std::vector<float> floats_ SHOAL_GUARDED_BY(mutex_);
  double spread_ SHOAL_GUARDED_BY(mutex_) = 0;        // The mean of AwaySq,
  double spread_count_ SHOAL_GUARDED_BY(mutex_) = 0;  // of so many vectors.
  double count_ SHOAL_GUARDED_BY(mutex_) = 0;         // Vectors so far.
};

}  // namespace shoal
