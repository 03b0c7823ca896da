// The view of a mapped snapshot (graph/searcher.h): what a search reads where it stands in the
// file. Slots are the entries of the file: points, then the start point. A word of the file is
// compared with their number wherever it is used, so a damaged file gives wrong answers, never a
// wild read.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <span>
#include <vector>

#include "base/file.h"
#include "base/memory.h"
#include "persist/snapshot_labels.h"
#include "persist/snapshot_seeds.h"
#include "store/rows.h"
#include "store/tag.h"

namespace shoal {

// What a search of a snapshot scores.
struct SnapshotRows {
  Rows rows;
  size_t beside_at = 0;  // Where in a list's record are those of its points; 0: only in `rows`.
};

// What does not change while a snapshot is open.
struct OpenSnapshot {
  // What searches traverse, and what orders their hits.
  SnapshotRows TraversalRows() const {
    return {RowsAt(rows, header.traversal.row_bytes),
            header.has_list_codes == 0 ? 0 : header.ListCodesAt()};
  }
  SnapshotRows RankingRows() const {
    if (!has_rerank()) return TraversalRows();
    return {RowsAt(rerank_rows, header.rerank.row_bytes)};
  }
  bool has_rerank() const { return header.rerank.row_bytes != 0; }
  static Rows RowsAt(const std::atomic<std::byte*>& base, size_t stride) {
    constexpr unsigned kOneSegment = 31;
    return {&base, kOneSegment, stride, Rows::PrefetchesWhole(stride)};
  }

  SnapshotHeader header;  // has_list_codes: of `lists`.
  bool is_paged = false;  // Whether pages of the file may have to be read.
  SnapshotSeeds seeds;
  bool has_clusters = false;
  // The bytes of the file, in one of these.
  MappedFile file;
  Reservation copy;
  Reservation made_lists;  // What `lists` points to, if it is not in the file.
  std::atomic<std::byte*> rows{nullptr};
  std::atomic<std::byte*> rerank_rows{nullptr};  // Null: there are none.
  const ExternalId* ids = nullptr;
  const SlotId* slots = nullptr;     // In the feature store; null: the file has the vectors.
  const std::byte* lists = nullptr;  // Records of the size that the header says.
  SnapshotLabels labels;
};

class SnapshotView {
 public:
  struct Stamp {
    SlotId high_water;
  };

  // A search reads `rows`: one of the snapshot's.
  SnapshotView(const OpenSnapshot& snapshot, const SnapshotRows& rows)
      : snapshot_(snapshot),
        rows_(rows.rows),
        beside_at_(rows.beside_at),
        record_bytes_(snapshot.header.RecordBytes(SnapshotSection::kLists)),
        points_(static_cast<SlotId>(snapshot.header.points)),
        max_degree_(snapshot.header.options.max_degree) {}

  SlotId start() const { return snapshot_.header.start_points == 0 ? kNoSlot : points_; }
  Stamp stamp() const { return {points_}; }
  size_t live() const { return points_; }
  const Rows& rows() const { return rows_; }
  ExternalId external_id(SlotId slot) const { return snapshot_.ids[slot]; }
  std::span<const uint32_t> labels(SlotId slot) const { return snapshot_.labels.Of(slot); }
  static constexpr bool kIsFiltered = false;

  // A word that is no entry ends a list.
  size_t CopyList(SlotId slot, SlotId* out) const {
    const SlotId* const list = List(slot);
    size_t n = 0;
    for (; n < max_degree_ && list[n] <= points_; ++n) out[n] = list[n];
    for (auto at = FirstAnchor(slot); IsAnchor(at, slot); ++at) out[n++] = at->point;
    return n;
  }
  // The rows of what CopyList gives, one behind the other in its order; null: not there.
  const std::byte* RowsBeside(SlotId slot) const {
    if (beside_at_ == 0 || IsAnchor(FirstAnchor(slot), slot)) return nullptr;
    return Record(slot) + beside_at_;
  }
  // Of rows beside the list only the first: a core waits for some 16 lines at once, so to ask for
  // all of them holds up what comes before. (300,000 points of 128 dimensions, rq4, L = 100, a busy
  // Xeon: 7,600 searches a second with all, 8,700 with these.)
  void PrefetchList(SlotId slot) const {
    constexpr size_t kFirst = 8 * kCacheLine;
    const std::byte* const record = Record(slot);
    if (snapshot_.is_paged) return MappedFile::WillNeed(record, record_bytes_);
    const size_t list_bytes = max_degree_ * sizeof(SlotId);
    const size_t bytes = beside_at_ == 0 ? list_bytes : std::max(list_bytes, kFirst);
    for (size_t at = 0; at < bytes; at += kCacheLine) {
      __builtin_prefetch(record + at);
      std::atomic_signal_fence(std::memory_order_seq_cst);  // Or g++ 12 keeps the first alone.
    }
  }
  // All of them: lists end before what is no entry, and seeds were checked when they were read.
  size_t KeepReadable(const SlotId* ids, size_t n, const Stamp&, bool* eligible) const {
    for (size_t i = 0; i < n; ++i) eligible[i] = ids[i] < points_;
    return n;
  }
  size_t CopyEligible(SlotId& next, const Stamp&, SlotId* out) const {
    constexpr SlotId kMaxCopied = 512;
    size_t n = 0;
    for (const SlotId end = std::min(points_, next + kMaxCopied); next < end; ++next)
      out[n++] = next;
    return n;
  }

  size_t CopyCoarseSeeds(SlotId* out) const {
    return snapshot_.seeds.sets.empty() ? 0 : Copy(snapshot_.seeds.sets.front(), out);
  }
  size_t CopyFineSeeds(size_t at, SlotId, SlotId* out) const {
    return Copy(snapshot_.seeds.sets[at + 1], out);
  }
  bool HasClusters() const { return snapshot_.has_clusters; }
  bool MayHaveClusters() const { return false; }  // Searches of an insert ask.

 private:
  const std::byte* Record(SlotId slot) const {
    return snapshot_.lists + size_t{slot} * record_bytes_;
  }
  const SlotId* List(SlotId slot) const { return reinterpret_cast<const SlotId*>(Record(slot)); }
  // Of a slot without anchored points: where they would be.
  std::vector<SnapshotAnchor>::const_iterator FirstAnchor(SlotId slot) const {
    const auto& anchors = snapshot_.seeds.anchors;
    if (anchors.empty()) return anchors.end();
    return std::lower_bound(anchors.begin(), anchors.end(), SnapshotAnchor{slot, 0});
  }
  bool IsAnchor(std::vector<SnapshotAnchor>::const_iterator at, SlotId slot) const {
    return at != snapshot_.seeds.anchors.end() && at->anchor == slot;
  }
  static size_t Copy(const SeedSet& set, SlotId* out) {
    std::copy(set.points.begin(), set.points.end(), out);
    return set.points.size();
  }

  const OpenSnapshot& snapshot_;
  const Rows rows_;
  const size_t beside_at_;
  const size_t record_bytes_;
  const SlotId points_;
  const uint32_t max_degree_;
};

}  // namespace shoal
