// Commits: what is written, and when it counts. See docs/database.md, "Commit".
#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include "base/mismatch.h"
#include "database_generation.h"

namespace shoal {

namespace {

// Copies a block of rows, if there is one.
Status ReadRowBlock(const ReadTxn& txn, uint32_t index, uint32_t number, Block& block) {
  const auto value = txn.Get(Table::kRows, RowsKey(index, number));
  if (!value) return tl::unexpected(value.error());
  if (value->empty()) return {};
  const auto header = CheckBlock(txn.environment().path().string(), *value,
                                 {.kind = BlockKind::kRows, .index = index, .number = number});
  if (!header) return tl::unexpected(header.error());
  std::memcpy(block.data(), value->data(), std::min(block.size(), value->size()));
  return {};
}

}  // namespace

// What a commit changes in one index.
struct DatabaseImpl::IndexChanges {
  StoredIndexImpl* index = nullptr;
  std::vector<SlotId> inserted;     // Ascending.
  std::vector<SlotId> killed;       // On disk until now.
  std::vector<SlotId> forgotten;    // Inserted and killed by this commit: never on disk.
  IndexRecord record;               // As it will be.
  std::vector<DiskAnchor> anchors;  // Of points of the log.
  std::optional<AnchorTree> tree;   // Of all points, if a generation is written.
  bool makes_runs_many = false;

  bool Inserts(SlotId slot) const {
    return std::binary_search(inserted.begin(), inserted.end(), slot);
  }
};

Status DatabaseImpl::MayWait() const {
  if (!commit_lock_.IsMine()) return {};
  return MakeError(ErrorCode::kConflict,
                   "database: this thread has a Transaction with native() open");
}

// One thread writes for all that wait: they share the sync.
Status DatabaseImpl::Commit(std::span<const SlotChange> changes) {
  if (Status ok = MayWait(); !ok) return ok;
  Request request;
  request.changes = changes;
  std::unique_lock lock(queue_mutex_);
  try {
    requests_.push_back(&request);
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
  while (!request.done) {
    if (leading_) {
      queue_changed_.wait(lock);
      continue;
    }
    leading_ = true;
    std::vector<Request*> batch;
    batch.swap(requests_);
    lock.unlock();
    const Status committed = CommitBatch(batch);
    const auto tell = [&committed](Request& done) {
      try {
        done.result = committed;
      } catch (const std::bad_alloc&) {  // The message's.
        done.result = NoMemory();
      }
      done.done = true;
    };
    lock.lock();
    leading_ = false;
    for (Request* const done : batch) tell(*done);
    queue_changed_.notify_all();
  }
  lock.unlock();
  WakePasser();
  return std::move(request.result);
}

Status DatabaseImpl::CommitBatch(std::span<Request* const> requests) {
  try {
    std::vector<SlotChange> changes;
    for (const Request* const request : requests)
      changes.insert(changes.end(), request->changes.begin(), request->changes.end());
    const CommitLockHolder lock(commit_lock_);
    Result<WriteTxn> txn = environment_->Write();
    if (!txn) return tl::unexpected(txn.error());
    return CommitIn(std::move(*txn), changes);
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
}

// Gathered changes go first: these may kill what they insert.
Status DatabaseImpl::CommitIn(WriteTxn txn, std::span<const SlotChange> changes) {
  Status no_memory = MakeError(ErrorCode::kOutOfMemory, "database: no memory; open it again");
  std::vector<SlotChange> all;
  {
    const std::lock_guard lock(queue_mutex_);
    if (!broken_) return broken_;
    all.swap(gathered_);
  }
  // Gathered changes that cannot be committed: the live index and the file are not one any more,
  // and no later commit may build on either.
  const auto part_ways = [this, any_gathered = !all.empty()](Status why) {
    if (!any_gathered) return;
    const std::lock_guard lock(queue_mutex_);
    broken_ = std::move(why);
  };
  try {
    all.insert(all.end(), changes.begin(), changes.end());
    if (all.empty()) return std::move(txn).Commit();
    std::vector<IndexChanges> written;
    Status ok = WriteChanges(txn, all, written);
    if (ok) ok = std::move(txn).Commit();
    if (ok) {
      SetBits(written);
    } else {
      part_ways(ok);
    }
    return ok;
  } catch (const std::bad_alloc&) {
    part_ways(std::move(no_memory));
    throw;
  }
}

Status DatabaseImpl::WriteChanges(WriteTxn& txn, std::span<const SlotChange> changes,
                                  std::vector<IndexChanges>& written) {
  std::unordered_map<StoredIndexImpl*, size_t> places;
  for (const SlotChange& change : changes) {
    const auto [at, fresh] = places.try_emplace(change.index, written.size());
    if (fresh) {
      written.emplace_back().index = change.index;
      written.back().record = change.index->record;
    }
    IndexChanges& of = written[at->second];
    if (change.inserted != kNoSlot) of.inserted.push_back(change.inserted);
    if (change.killed != kNoSlot) of.killed.push_back(change.killed);
  }
  for (IndexChanges& of : written) {
    std::sort(of.inserted.begin(), of.inserted.end());
    std::erase_if(of.killed, [&](SlotId slot) {
      if (!of.Inserts(slot)) return false;
      of.forgotten.push_back(slot);
      return true;
    });
    std::sort(of.forgotten.begin(), of.forgotten.end());
    std::erase_if(of.inserted, [&](SlotId slot) {
      return std::binary_search(of.forgotten.begin(), of.forgotten.end(), slot);
    });
    if (Status ok = WriteIndex(txn, of); !ok) return ok;
  }
  return {};
}

// On disk and not dead, or of this commit and anchored: of the point's own list, else of its
// reverse list; else the start.
SlotId DatabaseImpl::AnchorOf(const IndexChanges& changes, SlotId slot,
                              std::span<const SlotId> list,
                              const std::unordered_set<SlotId>& anchored) const {
  const StoredIndexImpl& index = *changes.index;
  const auto usable = [&](SlotId other) {
    return anchored.contains(other) ||
           (index.ledger.Get(other) & (SlotLedger::kOnDisk | SlotLedger::kDead)) ==
               SlotLedger::kOnDisk;
  };
  SlotId anchor = changes.record.start;
  const auto found = std::find_if(list.begin(), list.end(), usable);
  if (found != list.end()) {
    anchor = *found;
  } else {
    const std::vector<SlotId> in = index.engine.lists().Reverse(slot);
    const auto at = std::find_if(in.begin(), in.end(), [&](SlotId other) {
      return other != slot && other != changes.record.start && usable(other);
    });
    if (at != in.end()) anchor = *at;
  }
  return index.anchors.Choose(anchor, slot, usable);
}

Status DatabaseImpl::WriteIndex(WriteTxn& txn, IndexChanges& changes) {
  StoredIndexImpl& index = *changes.index;
  IndexRecord& record = changes.record;
  if (changes.inserted.empty() && changes.killed.empty()) return {};
  if (record.start == kNoSlot) record.start = index.engine.graph().start();
  if (!changes.inserted.empty())
    record.slots = std::max({record.slots, changes.inserted.back() + 1, record.start + 1});
  Status ok = WriteRows(txn, changes);
  if (ok) ok = IsLoad(changes) ? WriteLoad(txn, changes) : WriteLog(txn, changes);
  if (!ok) return ok;
  ReserveBits(changes);
  record.live = record.live + changes.inserted.size() - changes.killed.size();
  record.dead += changes.killed.size();
  record.max_norm_sq = std::max(index.codec->max_norm_sq(), index.engine.codec().max_norm_sq());
  return txn.Put(Table::kMeta, IndexKey(record.number), EncodeIndexRecord(record));
}

// The first points of an index, and so many that a pass would be due: they are written as it would
// write them, and the log's pages need not be.
bool DatabaseImpl::IsLoad(const IndexChanges& changes) const {
  return changes.index->record.start == kNoSlot &&
         changes.inserted.size() >= options_.least_changes;
}

Status DatabaseImpl::WriteLoad(WriteTxn& txn, IndexChanges& changes) {
  IndexRecord& record = changes.record;
  record.generation_slots = record.slots;
  GenerationSlots of{.generation = ++record.generation,
                     .slots = record.slots,
                     .start = record.start,
                     .bits = std::vector<uint8_t>(record.slots)};
  for (const SlotId slot : changes.inserted) of.bits[slot] = SlotLedger::kOnDisk;
  GenerationWriter generation(
      *changes.index, std::move(of),
      [&txn](const Key& key, const Block& block) { return txn.Put(Table::kGraph, key, block); });
  const auto keep = [&](SlotId* words, size_t n) {
    return static_cast<size_t>(
        std::remove_if(words, words + n, [&](SlotId word) { return !changes.Inserts(word); }) -
        words);
  };
  Status ok = generation.WriteLists(keep);
  if (ok) ok = generation.WriteStates();
  const BatchOptions batch;
  LongWork work("load", 0, batch);
  if (ok) ok = generation.Walk(txn, work);
  if (ok) ok = generation.WriteAnchorsAndSeeds();
  changes.tree = std::move(generation).TakeTree();
  return ok;
}

// The points with their lists and anchors; if that makes the changes in no run many, a run.
Status DatabaseImpl::WriteLog(WriteTxn& txn, IndexChanges& changes) {
  StoredIndexImpl& index = *changes.index;
  IndexRecord& record = changes.record;
  CommitLogWriter log(record.number, record.last_commit + 1);
  RunWriter runs(txn, record);
  record.changes_in_no_run +=
      static_cast<uint32_t>(changes.inserted.size() + changes.killed.size());
  const bool makes_run = record.changes_in_no_run >= kLeastInRun;
  Status ok = makes_run ? runs.AddEarlier(record.last_commit) : Status();
  ++record.last_commit;
  std::unordered_set<SlotId> anchored;
  SlotId list[kMaxDegree];
  for (const SlotId slot : changes.inserted) {
    auto guard = index.engine.epochs().Pin();
    size_t n = index.engine.lists().CopyAtomically(slot, list);
    n = static_cast<size_t>(std::remove_if(list, list + n,
                                           [&](SlotId word) {
                                             return !index.ledger.IsOnDisk(word) &&
                                                    !changes.Inserts(word);
                                           }) -
                            list);
    const SlotId anchor = AnchorOf(changes, slot, {list, n}, anchored);
    LoggedPoint point{slot, anchor, index.engine.slots().external_id(slot), {list, n}};
    point.place = log.Insert(point);
    changes.anchors.push_back({anchor, slot});
    index.anchors.Add(anchor, slot);
    anchored.insert(slot);
    if (ok && makes_run) ok = runs.Add(point);
  }
  for (const SlotId slot : changes.killed) {
    log.Kill(slot);
    if (ok && makes_run) ok = runs.AddKill(slot);
  }
  if (ok && makes_run) ok = runs.Finish();
  const std::vector<Block> parts = std::move(log).Finish();
  for (uint32_t i = 0; i < parts.size() && ok; ++i)
    ok = txn.Put(Table::kLog, LogKey(record.number, record.last_commit, i), parts[i]);
  return ok;
}

void StoredIndexImpl::CopyRow(SlotId slot, std::byte* out) const {
  if (features == nullptr) {
    std::memcpy(out, engine.Row(slot), geometry.row_bytes);
    return;
  }
  const IndexOptions& options = record.options;
  std::vector<std::byte> vector(BytesOf(options.scalar_type, options.dim));
  if (features->CopyFresh(slot, vector.data())) {
    codec->Encode({vector.data(), options.scalar_type, options.dim}, out);
  } else {
    codec->EncodeOrigin(out);
  }
}

// The rows of a block are those of slots on disk, and of this commit. A slot on disk is not used
// again, so its row stands. Readers rely on this (db/found_blocks.h): a block is put only if the
// same transaction logs a point that it inserts there, begins a generation, or has the start point
// first.
Status DatabaseImpl::WriteRows(WriteTxn& txn, const IndexChanges& changes) {
  const StoredIndexImpl& index = *changes.index;
  const BlockGeometry& geometry = index.geometry;
  const bool has_new_start = index.record.start == kNoSlot && changes.record.start != kNoSlot;
  std::vector<SlotId> slots = changes.inserted;
  if (has_new_start)
    slots.insert(std::lower_bound(slots.begin(), slots.end(), changes.record.start),
                 changes.record.start);
  Block block;
  uint32_t written = UINT32_MAX;
  for (const SlotId changed : slots) {
    const uint32_t b = changed / geometry.rows_per_block;
    if (b == written) continue;
    written = b;
    block.assign(geometry.row_block_bytes, std::byte{0});
    // Where vectors are not in memory, those on disk are copied from there.
    const bool has_rows = index.features == nullptr;
    if (!has_rows) {
      if (Status ok = ReadRowBlock(txn, changes.record.number, b, block); !ok) return ok;
    }
    uint32_t count = 0;
    const SlotId first = b * geometry.rows_per_block;
    const SlotId end = std::min(first + geometry.rows_per_block, changes.record.slots);
    for (SlotId slot = first; slot < end; ++slot) {
      const bool is_new = changes.Inserts(slot) || (has_new_start && slot == changes.record.start);
      if (!is_new && slot != changes.record.start && !index.ledger.IsOnDisk(slot)) continue;
      if (is_new || has_rows) index.CopyRow(slot, block.data() + geometry.RowOffset(slot));
      ++count;
    }
    SealBlock(
        block,
        {.kind = BlockKind::kRows, .index = changes.record.number, .number = b, .count = count});
    if (Status ok = txn.Put(Table::kRows, RowsKey(changes.record.number, b), block); !ok) return ok;
  }
  return {};
}

// So that SetBits needs no memory.
void DatabaseImpl::ReserveBits(IndexChanges& changes) {
  StoredIndexImpl& index = *changes.index;
  index.ledger.Reserve(changes.record.slots);
  const size_t needed = index.logged_anchors.size() + changes.anchors.size();
  if (needed > index.logged_anchors.capacity()) index.logged_anchors.reserve(needed + needed / 2);
  changes.makes_runs_many = !RunsToMerge(changes.record).empty();
}

// LMDB has committed: nothing may fail from here on.
void DatabaseImpl::SetBits(std::vector<IndexChanges>& written) noexcept {
  for (IndexChanges& of : written) {
    StoredIndexImpl& index = *of.index;
    if (index.features != nullptr) index.features->Forget(of.inserted);
    for (const SlotId slot : of.inserted)
      index.ledger.Set(slot, SlotLedger::kOnDisk, SlotLedger::kQueued);
    for (const SlotId slot : of.killed) index.ledger.Set(slot, SlotLedger::kDead, 0);
    for (const SlotId slot : of.forgotten) index.ledger.Set(slot, 0, SlotLedger::kQueued);
    for (const DiskAnchor& anchor : of.anchors)
      index.logged_anchors.push_back({of.record.last_commit, anchor});
    if (of.tree) {
      index.anchors = std::move(*of.tree);
    } else {
      index.changes += of.inserted.size() + of.killed.size();
    }
    index.record = std::move(of.record);
    if (IsPassDue(index) || of.makes_runs_many) pass_due_.store(true, std::memory_order_relaxed);
  }
}

Status DatabaseImpl::Queue(const SlotChange& change) {
  constexpr size_t kMost = 65536;  // Beyond them a writer waits for the disk.
  size_t gathered = 0;
  try {
    const std::lock_guard lock(queue_mutex_);
    if (!broken_) return broken_;
    gathered_.push_back(change);
    gathered = gathered_.size();
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
  return gathered > kMost ? CommitQueued() : Status();
}

// What is gathered now. A commit under way may have taken what was gathered before.
Status DatabaseImpl::CommitQueued() {
  if (Status ok = MayWait(); !ok) return ok;
  try {
    const std::lock_guard lock(queue_mutex_);
    if (!broken_ || gathered_.empty()) return broken_;
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
  return Commit({});
}

// A commit that has taken what was gathered may be under way: an empty one waits for it.
Status DatabaseImpl::Flush() {
  if (options_.sync == SyncLevel::kInterval) return Commit({});
  if (options_.sync == SyncLevel::kNone) return environment_->Sync();
  return {};
}

bool DatabaseImpl::IsPassDue(const StoredIndexImpl& index) const {
  return index.changes >=
         std::max<uint64_t>(options_.least_changes,
                            (index.record.live + index.record.dead) * options_.pass_percent / 100);
}

void DatabaseImpl::WakePasser() {
  if (!pass_due_.exchange(false, std::memory_order_relaxed)) return;
  const std::lock_guard lock(upkeep_mutex_);
  pass_wanted_ = true;
  upkeep_.notify_all();
}

}  // namespace shoal
