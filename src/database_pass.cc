// A pass: the lists as they are now become the next generation on disk, the log is cut, and slots
// of dead points that no list names any more are free. See docs/database.md, "Pass".
#include <algorithm>
#include <cstring>
#include <new>

#include "base/long_work.h"
#include "base/mismatch.h"
#include "database_generation.h"

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
  Passer(DatabaseImpl& database, StoredIndexImpl& index, LongWork& work)
      : database_(database), index_(index), writer_(*database.environment_), work_(work) {}
  Passer(const Passer&) = delete;

  Status Run(PassOver over) {
    Status ok = MakeGeneration(over);
    // What it has written is removed by the next one, which is due as before.
    if (!ok && ok.error().code == ErrorCode::kCancelled) index_.changes += changes_;
    return ok;
  }

 private:
  Status MakeGeneration(PassOver over) {
    Status ok = Begin(over);
    if (!ok || !generation_) return ok;
    const uint32_t number = generation_->of().generation;
    ok = RemoveOlder(number, number);
    if (ok)
      ok = generation_->WriteLists(
          [this](SlotId* words, size_t n) { return index_.ledger.KeepOnDisk(words, n); });
    if (ok) ok = generation_->WriteStates();
    if (ok) ok = writer_.Write();
    if (ok) ok = Walk();
    if (ok) ok = Flip();
    if (!ok) return ok;
    index_.FreeSlots(StoredIndexImpl::Free::kByBlock);
    ok = RemoveOlder(0, number - 1);
    if (ok && runs_ > 0) ok = DeleteRuns(*database_.environment_, index_.number, 0, runs_ - 1);
    return ok;
  }
  // Under the commit lock: else a change between the bits and the last commit would be lost with
  // the log.
  Status Begin(PassOver over) {
    const CommitLockHolder lock(database_.commit_lock_);
    const IndexRecord& record = index_.record;
    released_ = index_.ledger.Releasable();
    index_.FreeSlots(StoredIndexImpl::Free::kByBlock);
    const bool changed = record.first_commit <= record.last_commit || !released_.empty();
    if (record.start == kNoSlot || (over == PassOver::kChanges && !changed)) return {};
    if (Status ok = EndRun(); !ok) return ok;
    GenerationSlots of{.generation = record.generation + 1,
                       .slots = record.slots,
                       .start = record.start,
                       .bits = index_.ledger.Copy()};
    of.bits.resize(std::max<size_t>(of.bits.size(), of.slots));
    for (const SlotId slot : released_) of.bits[slot] = 0;
    generation_.emplace(index_, std::move(of), [this](const Key& key, Block block) {
      if (Status ok = work_.Did(index_.geometry.lists_per_block); !ok) return ok;
      return writer_.Put(Table::kGraph, key, std::move(block));
    });
    last_ = record.last_commit;
    runs_ = record.next_run;
    changes_ = index_.changes.exchange(0);
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
    if (ok) ok = txn->Put(Table::kMeta, IndexKey(index_.number), EncodeIndexRecord(record));
    if (ok) ok = std::move(*txn).Commit();
    if (ok) index_.record = std::move(record);
    return ok;
  }

  // Later commits anchor at points that are live now, so all of theirs are reached, too.
  Status Walk() {
    const Result<ReadTxn> txn = database_.environment_->Read();
    if (!txn) return tl::unexpected(txn.error());
    return generation_->Walk(*txn, work_);
  }

  Status Flip() {
    const GenerationSlots& of = generation_->of();
    Status ok = generation_->WriteAnchorsAndSeeds();
    if (ok) ok = writer_.Write();
    if (!ok) return ok;
    const CommitLockHolder lock(database_.commit_lock_);
    IndexRecord record = index_.record;
    const uint64_t first = record.first_commit;
    record.generation = of.generation;
    record.generation_slots = of.slots;
    record.first_commit = last_ + 1;
    record.dead -= released_.size();
    std::erase_if(record.runs, [&](const RunRecord& run) { return run.last_commit <= last_; });
    AnchorTree anchors = std::move(*generation_).TakeTree();
    std::erase_if(index_.logged_anchors,
                  [&](const StoredIndexImpl::LoggedAnchor& a) { return a.commit <= last_; });
    for (const StoredIndexImpl::LoggedAnchor& a : index_.logged_anchors)
      anchors.Add(a.anchor.anchor, a.anchor.point);
    Result<WriteTxn> txn = database_.environment_->Write();
    if (!txn) return tl::unexpected(txn.error());
    const auto cut = txn->DeleteRange(Table::kLog, LogKey(index_.number, first, 0),
                                      LogKey(index_.number, last_, UINT32_MAX), SIZE_MAX);
    if (!cut) return tl::unexpected(cut.error());
    ok = txn->Put(Table::kMeta, IndexKey(index_.number), EncodeIndexRecord(record));
    if (ok) ok = std::move(*txn).Commit();
    if (!ok) return ok;
    index_.record = std::move(record);  // From here on nothing needs memory.
    index_.anchors = std::move(anchors);
    for (const SlotId slot : released_)
      index_.ledger.Set(slot, 0, SlotLedger::kOnDisk | SlotLedger::kDead);
    return {};
  }

  // Generations [first, last].
  Status RemoveOlder(uint32_t first, uint32_t last) {
    return DeleteKeys(*database_.environment_, Table::kGraph,
                      GraphKey(index_.number, first, GraphPart::kLists, 0),
                      GraphKey(index_.number, last, GraphPart::kSeeds, UINT32_MAX));
  }

  DatabaseImpl& database_;
  StoredIndexImpl& index_;
  BlockWriter writer_;
  // As of the beginning:
  std::optional<GenerationWriter> generation_;  // Without the released slots. None: nothing to do.
  std::vector<SlotId> released_;
  uint64_t last_ = 0;     // The last commit.
  uint32_t runs_ = 0;     // Those below have changes up to then.
  uint64_t changes_ = 0;  // Since the pass before.
  LongWork& work_;
};

size_t DatabaseImpl::PassSteps(const StoredIndexImpl& index) {
  return 2 * size_t{index.engine.slots().high_water()};  // To write a list, and to walk over it.
}

Status DatabaseImpl::Pass(StoredIndexImpl& index, PassOver over) {
  const BatchOptions batch;
  LongWork work("pass", 0, batch);
  return Pass(index, over, work);
}

Status DatabaseImpl::Pass(StoredIndexImpl& index, PassOver over, LongWork& work) {
  if (Status ok = MayWait(); !ok) return ok;
  const std::lock_guard lock(pass_mutex_);
  try {
    environment_->ClearDeadReaders();
    // So that deleted points are retired, those that were dead when the index was opened, too.
    Status ok = index.engine.Consolidate({.threads = 1, .stop = work.stop()});
    if (ok) ok = Passer(*this, index, work).Run(over);
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
