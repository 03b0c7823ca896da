// A pass: the lists as they are now become the next generation on disk, the log is cut, and slots
// of dead points that no list names any more are free. See docs/database.md, "Pass".
#include <algorithm>
#include <cstring>
#include <new>

#include "base/mismatch.h"
#include "database_impl.h"

namespace shoal {
namespace {

constexpr size_t kBytesPerTxn = size_t{2} << 20;  // So that commits get their turn.
constexpr size_t kBlocksPerDelete = 8192;

// Writes blocks that no record names yet, in transactions of their own.
class BlockWriter {
 public:
  explicit BlockWriter(Environment& environment) : environment_(environment) {}
  Status Put(Table table, const Key& key, Block block) {
    bytes_ += block.size();
    blocks_.push_back({table, key, std::move(block)});
    return bytes_ < kBytesPerTxn ? Status() : Write();
  }
  Status Write() {
    Result<WriteTxn> txn = environment_.Write();
    if (!txn) return tl::unexpected(txn.error());
    for (const Placed& placed : blocks_)
      if (Status ok = txn->Put(placed.table, placed.key, placed.block); !ok) return ok;
    blocks_.clear();
    bytes_ = 0;
    return std::move(*txn).Commit();
  }

 private:
  struct Placed {
    Table table;
    Key key;
    Block block;
  };
  Environment& environment_;
  std::vector<Placed> blocks_;
  size_t bytes_ = 0;
};

// Deletes the keys in [first, last], likewise.
Status DeleteKeys(Environment& environment, Table table, const Key& first, const Key& last) {
  for (;;) {
    Result<WriteTxn> txn = environment.Write();
    if (!txn) return tl::unexpected(txn.error());
    const Result<size_t> deleted = txn->DeleteRange(table, first, last, kBlocksPerDelete);
    if (!deleted) return tl::unexpected(deleted.error());
    if (*deleted == 0) return {};
    if (Status ok = std::move(*txn).Commit(); !ok) return ok;
  }
}
Status DeleteRuns(Environment& environment, uint32_t index, uint32_t first, uint32_t last) {
  return DeleteKeys(environment, Table::kRuns, RunKey(index, first, 0, 0),
                    RunKey(index, last, UINT32_MAX, UINT32_MAX));
}

}  // namespace

class DatabaseImpl::Passer {
 public:
  Passer(DatabaseImpl& database, StoredIndexImpl& index)
      : database_(database), index_(index), writer_(*database.environment_) {}
  Passer(const Passer&) = delete;
  ~Passer() {
    if (!flipped_) index_.ledger.PutBack(released_);
  }

  Status Run(PassOver over) {
    bool any = false;
    Status ok = Begin(over, any);
    if (!ok || !any) return ok;
    ok = RemoveOlder(generation_, generation_);
    if (ok) ok = CopyLists();
    if (ok) ok = WriteStates();
    if (ok) ok = Walk();
    if (ok) ok = Flip();
    if (!ok) return ok;
    index_.engine.slots().Release(released_);
    ok = RemoveOlder(0, generation_ - 1);
    if (ok && runs_ > 0) ok = DeleteRuns(*database_.environment_, Number(), 0, runs_ - 1);
    return ok;
  }

 private:
  // Under the commit lock: else a change between the bits and the last commit would be lost with
  // the log.
  Status Begin(PassOver over, bool& any) {
    const CommitLockHolder lock(database_.commit_lock_);
    const IndexRecord& record = index_.record;
    std::vector<SlotId> free;
    released_ = index_.ledger.CutReleasable(free);
    index_.engine.slots().Release(free);
    const bool changed = record.first_commit <= record.last_commit || !released_.empty();
    if (record.start == kNoSlot || (over == PassOver::kChanges && !changed)) return {};
    any = true;
    if (Status ok = EndRun(); !ok) return ok;
    bits_ = index_.ledger.Copy();
    bits_.resize(std::max<size_t>(bits_.size(), record.slots));
    for (const SlotId slot : released_) bits_[slot] = 0;
    last_ = record.last_commit;
    slots_ = record.slots;
    start_ = record.start;
    generation_ = record.generation + 1;
    runs_ = record.next_run;
    index_.changes = 0;
    return {};
  }
  // So that no run has changes of both sides of the last commit.
  Status EndRun() {
    if (index_.record.changes_in_no_run == 0) return {};
    IndexRecord record = index_.record;
    Result<WriteTxn> txn = database_.environment_->Write();
    if (!txn) return tl::unexpected(txn.error());
    RunWriter runs(*txn, record);
    Status ok = runs.AddEarlier(record.last_commit);
    if (ok) ok = runs.Finish();
    if (ok) ok = txn->Put(Table::kMeta, IndexKey(Number()), EncodeIndexRecord(record));
    if (ok) ok = std::move(*txn).Commit();
    if (ok) index_.record = std::move(record);
    return ok;
  }
  bool IsPresent(SlotId slot) const {
    return slot == start_ || (bits_[slot] & SlotLedger::kOnDisk) != 0;
  }
  bool IsLive(SlotId slot) const {
    return (bits_[slot] & (SlotLedger::kOnDisk | SlotLedger::kDead)) == SlotLedger::kOnDisk;
  }
  uint32_t Number() const { return index_.number; }

  Status Put(GraphPart part, uint32_t number, Block block) {
    return writer_.Put(Table::kGraph, GraphKey(Number(), generation_, part, number),
                       std::move(block));
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
    return writer_.Write();
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
    std::erase_if(record.runs, [&](const RunRecord& run) { return run.last_commit <= last_; });
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
    return DeleteKeys(*database_.environment_, Table::kGraph,
                      GraphKey(Number(), first, GraphPart::kLists, 0),
                      GraphKey(Number(), last, GraphPart::kSeeds, UINT32_MAX));
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
  uint32_t runs_ = 0;  // Those below have changes up to then.
  BlockWriter writer_;
  AnchorTree tree_;
  std::vector<DiskAnchor> anchors_;
};

Status DatabaseImpl::Pass(StoredIndexImpl& index, PassOver over) {
  if (Status ok = MayWait(); !ok) return ok;
  const std::lock_guard lock(pass_mutex_);
  try {
    environment_->ClearDeadReaders();
    // So that deleted points are retired, those that were dead when the index was opened, too.
    Status ok = index.engine.Consolidate({.threads = 1});
    if (ok) ok = Passer(*this, index).Run(over);
    if (ok) passes_.fetch_add(1, std::memory_order_relaxed);
    return ok;
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
}

// Beside commits, which add runs. No pass is under way, so all that are here stay.
Status DatabaseImpl::MergeRuns(StoredIndexImpl& index) {
  const std::lock_guard lock(pass_mutex_);
  try {
    std::vector<RunRecord> old;
    RunRecord merged;
    {
      const CommitLockHolder commit(commit_lock_);
      old = RunsToMerge(index.record);
      if (old.empty()) return {};
      merged = {.number = index.record.next_run++, .last_commit = old.back().last_commit};
    }
    {
      const Result<ReadTxn> txn = environment_->Read();
      if (!txn) return tl::unexpected(txn.error());
      Result<RunArrays> arrays = ReadRuns(*txn, index.number, old);
      if (!arrays) return tl::unexpected(arrays.error());
      BlockWriter writer(*environment_);
      for (auto& [key, block] : EncodeRun(index.number, *arrays, merged))
        if (Status ok = writer.Put(Table::kRuns, key, std::move(block)); !ok) return ok;
      if (Status ok = writer.Write(); !ok) return ok;
    }
    {
      const CommitLockHolder commit(commit_lock_);
      IndexRecord record = index.record;
      const auto is_old = [&](const RunRecord& run) {
        return std::any_of(old.begin(), old.end(),
                           [&](const RunRecord& other) { return other.number == run.number; });
      };
      std::replace_if(
          record.runs.begin(), record.runs.end(),
          [&](const RunRecord& run) { return run.number == old.back().number; }, merged);
      std::erase_if(record.runs, is_old);
      Result<WriteTxn> txn = environment_->Write();
      if (!txn) return tl::unexpected(txn.error());
      Status ok = txn->Put(Table::kMeta, IndexKey(index.number), EncodeIndexRecord(record));
      if (ok) ok = std::move(*txn).Commit();
      if (!ok) return ok;
      index.record = std::move(record);
    }
    for (const RunRecord& run : old)
      if (Status ok = DeleteRuns(*environment_, index.number, run.number, run.number); !ok)
        return ok;
    return {};
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
}

}  // namespace shoal
