// A pass: the lists as they are now become the next generation on disk, the log is cut, and slots
// of dead points that no list names any more are free. See docs/database.md, "Pass".
#include <algorithm>
#include <cstring>
#include <new>

#include "database_impl.h"

namespace shoal {
namespace {

constexpr size_t kBytesPerTxn = size_t{2} << 20;  // So that commits get their turn.
constexpr size_t kBlocksPerDelete = 8192;

}  // namespace

class DatabaseImpl::Passer {
 public:
  Passer(DatabaseImpl& database, StoredIndexImpl& index) : database_(database), index_(index) {}
  Passer(const Passer&) = delete;
  ~Passer() {
    if (!flipped_) index_.ledger.PutBack(released_);
  }

  Status Run() {
    if (!Begin()) return {};
    Status ok = RemoveOlder(generation_, generation_);
    if (ok) ok = CopyLists();
    if (ok) ok = WriteStates();
    if (ok) ok = Walk();
    if (ok) ok = Flip();
    if (!ok) return ok;
    index_.engine.slots().Release(released_);
    return RemoveOlder(0, generation_ - 1);
  }

 private:
  // Under the commit lock: else a change between the bits and the last commit would be lost with
  // the log.
  bool Begin() {
    const CommitLockHolder lock(database_.commit_lock_);
    const IndexRecord& record = index_.record;
    std::vector<SlotId> free;
    released_ = index_.ledger.CutReleasable(free);
    index_.engine.slots().Release(free);
    if (record.start == kNoSlot || (record.first_commit > record.last_commit && released_.empty()))
      return false;
    bits_ = index_.ledger.Copy();
    bits_.resize(std::max<size_t>(bits_.size(), record.slots));
    for (const SlotId slot : released_) bits_[slot] = 0;
    last_ = record.last_commit;
    slots_ = record.slots;
    start_ = record.start;
    generation_ = record.generation + 1;
    index_.changes = 0;
    return true;
  }
  bool IsPresent(SlotId slot) const {
    return slot == start_ || (bits_[slot] & SlotLedger::kOnDisk) != 0;
  }
  bool IsLive(SlotId slot) const {
    return (bits_[slot] & (SlotLedger::kOnDisk | SlotLedger::kDead)) == SlotLedger::kOnDisk;
  }
  uint32_t Number() const { return index_.number; }

  // Of the generation under way, in transactions of their own.
  Status Put(GraphPart part, uint32_t number, Block block) {
    bytes_ += block.size();
    blocks_.emplace_back(GraphKey(Number(), generation_, part, number), std::move(block));
    return bytes_ < kBytesPerTxn ? Status() : Write();
  }
  Status Write() {
    Result<WriteTxn> txn = database_.environment_->Write();
    if (!txn) return tl::unexpected(txn.error());
    for (const auto& [key, block] : blocks_)
      if (Status ok = txn->Put(Table::kGraph, key, block); !ok) return ok;
    blocks_.clear();
    bytes_ = 0;
    return std::move(*txn).Commit();
  }

  Status CopyLists() {
    const BlockGeometry& geometry = index_.geometry;
    for (uint32_t b = 0; size_t{b} * geometry.lists_per_block < slots_; ++b) {
      const SlotId first = b * geometry.lists_per_block;
      const SlotId end = std::min(first + geometry.lists_per_block, slots_);
      Block block(geometry.list_block_bytes, std::byte{0xff});
      uint32_t count = 0;
      const auto guard = index_.engine.epochs().Pin();
      for (SlotId slot = first; slot < end; ++slot) {
        if (!IsPresent(slot)) continue;
        CopyList(slot, block);
        ++count;
      }
      if (count == 0) continue;
      SealBlock(block, {.kind = BlockKind::kLists,
                        .index = Number(),
                        .number = b,
                        .generation = generation_,
                        .count = count});
      if (Status ok = Put(GraphPart::kLists, b, std::move(block)); !ok) return ok;
    }
    return {};
  }
  // Words whose slots are on disk by now: also such as have come since the beginning.
  void CopyList(SlotId slot, Block& block) {
    SlotId list[kMaxDegree];
    const size_t n =
        index_.ledger.KeepOnDisk(list, index_.engine.lists().CopyAtomically(slot, list));
    const ExternalId id = slot == start_ ? 0 : index_.engine.slots().external_id(slot);
    std::memcpy(block.data() + index_.geometry.IdOffset(slot), &id, sizeof(id));
    std::memcpy(block.data() + index_.geometry.ListOffset(slot), list, n * sizeof(SlotId));
  }

  Status WriteStates() {
    constexpr size_t kBits = kStatesPerBlock / 8;
    for (uint32_t b = 0; size_t{b} * kStatesPerBlock < slots_; ++b) {
      Block block(sizeof(BlockHeader) + 2 * kBits);
      const SlotId first = b * kStatesPerBlock;
      for (SlotId slot = first; slot < std::min(first + kStatesPerBlock, slots_); ++slot) {
        const size_t at = sizeof(BlockHeader) + (slot - first) / 8;
        const std::byte bit{static_cast<unsigned char>(1u << (slot - first) % 8)};
        if (IsLive(slot)) block[at] |= bit;
        if (IsPresent(slot)) block[at + kBits] |= bit;
      }
      SealBlock(
          block,
          {.kind = BlockKind::kStates, .index = Number(), .number = b, .generation = generation_});
      if (Status ok = Put(GraphPart::kStates, b, std::move(block)); !ok) return ok;
    }
    return Write();
  }

  // From the start over the lists as they were written. Each live point that is not reached is
  // anchored at one that is: near, of its own list, else the start. Later commits anchor at points
  // that are live now, so all of theirs are reached, too.
  Status Walk() {
    const Result<ReadTxn> txn = database_.environment_->Read();
    if (!txn) return tl::unexpected(txn.error());
    std::vector<const std::byte*> blocks(slots_ / index_.geometry.lists_per_block + 1);
    std::vector<bool> reached(slots_);
    std::vector<SlotId> queue;
    SlotId list[kMaxDegree];
    Status ok;
    const auto read = [&](SlotId slot) -> size_t {
      const std::byte*& block = blocks[slot / index_.geometry.lists_per_block];
      if (block == nullptr) {
        const auto value =
            txn->Get(Table::kGraph, GraphKey(Number(), generation_, GraphPart::kLists,
                                             slot / index_.geometry.lists_per_block));
        if (!value || value->size() != index_.geometry.list_block_bytes) {
          ok = value ? MakeError(ErrorCode::kCorrupt, "pass: a block of lists is not there")
                     : Status(tl::unexpected(value.error()));
          return 0;
        }
        block = value->data();
      }
      std::memcpy(list, block + index_.geometry.ListOffset(slot),
                  index_.geometry.max_degree * sizeof(SlotId));
      return static_cast<size_t>(std::find(list, list + index_.geometry.max_degree, kNoSlot) -
                                 list);
    };
    size_t next = 0;
    const auto reach = [&](SlotId slot) {
      reached[slot] = true;
      queue.push_back(slot);
    };
    // A word of a later commit's point is on disk, but not of this generation.
    const auto walk = [&] {
      for (; next < queue.size() && ok; ++next) {
        const size_t n = read(queue[next]);
        for (size_t i = 0; i < n; ++i)
          if (list[i] < slots_ && IsPresent(list[i]) && !reached[list[i]]) reach(list[i]);
      }
    };
    reach(start_);
    walk();
    for (SlotId point = 0; point < slots_ && ok; ++point) {
      if (!IsLive(point) || reached[point]) continue;
      const size_t n = read(point);
      const SlotId* const near =
          std::find_if(list, list + n, [&](SlotId slot) { return slot < slots_ && reached[slot]; });
      const auto usable = [&](SlotId slot) { return reached[slot]; };
      const SlotId anchor = tree_.Choose(near == list + n ? start_ : *near, point, usable);
      tree_.Add(anchor, point);
      anchors_.push_back({anchor, point});
      reach(point);
      walk();
    }
    return ok;
  }

  std::vector<DiskSeedSet> Seeds() {
    std::vector<DiskSeedSet> sets;
    for (EntryPoints::Saved& set : index_.engine.graph().entries().Save())
      sets.push_back({std::move(set.slots), set.radius});
    return sets;
  }

  Status Flip() {
    const Block seeds = EncodeSeeds(Number(), generation_, Seeds());
    const Block anchors = EncodeAnchors(Number(), generation_, anchors_);
    const CommitLockHolder lock(database_.commit_lock_);
    IndexRecord record = index_.record;
    const uint64_t first = record.first_commit;
    record.generation = generation_;
    record.generation_slots = slots_;
    record.first_commit = last_ + 1;
    record.dead -= released_.size();
    Result<WriteTxn> txn = database_.environment_->Write();
    if (!txn) return tl::unexpected(txn.error());
    Status ok =
        txn->Put(Table::kGraph, GraphKey(Number(), generation_, GraphPart::kAnchors, 0), anchors);
    if (ok)
      ok = txn->Put(Table::kGraph, GraphKey(Number(), generation_, GraphPart::kSeeds, 0), seeds);
    if (ok) {
      const auto cut = txn->DeleteRange(Table::kLog, LogKey(Number(), first, 0),
                                        LogKey(Number(), last_, UINT32_MAX), SIZE_MAX);
      if (!cut) ok = tl::unexpected(cut.error());
    }
    if (ok) ok = txn->Put(Table::kMeta, IndexKey(Number()), EncodeIndexRecord(record));
    if (ok) ok = std::move(*txn).Commit();
    if (!ok) return ok;
    index_.record = std::move(record);
    flipped_ = true;
    for (const SlotId slot : released_)
      index_.ledger.Set(slot, 0, SlotLedger::kOnDisk | SlotLedger::kDead);
    std::erase_if(index_.logged_anchors,
                  [&](const StoredIndexImpl::LoggedAnchor& a) { return a.commit <= last_; });
    for (const StoredIndexImpl::LoggedAnchor& a : index_.logged_anchors)
      tree_.Add(a.anchor.anchor, a.anchor.point);
    index_.anchors = std::move(tree_);
    return {};
  }

  // Generations [first, last].
  Status RemoveOlder(uint32_t first, uint32_t last) {
    for (;;) {
      Result<WriteTxn> txn = database_.environment_->Write();
      if (!txn) return tl::unexpected(txn.error());
      const Result<size_t> deleted = txn->DeleteRange(
          Table::kGraph, GraphKey(Number(), first, GraphPart::kLists, 0),
          GraphKey(Number(), last, GraphPart::kSeeds, UINT32_MAX), kBlocksPerDelete);
      if (!deleted) return tl::unexpected(deleted.error());
      if (*deleted == 0) return {};
      if (Status ok = std::move(*txn).Commit(); !ok) return ok;
    }
  }

  DatabaseImpl& database_;
  StoredIndexImpl& index_;
  std::vector<uint8_t> bits_;  // As of the beginning, without the released slots.
  std::vector<SlotId> released_;
  bool flipped_ = false;
  uint64_t last_ = 0;  // The last commit of then.
  SlotId slots_ = 0;
  SlotId start_ = kNoSlot;
  uint32_t generation_ = 0;
  std::vector<std::pair<Key, Block>> blocks_;
  size_t bytes_ = 0;
  AnchorTree tree_;
  std::vector<DiskAnchor> anchors_;
};

Status DatabaseImpl::Pass(StoredIndexImpl& index) {
  if (Status ok = MayWait(); !ok) return ok;
  const std::lock_guard lock(pass_mutex_);
  try {
    environment_->ClearDeadReaders();
    // So that deleted points are retired, those that were dead when the index was opened, too.
    Status ok = index.engine.Consolidate({.threads = 1});
    if (ok) ok = Passer(*this, index).Run();
    if (ok) passes_.fetch_add(1, std::memory_order_relaxed);
    return ok;
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorCode::kOutOfMemory, "database: no memory for a pass");
  }
}

}  // namespace shoal
