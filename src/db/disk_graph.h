// An index as one commit left it: what a read transaction shows of it, searchable in place.
//
// Opened in milliseconds: the record, the states of all slots (two bits each) and the slots of the
// log are read. Rows, ids and lists are found where they lie in the map, block by block, when they
// are first asked for; then their checksums are compared, too. Those that an earlier snapshot of
// this process has found, and no commit has written since, are found already (found_blocks.h). A
// damaged block gives rows of zeros and empty lists, and is noted: a caller looks at Damage()
// before it uses the answer.
//
// A point of the log has its own list there. That no list of the generation leads to it is made up
// for by reading the log's lists backwards: Expand also gives the points that are anchored at a
// slot, and those whose lists name it. The log's sorted runs have both (log_run.h). What they have
// of the slots of a block is put together when the block is first asked for: its BlockLog.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/long_work.h"
#include "base/memory.h"
#include "db/blocks.h"
#include "db/commit_log.h"
#include "db/environment.h"
#include "db/found_blocks.h"
#include "db/log_run.h"
#include "store/rows.h"

namespace shoal {

struct DiskAnchor {
  SlotId anchor;  // Reached without the point.
  SlotId point;
};
// The coarse seeds, then the fine seeds of each.
struct DiskSeedSet {
  std::vector<SlotId> slots;
  float radius = 0;
};

Block EncodeAnchors(uint32_t index, uint32_t generation, std::span<const DiskAnchor> anchors);
Block EncodeSeeds(uint32_t index, uint32_t generation, std::span<const DiskSeedSet> sets);

// What the log has of the slots of a block of lists. There are fewer than 2^16: a block is a few
// pages. Lists stay in the map: of a tail of 5 % of a million points they are 6 MB.
struct BlockLog {
  std::vector<uint16_t> point_of;  // Of a slot: its place in `points`, plus 1.
  std::vector<PointInLog> points;
  // Of a slot the points that are anchored there, then those whose lists name it, the latest first:
  // links[begin[i]] on, up to links[begin[i + 1]].
  std::vector<uint32_t> begin;
  std::vector<SlotId> links;
};

class DiskGraph {
 public:
  static Result<std::unique_ptr<DiskGraph>> Open(ReadTxn txn, const IndexRecord& record,
                                                 size_t row_bytes);

  const IndexRecord& record() const { return record_; }
  const BlockGeometry& geometry() const { return geometry_; }
  SlotId slots() const { return record_.slots; }

  // Any slot number.
  bool IsPresent(SlotId slot) const { return slot < record_.slots && Has(present_, slot); }
  bool IsLive(SlotId slot) const { return slot < record_.slots && Has(live_, slot); }
  uint64_t LiveWord(size_t word) const { return live_[word]; }

  // --- Of a slot that is present.

  const std::byte* Row(SlotId slot) const {
    const uint32_t b = slot / geometry_.rows_per_block;
    const std::byte* block = row_blocks_[b].load(std::memory_order_acquire);
    if (block == nullptr) block = ResolveRows(b);
    return block + geometry_.RowOffset(slot);
  }
  void PrefetchRow(SlotId slot) const;
  ExternalId IdOf(SlotId slot) const;
  // Its own list: at most max_degree slots.
  size_t CopyList(SlotId slot, SlotId* out) const;
  void PrefetchList(SlotId slot) const;
  // Points anchored at it, its own list, and points of the log whose lists name it: at most `most`.
  size_t Expand(SlotId slot, SlotId* out, size_t most) const;
  bool InLog(SlotId slot) const { return !in_log_.empty() && Has(in_log_, slot); }

  // Calls visit for the points of the log, in its order; those that are dead by now included.
  Status EachLogged(const std::function<Status(const LoggedPoint&)>& visit) const;
  std::span<const DiskAnchor> anchors() const { return anchors_; }
  std::span<const DiskSeedSet> seeds() const { return seeds_; }

  // The first damage that was met; OK if there was none.
  Status Damage() const;
  // Reads every block that is present, and compares all checksums again. Corrupt.
  Status ReadAll(LongWork& work) const;

 private:
  // kOnce: what this process has compared or found is right. kAgain: it is compared and looked for
  // again.
  enum class Check : uint8_t { kOnce, kAgain };

  DiskGraph(ReadTxn txn, const IndexRecord& record, size_t row_bytes);
  static bool Has(const std::vector<uint64_t>& bits, SlotId slot) {
    return (bits[slot / 64] >> slot % 64 & 1) != 0;
  }
  Status ReadStates();
  Status ReadStateBlock(uint32_t block);
  Status ReadAnchors();
  Status ReadSeeds();
  uint64_t TakeOverBlocks();
  const std::byte* Remember(std::atomic<const std::byte*>& place, const std::byte* found,
                            const Block& damaged, Check check) const;
  Status OpenRuns(uint64_t found_until);
  Status ReadLogInNoRun();
  // An optional block of the generation: empty if it is not there.
  Result<Bytes> ReadPart(GraphPart part, BlockKind kind, uint32_t& count) const;
  // Of the block of lists that the slot is in.
  const BlockLog& LogOf(SlotId slot) const {
    const uint32_t b = slot / geometry_.lists_per_block;
    const BlockLog* const log = logs_[b].load(std::memory_order_acquire);
    return log == nullptr ? ResolveLog(b) : *log;
  }
  const PointInLog& LoggedPointAt(SlotId slot) const;
  const BlockLog& ResolveLog(uint32_t block) const;
  Status ReadPoints(SlotId first, SlotId end, BlockLog& log) const;
  Status ReadLinks(SlotId first, SlotId end, BlockLog& log) const;
  void Note(Status damage) const;

  const std::byte* ResolveRows(uint32_t block, Check check = Check::kOnce) const;
  const std::byte* ResolveLists(uint32_t block, Check check = Check::kOnce) const;
  const std::byte* Resolve(const Key& key, const BlockHeader& expected, Check check) const;
  const std::byte* ListBlock(SlotId slot) const {
    const uint32_t b = slot / geometry_.lists_per_block;
    const std::byte* block = list_blocks_[b].load(std::memory_order_acquire);
    return block == nullptr ? ResolveLists(b) : block;
  }

  // Constant once it is open.
  ReadTxn txn_;
  const IndexRecord record_;
  const BlockGeometry geometry_;
  std::vector<uint64_t> live_, present_;
  std::vector<DiskAnchor> anchors_;
  std::vector<DiskSeedSet> seeds_;
  std::vector<uint64_t> in_log_;   // Empty: the log is.
  Block zero_rows_, empty_lists_;  // In the place of damaged blocks.

  std::shared_ptr<FoundBlocks> found_;
  std::atomic<const std::byte*>*row_blocks_ = nullptr, *list_blocks_ = nullptr;  // Its arrays.

  // Own synchronisation.
  std::unique_ptr<std::atomic<const BlockLog*>[]> logs_;
  mutable std::mutex resolving_;
  // Under resolving_.
  mutable std::vector<LogRun> runs_;  // Of the log, in its order.
  mutable std::vector<std::unique_ptr<const BlockLog>> kept_logs_;
  mutable Status damage_;  // Under resolving_.
  mutable std::atomic<bool> damaged_{false};
};

// Rows of a DiskGraph, as a search reads them (store/rows.h).
class DiskRows {
 public:
  explicit DiskRows(const DiskGraph& graph)
      : graph_(graph), whole_(Rows::PrefetchesWhole(graph.geometry().row_bytes)) {}
  void Find(const SlotId* slots, size_t n, const std::byte** out) const {
    for (size_t i = 0; i < n; ++i) out[i] = graph_.Row(slots[i]);
  }
  bool prefetches_whole() const { return whole_; }
  void Prefetch(SlotId slot) const {
    if (graph_.IsPresent(slot)) graph_.PrefetchRow(slot);
  }

 private:
  const DiskGraph& graph_;
  const bool whole_;
};

}  // namespace shoal
