// Writes a generation: lists, ids and states of all slots, and the anchors that make every live
// point reachable over these lists. docs/database.md, "Pass".
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "database_impl.h"

namespace shoal {

// Which slots a generation has.
struct GenerationSlots {
  uint32_t generation = 0;
  SlotId slots = 0;  // None is at or above it.
  SlotId start = kNoSlot;
  std::vector<uint8_t> bits;  // SlotLedger's, of each slot.

  bool IsPresent(SlotId slot) const {
    return slot == start || (slot < slots && (bits[slot] & SlotLedger::kOnDisk) != 0);
  }
  bool IsLive(SlotId slot) const {
    return (bits[slot] & (SlotLedger::kOnDisk | SlotLedger::kDead)) == SlotLedger::kOnDisk;
  }
};

// Its functions are called in this order. They may throw bad_alloc.
class GenerationWriter {
 public:
  using Put = std::function<Status(const Key& key, Block block)>;  // Into the table of the graph.
  // Keeps of words [0, n) those that a list may have; returns how many.
  using KeepWords = std::function<size_t(SlotId* words, size_t n)>;

  GenerationWriter(const StoredIndexImpl& index, GenerationSlots of, Put put)
      : index_(index), of_(std::move(of)), put_(std::move(put)) {}

  // Of each slot its list, as it is when its turn comes.
  Status WriteLists(const KeepWords& keep);
  Status WriteStates();
  // From the start over the lists as they were written. Each live point that is not reached is
  // anchored at one that is: near, of its own list, else the start.
  // A step of `work` for each slot. Cancelled.
  Status Walk(const ReadTxn& txn, LongWork& work);
  Status WriteAnchorsAndSeeds();

  const GenerationSlots& of() const { return of_; }
  AnchorTree TakeTree() && { return std::move(tree_); }

 private:
  Status PutBlock(GraphPart part, uint32_t number, Block block) const {
    return put_(GraphKey(index_.number, of_.generation, part, number), std::move(block));
  }
  // Those of a block that are present; returns how many. Under a guard of its own.
  uint32_t CopyLists(SlotId first, SlotId end, const KeepWords& keep, Block& block) const;
  void CopyList(SlotId slot, const KeepWords& keep, Block& block) const;

  const StoredIndexImpl& index_;
  const GenerationSlots of_;
  const Put put_;
  AnchorTree tree_;
  std::vector<DiskAnchor> anchors_;
};

}  // namespace shoal
