#include "jobs/store_stress.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "jobs/random.h"
#include "store/epoch.h"
#include "store/feature_store.h"
#include "store/slot_table.h"

namespace shoal::bench {
namespace {

constexpr size_t kWindow = 64;
constexpr int kPasses = 4;
// How often a thread adds its counts to those of all.
constexpr uint64_t kFlushEvery = 2048;

class StoreStress {
 public:
  explicit StoreStress(const StoreStressOptions& options)
      : options_(options),
        lanes_(options.entry_bytes / sizeof(uint64_t)),
        features_(options.entry_bytes),
        slots_(budget_, epochs_, {&features_.column()}) {
    // Small segments, so that readers cross them.
    const auto width = static_cast<unsigned>(std::bit_width(options.capacity + options.writers));
    SHOAL_CHECK(slots_.Init(std::max(13u, width) - 3));
    // The start point: slot 0, a row of zeros, readable for ever.
    std::optional<OwnedSlot> start = slots_.Acquire();
    SHOAL_CHECK(start.has_value());
    slots_.set_external_id(start->id(), 0);
    std::fill_n(Row(start->id()), lanes_, 0);
    std::move(*start).Freeze();
  }

  StoreStressCounts Run(const std::function<void(const StoreStressCounts&)>& progress) {
    std::vector<std::thread> threads;
    for (uint64_t i = 0; i < options_.writers; ++i) threads.emplace_back([this] { Write(); });
    for (uint64_t i = 0; i < options_.retirers; ++i)
      threads.emplace_back([this, i] { Retire(Random(options_.seed ^ (0x20000000u + i))); });
    for (uint64_t i = 0; i < options_.readers; ++i)
      threads.emplace_back([this, i] { Read(Random(options_.seed ^ (0x40000000u + i))); });
    Wait(progress);
    for (std::thread& thread : threads) thread.join();
    StoreStressCounts counts = Now();
    counts.unaccounted = Unaccounted(counts);
    return counts;
  }

 private:
  using Clock = std::chrono::steady_clock;

  // One thread's counts since it last told.
  struct Local {
    StoreStressCounts counts;
    uint64_t ops = 0;
  };

  uint64_t* Row(SlotId slot) { return reinterpret_cast<uint64_t*>(features_.Row(slot)); }
  bool Running() const { return !stop_.load(std::memory_order_relaxed); }
  void Stop() {
    const std::lock_guard lock(mutex_);
    stop_.store(true, std::memory_order_relaxed);
    stopped_.notify_all();
  }

  // Until the time, the operations or the first violation are over.
  void Wait(const std::function<void(const StoreStressCounts&)>& progress) {
    constexpr auto kEvery = std::chrono::seconds(10);
    const auto end = begin_ + std::chrono::seconds(options_.duration_secs);
    for (auto next = begin_ + kEvery;; next += kEvery) {
      const auto until = options_.duration_secs == 0 ? next : std::min(next, end);
      std::unique_lock lock(mutex_);
      if (stopped_.wait_until(lock, until, [&] { return !Running(); })) return;
      lock.unlock();
      if (until == end && options_.duration_secs != 0) return Stop();
      progress(Now());
    }
  }

  StoreStressCounts Now() {
    const std::lock_guard lock(counts_mutex_);
    StoreStressCounts counts = counts_;
    counts.elapsed_secs = std::chrono::duration<double>(Clock::now() - begin_).count();
    counts.peak_live = peak_live_.load(std::memory_order_relaxed);
    counts.epochs = epochs_.Current() - 1;
    return counts;
  }

  void Flush(Local& local) {
    const auto [more, ops] = std::exchange(local, {});
    std::unique_lock lock(counts_mutex_);
    counts_.reads += more.reads;
    counts_.acquires_ok += more.acquires_ok;
    counts_.acquires_fail += more.acquires_fail;
    counts_.retires_ok += more.retires_ok;
    counts_.retires_fail += more.retires_fail;
    counts_.reclaims += more.reclaims;
    counts_.transitions += more.transitions;
    counts_.violations += more.violations;
    ops_ += ops;
    const bool enough = options_.max_ops != 0 && ops_ >= options_.max_ops;
    lock.unlock();
    if (enough || more.violations.total() > 0) Stop();
  }
  uint64_t Batch() const {
    return options_.max_ops == 0 ? kFlushEvery : std::min(kFlushEvery, options_.max_ops);
  }
  void Op(Local& local) {
    if (++local.ops >= Batch()) Flush(local);
  }

  // At least once, however short the run is, as readers do.
  void Write() {
    Local local;
    do {
      std::optional<OwnedSlot> slot = slots_.Acquire();
      if (slot && slot->id() <= options_.capacity) {
        Publish(std::move(*slot));
        ++local.counts.acquires_ok;
        RaisePeak(slots_.live());
      } else {
        slot.reset();
        ++local.counts.acquires_fail;
        std::this_thread::yield();
      }
      Op(local);
    } while (Running());
    Flush(local);
  }

  void Publish(OwnedSlot slot) {
    const SlotId id = slot.id();
    const uint64_t stamp = next_stamp_.fetch_add(1, std::memory_order_relaxed);
    slots_.set_external_id(id, stamp);
    uint64_t* const row = Row(id);
    std::fill_n(row, lanes_, stamp);
    if (options_.sabotage != StoreStressOptions::Sabotage::kNone && stamp % 64 == 0) [[unlikely]] {
      if (options_.sabotage == StoreStressOptions::Sabotage::kTearRows)
        row[lanes_ - 1] = stamp + 1;
      else
        slots_.set_external_id(id, stamp + 1);
    }
    std::move(slot).Publish();
  }

  void RaisePeak(uint64_t live) {
    uint64_t peak = peak_live_.load(std::memory_order_relaxed);
    while (peak < live &&
           !peak_live_.compare_exchange_weak(peak, live, std::memory_order_relaxed)) {
    }
  }

  void Retire(Random random) {
    Local local;
    for (uint64_t i = 1; Running(); ++i) {
      if (slots_.live() > options_.low_watermark) {
        RetireOne(random, local);
        Op(local);
      }
      if (i % 16 != 0) continue;
      local.counts.reclaims += slots_.Reclaim();
      std::this_thread::yield();
    }
    Flush(local);
  }

  // Slot 0 is the start point, which stays.
  void RetireOne(Random& random, Local& local) {
    const SlotId most = slots_.high_water();
    if (most < 2) return;
    const auto slot = static_cast<SlotId>(1 + random.Below(most - 1));
    const EpochRegistry::Guard guard = epochs_.Pin();
    const bool deleted = slots_.MarkDeleted(slot);
    if (deleted && random.OneIn(8)) return;  // Left deleted for a later retirement.
    ++(slots_.Retire(slot, guard) ? local.counts.retires_ok : local.counts.retires_fail);
  }

  // At least once, however short the run is.
  void Read(Random random) {
    Local local;
    do {
      WindowChecker checker(kWindow);
      do {
        ReadWindow(random, checker);
        ++local.ops;
      } while (Running() && local.ops < Batch() && checker.violations().total() == 0);
      local.counts.reads = checker.reads();
      local.counts.transitions = checker.transitions();
      local.counts.violations = checker.violations();
      Flush(local);
    } while (Running());
  }

  void ReadWindow(Random& random, WindowChecker& checker) {
    const EpochRegistry::Guard guard = epochs_.Pin();
    checker.NewGuard();
    const SlotId most = slots_.high_water();
    const auto first = static_cast<SlotId>(random.Below(most));
    const size_t n = std::min<size_t>(kWindow, most - first);
    for (int pass = 0; pass < kPasses; ++pass) {
      // On few cores most of what can go wrong needs others to run while we are pinned.
      if (random.OneIn(8)) std::this_thread::yield();
      for (size_t i = 0; i < n; ++i) {
        const auto slot = static_cast<SlotId>(first + i);
        if (!IsReadable(slots_.tag(slot))) {  // READ.1
          checker.Unreadable(i);
        } else if (!checker.Readable(i, {Row(slot), lanes_}, slots_.external_id(slot))) {
          return;
        }
      }
    }
  }

  // At rest: what was acquired and not retired is live or deleted.
  uint64_t Unaccounted(const StoreStressCounts& counts) {
    uint64_t live = 0, deleted = 0, others = 0, retired = 0;
    for (SlotId slot = 1; slot < slots_.high_water(); ++slot) {
      switch (slots_.tag(slot)) {
        case Tag::kLive: ++live; break;
        case Tag::kDeleted: ++deleted; break;
        case Tag::kRetired: ++retired; break;
        case Tag::kAvailable: break;
        default: ++others;
      }
    }
    const auto apart = [](uint64_t a, uint64_t b) { return a < b ? b - a : a - b; };
    return others + apart(live, slots_.live()) + apart(retired, slots_.retired()) +
           apart(live + deleted, counts.acquires_ok - counts.retires_ok);
  }

  const StoreStressOptions options_;
  const size_t lanes_;
  const Clock::time_point begin_ = Clock::now();

  MemoryBudget budget_{0};
  EpochRegistry epochs_;
  RamFeatureStore features_;
  SlotTable slots_;
  std::atomic<uint64_t> next_stamp_{1}, peak_live_{0};

  std::atomic<bool> stop_{false};  // Set under mutex_, for threads that wait.
  std::mutex mutex_;
  std::condition_variable stopped_;

  std::mutex counts_mutex_;  // Guards what follows.
  StoreStressCounts counts_;
  uint64_t ops_ = 0;
};

}  // namespace

StoreStressCounts RunStoreStress(const StoreStressOptions& options,
                                 const std::function<void(const StoreStressCounts&)>& progress) {
  return StoreStress(options).Run(progress);
}

}  // namespace shoal::bench
