// Stress of the slot table: rows that certify themselves under writers, retirers and readers.
//
// Writers acquire a slot, fill its row with words that follow from the slot and a stamp that no
// other use has, and publish it; now and then they drop it instead. Retirers delete a random slot
// and retire it, in one operation or in two. Readers pin and read a window of slots several times
// under one guard. What must hold of every slot that a guard saw:
//   1. Not torn: a readable row's words all belong to one stamp and to this slot.
//   2. Stable: the same stamp every time it is readable, and the external id that belongs to it.
//   3. No resurrection: once it went from readable to unreadable it stays so.
// In the end slots add up: live, deleted, retired and free ones are all there are.
// --threads: readers, and half as many writers and retirers.
#include <array>
#include <string>

#include "stress/stress.h"
#include "support/store_fixture.h"

namespace shoal::testing {
namespace {

constexpr size_t kWords = 16;
constexpr size_t kWindow = 64;
constexpr size_t kMaxLive = 512;
constexpr int kPasses = 4;

class SlotStress {
 public:
  explicit SlotStress(const StressOptions& options)
      : threads_(options.threads), stress_("slot_stress", options) {}

  int Run() {
    for (size_t i = 0; i < threads_; ++i) stress_.Spawn([this](Random& r) { Read(r); });
    for (size_t i = 0; i < (threads_ + 1) / 2; ++i) {
      stress_.Spawn([this](Random& r) { Write(r); });
      stress_.Spawn([this](Random& r) { Retire(r); });
    }
    stress_.Join();
    CheckSlotsAddUp();
    return stress_.Finish({{"reads", reads_},
                           {"published", published_},
                           {"dropped", dropped_},
                           {"retired", retired_},
                           {"transitions under a guard", transitions_},
                           {"reused", published_ + dropped_ - store_.slots.high_water()}});
  }

 private:
  // Rows are plain memory: ThreadSanitizer judges whether tags order them.
  uint64_t* Row(SlotId slot) { return reinterpret_cast<uint64_t*>(store_.features.Row(slot)); }
  static uint64_t Word(SlotId slot, uint64_t stamp, size_t i) {
    return i == 0 ? stamp : Random::Mix(stamp * kWords + i) ^ slot;
  }

  void Write(Random& random) {
    while (stress_.Running()) {
      if (store_.slots.live() >= kMaxLive) {
        std::this_thread::yield();
        continue;
      }
      std::optional<OwnedSlot> slot = store_.slots.Acquire();
      if (!slot) return stress_.Violation("no slot");
      const uint64_t stamp = next_stamp_.fetch_add(1, std::memory_order_relaxed);
      store_.slots.set_external_id(slot->id(), stamp);
      uint64_t* const row = Row(slot->id());
      for (size_t i = 0; i < kWords; ++i) row[i] = Word(slot->id(), stamp, i);
      if (random.OneIn(8)) {
        dropped_.fetch_add(1, std::memory_order_relaxed);
        continue;
      }
      std::move(*slot).Publish();
      published_.fetch_add(1, std::memory_order_relaxed);
    }
  }

  void Retire(Random& random) {
    while (stress_.Running()) {
      const SlotId slots = store_.slots.high_water();
      if (slots == 0) continue;
      const EpochRegistry::Guard guard = store_.epochs.Pin();
      const auto slot = static_cast<SlotId>(random.Below(slots));
      if (random.OneIn(4)) std::this_thread::yield();  // The epoch may move on: guards lag by one.
      store_.slots.MarkDeleted(slot);
      if (random.OneIn(3)) continue;  // For another thread to retire.
      if (random.OneIn(8)) std::this_thread::yield();
      if (store_.slots.Retire(slot, guard)) retired_.fetch_add(1, std::memory_order_relaxed);
      if (random.OneIn(16)) store_.slots.Reclaim();
    }
  }

  void Read(Random& random) {
    struct Seen {
      bool readable = false, gone = false;
      uint64_t stamp = 0;
    };
    while (stress_.Running()) {
      const EpochRegistry::Guard guard = store_.epochs.Pin();
      const SlotTable::ReadStamp since = store_.slots.Now();
      const SlotId slots = since.high_water;
      if (slots == 0) continue;
      const auto first = static_cast<SlotId>(random.Below(slots));
      std::array<Seen, kWindow> window;
      for (int pass = 0; pass < kPasses; ++pass) {
        for (size_t i = 0; i < kWindow && first + i < slots; ++i) {
          const auto slot = static_cast<SlotId>(first + i);
          Seen& seen = window[i];
          if (!MayRead(slot, pass, since)) {
            if (seen.readable && !seen.gone) transitions_.fetch_add(1, std::memory_order_relaxed);
            seen.gone = seen.readable;
            continue;
          }
          stress_.Check(!seen.gone, "a slot was resurrected under a guard");
          CheckRow(slot, seen.readable ? &seen.stamp : nullptr);
          seen.readable = true;
          seen.stamp = Row(slot)[0];
        }
        std::this_thread::yield();
      }
      reads_.fetch_add(kPasses, std::memory_order_relaxed);
    }
  }

  // As searches do, and by the tag alone.
  bool MayRead(SlotId slot, int pass, const SlotTable::ReadStamp& since) const {
    bool eligible;
    return pass % 2 == 0 ? store_.slots.KeepReadable(&slot, 1, since, &eligible) == 1
                         : IsReadable(store_.slots.tag(slot));
  }

  void CheckRow(SlotId slot, const uint64_t* seen_stamp) {
    const uint64_t* const row = Row(slot);
    const uint64_t stamp = row[0];
    if (seen_stamp != nullptr && *seen_stamp != stamp)
      stress_.Violation("slot " + std::to_string(slot) + " was reused under a guard");
    for (size_t i = 1; i < kWords; ++i)
      if (row[i] != Word(slot, stamp, i))
        return stress_.Violation("slot " + std::to_string(slot) + " has a torn row");
    if (store_.slots.external_id(slot) != stamp)
      stress_.Violation("slot " + std::to_string(slot) + " has an external id of another use");
  }

  void CheckSlotsAddUp() {
    size_t live = 0, retired = 0;
    const SlotId slots = store_.slots.high_water();
    for (SlotId slot = 0; slot < slots; ++slot) {
      const Tag tag = store_.slots.tag(slot);
      live += tag == Tag::kLive ? 1 : 0;
      retired += tag == Tag::kRetired ? 1 : 0;
      stress_.Check(tag != Tag::kOwned, "a slot has an owner when all threads have ended");
    }
    stress_.Check(live == store_.slots.live(), "live slots do not add up");
    stress_.Check(retired == store_.slots.retired(), "retired slots do not add up");
  }

  const size_t threads_;
  Stress stress_;
  StoreFixture store_{/*max_degree=*/4, /*row_bytes=*/kWords * sizeof(uint64_t)};
  std::atomic<uint64_t> next_stamp_{1}, reads_{0}, published_{0}, dropped_{0}, retired_{0},
      transitions_{0};
};

}  // namespace
}  // namespace shoal::testing

int main(int argc, char** argv) {
  shoal::testing::StressOptions options;
  if (!shoal::testing::ParseStressOptions(argc, argv, options)) return 2;
  return shoal::testing::SlotStress(options).Run();
}
