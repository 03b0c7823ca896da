// Settings that reach a recall, found in the background while searches go on.
//
// A search that asks for a target looks its setting up: without a lock. It also notes its query
// now and then, and asks for a calibration where there is none, or the points have changed; where
// another thread holds the lock for that, a later search does it. One thread calibrates; it is
// started by the first search that asks.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "calibration_sample.h"
#include "shoal/calibration.h"

namespace shoal {

// 0 < target <= 1, and k >= 1. InvalidArgument.
Status CheckCalibration(size_t k, double target);

class Calibrator {
 public:
  // Pairs of k and target that one index keeps. Others are never calibrated in the background.
  static constexpr size_t kMostPairs = 16;

  explicit Calibrator(const CalibrationSubject& subject) : subject_(subject) {}
  ~Calibrator();
  Calibrator(const Calibrator&) = delete;
  Calibrator& operator=(const Calibrator&) = delete;

  // Gives the plan of a search the setting for its k and the target, if there is one.
  void Apply(double target, SearchPlan& plan) const;
  // Likewise, and sees that there will be one that fits the points. `query`: of the subject's type
  // and dimension.
  void ApplyAndRenew(double target, VectorView query, SearchPlan& plan);

  // Calibrates now, on the caller's threads.
  Result<Calibration> Calibrate(size_t k, double target, const BatchOptions& batch);
  // The last calibration for the pair; nullopt: none yet.
  std::optional<Calibration> Find(size_t k, double target) const;

 private:
  // What a search needs of a calibration: read at once.
  struct Setting {
    uint32_t list_size = 0;  // 0: none yet.
    uint16_t rerank = 0;
    uint16_t margin = 0;  // In steps of kMarginStep; kNoMargin: none.
  };
  static constexpr uint16_t kNoMargin = 0xffff;
  static constexpr float kMarginStep = 1.0f / 1024;

  struct Pair {
    // Constant once the pair is there.
    size_t k = 0;
    double target = 0;
    // Own synchronisation. Relaxed: each is of use by itself.
    std::atomic<Setting> setting{Setting{}};
    std::atomic<bool> asked{false};        // The background has it to do.
    std::atomic<uint64_t> points{0};       // Live points when it was last tried,
    std::atomic<uint64_t> arrivals{0};     // what had arrived by then,
    std::atomic<bool> from_points{false};  // and whether points were the queries.
    // Guarded by mutex_.
    std::optional<Calibration> last;
  };

  Pair* Look(size_t k, double target) const;
  // The pair, made if there is room; else null.
  Pair* Make(size_t k, double target) SHOAL_REQUIRES(mutex_);
  bool IsStale(const Pair& pair) const;
  void Note(VectorView query);
  void Ask(size_t k, double target);
  void RunInBackground();
  Result<Calibration> Run(size_t k, double target, const BatchOptions& batch);
  Result<Calibration> RunOnSample(size_t k, double target, const BatchOptions& batch);
  void Keep(const Calibration& found, Pair& pair) SHOAL_REQUIRES(mutex_);
  std::vector<std::byte> Queries() const;

  const CalibrationSubject& subject_;

  // Own synchronisation.
  std::stop_source stop_;
  std::atomic<int32_t> wake_{0};       // Changes when the background has something to do.
  std::atomic<uint64_t> searches_{0};  // That asked for a target.
  std::atomic<size_t> noted_{0};       // Queries in `queries_`.
  // pairs_[0, count_) are there. CALIBRATE.1: the pair before the count; pairs with Look.
  std::atomic<size_t> count_{0};
  std::unique_ptr<Pair> pairs_[kMostPairs];

  mutable Mutex mutex_;
  std::vector<std::byte> queries_ SHOAL_GUARDED_BY(mutex_);  // A ring.
  size_t next_query_ SHOAL_GUARDED_BY(mutex_) = 0;
  std::thread thread_ SHOAL_GUARDED_BY(mutex_);
};

}  // namespace shoal
