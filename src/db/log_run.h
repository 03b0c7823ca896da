// Sorted runs: what a reader of the log needs of it, sorted by slot, so that it reads a part only.
//
// A search that reads a snapshot in place asks of each slot that it expands: is it a point of the
// log, and which points of the log are anchored there, or name it? To answer, a reader would have
// to read the whole log and turn it round. So the commit that makes the changes in no run many
// writes a run of them, and a thread of the writer merges eight runs of about one size to one. A
// reader makes a run of the few that are left in memory.
//
// A run is four arrays, each sorted by slot and cut into blocks. It says nothing that the log does
// not say, and of points all that it says, with their commits (found_blocks.h relies on that): the
// log stays as it is, and opening for writing, passes and Verify read that alone.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "db/blocks.h"
#include "db/commit_log.h"
#include "db/environment.h"

namespace shoal {

// So many changes are in no run at most, but while a commit is written.
inline constexpr uint32_t kLeastInRun = 2048;
// A larger commit has several runs.
inline constexpr uint32_t kMostInRun = 1u << 17;

struct RunPoint {  // A point that was inserted.
  LogPlace place;
  SlotId slot;
  uint32_t unused = 0;
};
struct RunKill {
  SlotId slot;
};
struct RunLink {  // A point that is anchored at a slot, or whose list names it.
  SlotId slot;
  SlotId point;
};

enum class RunArray : uint32_t { kPoints, kKills, kAnchored, kNamed };
inline constexpr size_t kRunArrays = 4;

struct RunArrays {
  std::vector<RunPoint> points;
  std::vector<RunKill> kills;
  std::vector<RunLink> anchored, named;

  void Add(const LoggedPoint& point);
  void AddKill(SlotId slot) { kills.push_back({slot}); }
  uint32_t changes() const { return static_cast<uint32_t>(points.size() + kills.size()); }
  // By slot; of a slot in the order in which they came.
  void Sort();
};

// The values of a run that is sorted, with their keys. Sets record.items.
std::vector<std::pair<Key, Block>> EncodeRun(uint32_t index, const RunArrays& arrays,
                                             RunRecord& record);

// A run, in the file or in memory. One thread at a time.
class LogRun {
 public:
  LogRun(const ReadTxn& txn, uint32_t index, const RunRecord& record);
  // Sorted. `memory` stays where it is when the run is moved.
  explicit LogRun(std::unique_ptr<RunArrays> memory);

  // Calls visit(item) for the items of an array whose slots are in [first, end), ascending. Item:
  // the array's. Corrupt.
  template <class Item, class Visit>
  Status Each(RunArray array, SlotId first, SlotId end, const Visit& visit) {
    Array& in = arrays_[static_cast<size_t>(array)];
    uint32_t low = 0, high = in.size;
    while (low < high) {
      const uint32_t middle = low + (high - low) / 2;
      if (At<Item>(in, middle).slot < first) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    for (SlotId last = first; low < in.size; ++low) {
      const Item item = At<Item>(in, low);
      if (!damage_ || item.slot >= end) break;
      if (item.slot < last) return NotAscending();
      last = item.slot;
      visit(item);
    }
    return damage_;
  }

 private:
  struct Array {
    RunArray name{};
    uint32_t size = 0;
    const std::byte* memory = nullptr;     // Or
    std::vector<const std::byte*> blocks;  // null: not asked for yet.
  };
  template <class Item>
  Item At(Array& array, uint32_t i) {
    Item item{};
    if (array.memory != nullptr) {
      std::memcpy(&item, array.memory + size_t{i} * sizeof(Item), sizeof(Item));
    } else if (const std::byte* const block = BlockOf(array, i, sizeof(Item)); block != nullptr) {
      std::memcpy(&item, block + i % (kBlockBytes / sizeof(Item)) * sizeof(Item), sizeof(Item));
    }
    return item;
  }
  const std::byte* BlockOf(Array& array, uint32_t i, size_t item_bytes);
  Status NotAscending() const;

  friend std::vector<std::pair<Key, Block>> EncodeRun(uint32_t, const RunArrays&, RunRecord&);
  static constexpr size_t kBlockBytes = 4 * 4096 - 16 - sizeof(BlockHeader);

  const ReadTxn* txn_ = nullptr;
  uint32_t index_ = 0;
  uint32_t number_ = 0;
  std::unique_ptr<RunArrays> memory_;
  Array arrays_[kRunArrays];
  Status damage_;
};

// Writes the changes that are in no run: first AddEarlier, then those of the commit under way,
// whose number is record.last_commit. Changes `record`.
class RunWriter {
 public:
  RunWriter(WriteTxn& txn, IndexRecord& record) : txn_(txn), record_(record) {}
  Status AddEarlier(uint64_t last_commit);
  Status Add(const LoggedPoint& point);
  Status AddKill(SlotId slot);
  Status Finish();

 private:
  Status WriteIfFull() { return arrays_.changes() < kMostInRun ? Status() : Write(); }
  Status Write();

  WriteTxn& txn_;
  IndexRecord& record_;
  RunArrays arrays_;
};
// All changes of some runs, sorted. Corrupt.
Result<RunArrays> ReadRuns(const ReadTxn& txn, uint32_t index, std::span<const RunRecord> runs);
// Which runs of an index should be one: at least two, or none.
std::vector<RunRecord> RunsToMerge(const IndexRecord& record);

}  // namespace shoal
