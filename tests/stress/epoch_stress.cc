// Stress of the epoch registry alone, without slots.
//
// A few shared pointers lead to notes. Readers pin, follow a pointer and read the note, twice.
// Writers put a fresh note in place of the old one, which they retire under their guard's epoch.
// Collectors advance the epoch, overwrite every note whose grace period is over, and return it to
// the writers. A note certifies itself: its words follow from its stamp. What must hold:
//   1. A reader's note is whole, and the same the second time.
//   2. A note was written at an epoch that is at most one after the reader's.
// Notes are plain memory, so ThreadSanitizer sees a grace period that does not order anything.
// --threads: readers, and half as many writers and collectors.
#include <array>
#include <deque>

#include "store/epoch.h"
#include "stress/stress.h"

namespace shoal::testing {
namespace {

constexpr size_t kPointers = 8;
constexpr size_t kWords = 6;
constexpr uint64_t kMaxRetired = 2000;

struct Note {
  uint64_t stamp = 0;
  uint64_t epoch = 0;  // The current one when it was written.
  std::array<uint64_t, kWords> words{};

  void Write(uint64_t new_stamp, uint64_t new_epoch) {
    stamp = new_stamp;
    epoch = new_epoch;
    for (size_t i = 0; i < kWords; ++i) words[i] = Random::Mix(new_stamp + i);
  }
  bool IsWhole() const {
    for (size_t i = 0; i < kWords; ++i)
      if (words[i] != Random::Mix(stamp + i)) return false;
    return true;
  }
  void Scribble() {
    for (uint64_t& word : words) word = 0xdeadu;
  }
};

class EpochStress {
 public:
  explicit EpochStress(const StressOptions& options)
      : threads_(options.threads), stress_("epoch_stress", options) {}

  int Run() {
    for (auto& pointer : pointers_) {
      Note* const note = TakeNote();
      note->Write(next_stamp_++, epochs_.Current());
      pointer.store(note);
    }
    for (size_t i = 0; i < threads_; ++i) stress_.Spawn([this](Random& r) { Read(r); });
    for (size_t i = 0; i < (threads_ + 1) / 2; ++i) {
      stress_.Spawn([this](Random& r) { Write(r); });
      stress_.Spawn([this](Random&) { Collect(); });
    }
    stress_.Spawn([this](Random& r) { Crowd(r); });
    stress_.Join();
    return stress_.Finish({{"reads", reads_},
                           {"retired", retires_},
                           {"reused", reused_},
                           {"epochs", epochs_.Current() - 1},
                           {"crowds", crowds_}});
  }

 private:
  struct Retired {
    Note* note;
    uint64_t epoch;
  };

  void Read(Random& random) {
    while (stress_.Running()) {
      const EpochRegistry::Guard guard = epochs_.Pin();
      const Note* const note = pointers_[random.Below(kPointers)].load(std::memory_order_acquire);
      const uint64_t stamp = note->stamp;
      stress_.Check(note->IsWhole(), "a reader's note is torn");
      stress_.Check(note->epoch <= guard.epoch() + 1, "a note is of an epoch after the next");
      if (random.OneIn(32)) std::this_thread::yield();
      stress_.Check(note->IsWhole() && note->stamp == stamp, "a note changed under its reader");
      reads_.fetch_add(1, std::memory_order_relaxed);
    }
  }

  void Write(Random& random) {
    while (stress_.Running()) {
      if (retires_ - reused_ > kMaxRetired) {  // Wait for the collectors.
        std::this_thread::yield();
        continue;
      }
      const EpochRegistry::Guard guard = epochs_.Pin();
      Note* const note = TakeNote();
      note->Write(next_stamp_.fetch_add(kWords, std::memory_order_relaxed), epochs_.Current());
      if (random.OneIn(32)) std::this_thread::yield();
      Note* const old =
          pointers_[random.Below(kPointers)].exchange(note, std::memory_order_acq_rel);
      const std::lock_guard lock(mutex_);
      retired_.push_back({old, guard.epoch()});
      retires_.fetch_add(1, std::memory_order_relaxed);
    }
  }

  void Collect() {
    while (stress_.Running()) {
      if (!epochs_.TryAdvance()) std::this_thread::yield();
      const std::lock_guard lock(mutex_);
      const uint64_t now = epochs_.Current();
      while (!retired_.empty() && retired_.front().epoch + EpochRegistry::kGracePeriod <= now) {
        Note* const note = retired_.front().note;
        retired_.pop_front();
        note->Scribble();
        free_.push_back(note);
        reused_.fetch_add(1, std::memory_order_relaxed);
      }
    }
  }

  // More readers at once than a block has cells.
  static constexpr size_t kStay = 4;
  void Crowd(Random& random) {
    while (stress_.Running()) {
      std::deque<EpochRegistry::Guard> guards;
      std::vector<std::pair<const Note*, uint64_t>> seen;
      for (int i = 0; i < 80; ++i) {
        guards.push_back(epochs_.Pin());
        const Note* note = pointers_[random.Below(kPointers)].load(std::memory_order_acquire);
        seen.push_back({note, note->stamp});
      }
      // The last ones, in cells of a later block, have only their own cells to protect them.
      while (guards.size() > kStay) guards.pop_front();
      for (int i = 0; i < 20; ++i) std::this_thread::yield();
      for (size_t i = seen.size() - kStay; i < seen.size(); ++i)
        stress_.Check(seen[i].first->IsWhole() && seen[i].first->stamp == seen[i].second,
                      "a note changed in the crowd");
      crowds_.fetch_add(1, std::memory_order_relaxed);
      guards.clear();
      for (int i = 0; i < 20; ++i) std::this_thread::yield();
    }
  }

  Note* TakeNote() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) {
      notes_.emplace_back();
      return &notes_.back();
    }
    Note* const note = free_.front();
    free_.pop_front();
    return note;
  }

  const size_t threads_;
  Stress stress_;
  EpochRegistry epochs_;
  std::array<std::atomic<Note*>, kPointers> pointers_{};
  std::atomic<uint64_t> next_stamp_{1}, reads_{0}, retires_{0}, reused_{0}, crowds_{0};
  std::mutex mutex_;
  // Guarded by mutex_.
  std::deque<Note> notes_;
  std::deque<Note*> free_;
  std::deque<Retired> retired_;
};

}  // namespace
}  // namespace shoal::testing

int main(int argc, char** argv) {
  shoal::testing::StressOptions options;
  if (!shoal::testing::ParseStressOptions(argc, argv, options)) return 2;
  return shoal::testing::EpochStress(options).Run();
}
