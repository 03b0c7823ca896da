#include "calibrator.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <system_error>

#include "base/hooks.h"
#include "base/mismatch.h"
#include "search_calls.h"

namespace shoal {
namespace {

constexpr size_t kQueries = 256;        // That are kept;
constexpr size_t kEnoughQueries = 100;  // so many make a sample.
constexpr uint64_t kEvery = 16;         // Once they are there, every so manieth search renews one.

}  // namespace

Status CheckCalibration(size_t k, double target) {
  if (k == 0) return Mismatch(ErrorCode::kInvalidArgument, "k", "at least 1", "0");
  if (target > 0 && target <= 1) return {};
  return Mismatch(ErrorCode::kInvalidArgument, "target_recall", "above 0, at most 1",
                  std::to_string(target));
}

Calibrator::~Calibrator() {
  stop_.request_stop();
  wake_.fetch_add(1);
  wake_.notify_all();
  std::thread thread;
  {
    const MutexLock lock(mutex_);
    thread.swap(thread_);
  }
  if (thread.joinable()) thread.join();
}

Calibrator::Pair* Calibrator::Look(size_t k, double target) const {
  const size_t count = count_.load(std::memory_order_acquire);  // Pairs with CALIBRATE.1.
  for (size_t i = 0; i < count; ++i)
    if (pairs_[i]->k == k && pairs_[i]->target == target) return pairs_[i].get();
  return nullptr;
}

Calibrator::Pair* Calibrator::Make(size_t k, double target) {
  if (Pair* const there = Look(k, target); there != nullptr) return there;
  const size_t count = count_.load(std::memory_order_relaxed);
  if (count == kMostPairs) return nullptr;
  pairs_[count] = std::make_unique<Pair>();
  pairs_[count]->k = k;
  pairs_[count]->target = target;
  count_.store(count + 1, std::memory_order_release);  // CALIBRATE.1: the pair before the count.
  return pairs_[count].get();
}

void Calibrator::Apply(double target, SearchPlan& plan) const {
  const Pair* const pair = Look(plan.k, target);
  if (pair == nullptr) return;
  const Setting setting = pair->setting.load(std::memory_order_relaxed);
  if (setting.list_size == 0) return;
  plan.list_size = setting.list_size;
  plan.rerank = setting.rerank;
  if (setting.margin != kNoMargin)
    plan.stop_margin = static_cast<float>(setting.margin) * kMarginStep;
}

void Calibrator::ApplyAndRenew(double target, VectorView query, SearchPlan& plan) {
  Apply(target, plan);
  const uint64_t before = searches_.fetch_add(1, std::memory_order_relaxed);
  if (before < kQueries || before % kEvery == 0) Note(query);
  const Pair* const pair = Look(plan.k, target);
  if (pair == nullptr || (!pair->asked.load(std::memory_order_relaxed) && IsStale(*pair)))
    Ask(plan.k, target);
}

// A quarter of the points have come or gone, or there are queries at last.
bool Calibrator::IsStale(const Pair& pair) const {
  constexpr uint64_t kShare = 4, kFew = 64;
  const uint64_t points = pair.points.load(std::memory_order_relaxed);
  const uint64_t many = points / kShare + kFew;
  return subject_.arrivals() - pair.arrivals.load(std::memory_order_relaxed) > many ||
         subject_.points() + many < points ||
         (pair.from_points.load(std::memory_order_relaxed) &&
          noted_.load(std::memory_order_relaxed) == kQueries);
}

void Calibrator::Note(VectorView query) {
  if (!mutex_.TryLock()) return;
  try {
    if (queries_.empty()) queries_.resize(kQueries * query.bytes());
    std::memcpy(queries_.data() + next_query_ % kQueries * query.bytes(), query.data(),
                query.bytes());
    ++next_query_;
    noted_.store(std::min(next_query_, kQueries), std::memory_order_relaxed);
  } catch (const std::bad_alloc&) {
    // A later search notes its query.
  }
  mutex_.Unlock();
}

void Calibrator::Ask(size_t k, double target) {
  if (count_.load(std::memory_order_relaxed) == kMostPairs && Look(k, target) == nullptr) return;
  if (!mutex_.TryLock()) return;
  try {
    if (!thread_.joinable()) thread_ = std::thread([this] { RunInBackground(); });
    if (Pair* const pair = Make(k, target); pair != nullptr) pair->asked.store(true);
  } catch (const std::bad_alloc&) {
    // A later search asks.
  } catch (const std::system_error&) {
    // Likewise: the system refuses a thread.
  }
  mutex_.Unlock();
  wake_.fetch_add(1);
  wake_.notify_one();
}

void Calibrator::RunInBackground() {
  while (!stop_.stop_requested()) {
    const int32_t seen = wake_.load();
    bool worked = false;
    const size_t count = count_.load(std::memory_order_acquire);  // Pairs with CALIBRATE.1.
    for (size_t i = 0; i < count && !stop_.stop_requested(); ++i) {
      Pair& pair = *pairs_[i];
      if (!pair.asked.load()) continue;
      SHOAL_SYNC_POINT("calibrate.background");
      // After an error, too, it is tried again only when the points have changed.
      static_cast<void>(Run(pair.k, pair.target, {.threads = 1, .stop = stop_.get_token()}));
      pair.asked.store(false);
      worked = true;
    }
    if (!worked && !stop_.stop_requested()) wake_.wait(seen);
  }
}

Result<Calibration> Calibrator::Calibrate(size_t k, double target, const BatchOptions& batch) {
  if (Status valid = CheckCalibration(k, target); !valid) return tl::unexpected(valid.error());
  return Run(k, target, batch);
}

Result<Calibration> Calibrator::Run(size_t k, double target, const BatchOptions& batch) {
  const uint64_t arrivals = subject_.arrivals();
  const uint64_t points = subject_.points();
  try {
    Result<Calibration> found = RunOnSample(k, target, batch);
    const MutexLock lock(mutex_);
    Pair* const pair = found ? Make(k, target) : Look(k, target);
    if (pair == nullptr) return found;
    pair->arrivals.store(arrivals, std::memory_order_relaxed);
    pair->points.store(points, std::memory_order_relaxed);
    pair->from_points.store(found && !found->from_searches, std::memory_order_relaxed);
    if (found) Keep(*found, *pair);
    return found;
  } catch (const std::bad_alloc&) {
    return NoMemory("calibrate");
  }
}

Result<Calibration> Calibrator::RunOnSample(size_t k, double target, const BatchOptions& batch) {
  // Progress: half for the truth, in points; half for trials, of which there are some 30.
  constexpr size_t kTrials = 40;
  std::vector<std::byte> queries = Queries();
  const bool from_searches = !queries.empty();
  BatchOptions truth = batch;
  if (batch.progress)
    truth.progress = [&](size_t done, size_t total) { batch.progress(done, 2 * total); };
  const Result<CalibrationSample> sample =
      CalibrationSample::Make(subject_, k, std::move(queries), truth);
  if (!sample) return tl::unexpected(sample.error());
  const size_t points = sample->points();
  size_t trials = 0;
  const auto measure = [&](const SearchPlan& plan) -> Result<Trial> {
    Result<Trial> trial = sample->Measure(plan, batch);
    trials = std::min(trials + 1, kTrials);
    if (batch.progress) batch.progress(points + (points - 1) * trials / kTrials, 2 * points);
    return trial;
  };
  Calibration found{.k = k, .target = target, .recall = 1};
  if (sample->queries() == 0) {  // There is nothing to measure, and nothing to miss.
    found.search_list_size = std::max(k, SearchOptions{}.search_list_size);
  } else {
    Result<Calibration> fitted = FitCalibration(
        {.k = k, .target = target, .points = points, .reranks = subject_.reranks()}, measure);
    if (!fitted) return fitted;
    found = *fitted;
  }
  found.queries = sample->queries();
  found.from_searches = from_searches;
  found.points = points;
  if (batch.progress) batch.progress(2 * points, 2 * points);
  return found;
}

void Calibrator::Keep(const Calibration& found, Pair& pair) {
  pair.last = found;
  const float steps = std::round(found.stop_margin / kMarginStep);
  pair.setting.store({.list_size = static_cast<uint32_t>(found.search_list_size),
                      .rerank = static_cast<uint16_t>(std::min<size_t>(found.rerank, UINT16_MAX)),
                      .margin = steps < kNoMargin ? static_cast<uint16_t>(steps) : kNoMargin},
                     std::memory_order_relaxed);
}

std::optional<Calibration> Calibrator::Find(size_t k, double target) const {
  const MutexLock lock(mutex_);
  const Pair* const pair = Look(k, target);
  return pair == nullptr ? std::nullopt : pair->last;
}

// Those that were noted, if they are enough.
std::vector<std::byte> Calibrator::Queries() const {
  const MutexLock lock(mutex_);
  const size_t noted = std::min(next_query_, kQueries);
  if (noted < kEnoughQueries) return {};
  const size_t bytes = queries_.size() / kQueries * noted;
  return {queries_.begin(), queries_.begin() + static_cast<ptrdiff_t>(bytes)};
}

}  // namespace shoal
