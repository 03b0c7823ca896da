#include "database_generation.h"

#include <algorithm>
#include <cstring>

#include "base/mismatch.h"

namespace shoal {
namespace {

// What is reached over the lists of a generation that has been written.
class Walker {
 public:
  Walker(const ReadTxn& txn, const StoredIndexImpl& index, const GenerationSlots& of,
         LongWork& work)
      : work_(work),
        txn_(txn),
        index_(index),
        of_(of),
        blocks_(of.slots / index.geometry.lists_per_block + 1),
        reached_(of.slots) {}

  bool IsReached(SlotId slot) const { return slot < of_.slots && reached_[slot]; }
  // The slot, and what its list leads to. A word may name a later commit's point, which is on disk
  // and not of this generation.
  Status Reach(SlotId from) {
    Add(from);
    for (; next_ < queue_.size(); ++next_) {
      if (Status ok = work_.Did(); !ok) return ok;
      const Result<std::span<const SlotId>> list = List(queue_[next_]);
      if (!list) return tl::unexpected(list.error());
      for (const SlotId word : *list)
        if (of_.IsPresent(word) && !reached_[word]) Add(word);
    }
    return {};
  }
  // Of a slot that is present: as written. It stands until the next call.
  Result<std::span<const SlotId>> List(SlotId slot) {
    const BlockGeometry& geometry = index_.geometry;
    const uint32_t b = slot / geometry.lists_per_block;
    if (blocks_[b] == nullptr) {
      const auto value =
          txn_.Get(Table::kGraph, GraphKey(index_.number, of_.generation, GraphPart::kLists, b));
      if (!value) return tl::unexpected(value.error());
      if (value->size() != geometry.list_block_bytes)
        return MakeError(
            ErrorCode::kCorrupt,
            txn_.environment().path().string() + ": " +
                NameOfBlock({.kind = BlockKind::kLists, .index = index_.number, .number = b}) +
                ": not there when it was read back");
      blocks_[b] = value->data();
    }
    std::memcpy(list_, blocks_[b] + geometry.ListOffset(slot),
                geometry.max_degree * sizeof(SlotId));
    return std::span<const SlotId>(list_, std::find(list_, list_ + geometry.max_degree, kNoSlot));
  }

 private:
  void Add(SlotId slot) {
    reached_[slot] = true;
    queue_.push_back(slot);
  }

  LongWork& work_;
  const ReadTxn& txn_;
  const StoredIndexImpl& index_;
  const GenerationSlots& of_;
  std::vector<const std::byte*> blocks_;
  std::vector<bool> reached_;
  std::vector<SlotId> queue_;
  size_t next_ = 0;
  SlotId list_[kMaxDegree] = {};
};

}  // namespace

Status GenerationWriter::WriteLists(const KeepWords& keep) {
  const BlockGeometry& geometry = index_.geometry;
  for (uint32_t b = 0; size_t{b} * geometry.lists_per_block < of_.slots; ++b) {
    const SlotId first = b * geometry.lists_per_block;
    const SlotId end = std::min(first + geometry.lists_per_block, of_.slots);
    Block block(geometry.list_block_bytes, std::byte{0xff});
    const uint32_t count = CopyLists(first, end, keep, block);
    if (count == 0) continue;
    SealBlock(block, {.kind = BlockKind::kLists,
                      .index = index_.number,
                      .number = b,
                      .generation = of_.generation,
                      .count = count});
    if (Status ok = PutBlock(GraphPart::kLists, b, std::move(block)); !ok) return ok;
  }
  return {};
}

uint32_t GenerationWriter::CopyLists(SlotId first, SlotId end, const KeepWords& keep,
                                     Block& block) const {
  const auto guard = index_.engine.epochs().Pin();
  uint32_t count = 0;
  for (SlotId slot = first; slot < end; ++slot) {
    if (!of_.IsPresent(slot)) continue;
    CopyList(slot, keep, block);
    ++count;
  }
  return count;
}

void GenerationWriter::CopyList(SlotId slot, const KeepWords& keep, Block& block) const {
  SlotId list[kMaxDegree];
  const size_t n = keep(list, index_.engine.lists().CopyAtomically(slot, list));
  const ExternalId id = slot == of_.start ? 0 : index_.engine.slots().external_id(slot);
  std::memcpy(block.data() + index_.geometry.IdOffset(slot), &id, sizeof(id));
  std::memcpy(block.data() + index_.geometry.ListOffset(slot), list, n * sizeof(SlotId));
}

Status GenerationWriter::WriteStates() {
  constexpr size_t kBits = kStatesPerBlock / 8;
  for (uint32_t b = 0; size_t{b} * kStatesPerBlock < of_.slots; ++b) {
    Block block(sizeof(BlockHeader) + 2 * kBits);
    const SlotId first = b * kStatesPerBlock;
    for (SlotId slot = first; slot < std::min(first + kStatesPerBlock, of_.slots); ++slot) {
      const size_t at = sizeof(BlockHeader) + (slot - first) / 8;
      const std::byte bit{static_cast<unsigned char>(1u << (slot - first) % 8)};
      if (of_.IsLive(slot)) block[at] |= bit;
      if (of_.IsPresent(slot)) block[at + kBits] |= bit;
    }
    SealBlock(block, {.kind = BlockKind::kStates,
                      .index = index_.number,
                      .number = b,
                      .generation = of_.generation});
    if (Status ok = PutBlock(GraphPart::kStates, b, std::move(block)); !ok) return ok;
  }
  return {};
}

Status GenerationWriter::Walk(const ReadTxn& txn, LongWork& work) {
  Walker walker(txn, index_, of_, work);
  if (Status ok = walker.Reach(of_.start); !ok) return ok;
  for (SlotId point = 0; point < of_.slots; ++point) {
    if (!of_.IsLive(point) || walker.IsReached(point)) continue;
    const auto list = walker.List(point);
    if (!list) return tl::unexpected(list.error());
    const auto usable = [&](SlotId slot) { return walker.IsReached(slot); };
    const auto near = std::find_if(list->begin(), list->end(), usable);
    const SlotId anchor = tree_.Choose(near == list->end() ? of_.start : *near, point, usable);
    tree_.Add(anchor, point);
    anchors_.push_back({anchor, point});
    if (Status ok = walker.Reach(point); !ok) return ok;
  }
  return {};
}

Status GenerationWriter::WriteAnchorsAndSeeds() {
  Status ok =
      PutBlock(GraphPart::kAnchors, 0, EncodeAnchors(index_.number, of_.generation, anchors_));
  if (!ok) return ok;
  std::vector<DiskSeedSet> seeds;
  for (EntryPoints::Saved& set : index_.engine.graph().entries().Save())
    seeds.push_back({std::move(set.slots), set.radius});
  return PutBlock(GraphPart::kSeeds, 0, EncodeSeeds(index_.number, of_.generation, seeds));
}

}  // namespace shoal
