// The view of a mapped snapshot (graph/searcher.h): what a search reads where it stands in the
// file. Slots are the entries of the file: points, then the start point. A word of the file is
// compared with their number wherever it is used, so a damaged file gives wrong answers, never a
// wild read.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstring>
#include <span>

#include "persist/snapshot_labels.h"
#include "persist/snapshot_seeds.h"
#include "store/rows.h"
#include "store/tag.h"

namespace shoal {

// What does not change while a snapshot is open.
struct OpenSnapshot {
  // What searches traverse, and what orders their hits.
  Rows TraversalRows() const { return RowsAt(rows, header.traversal.row_bytes); }
  Rows RankingRows() const {
    return has_rerank() ? RowsAt(rerank_rows, header.rerank.row_bytes) : TraversalRows();
  }
  bool has_rerank() const { return header.rerank.row_bytes != 0; }
  static Rows RowsAt(const std::atomic<std::byte*>& base, size_t stride) {
    constexpr unsigned kOneSegment = 31;
    return {&base, kOneSegment, stride, Rows::PrefetchesWhole(stride)};
  }

  SnapshotHeader header;
  SnapshotSeeds seeds;
  bool has_clusters = false;
  MappedFile file;
  std::atomic<std::byte*> rows{nullptr};
  std::atomic<std::byte*> rerank_rows{nullptr};  // Null: there are none.
  const ExternalId* ids = nullptr;
  const SlotId* lists = nullptr;
  SnapshotLabels labels;
};

class SnapshotView {
 public:
  struct Stamp {
    SlotId high_water;
  };

  // A search reads `rows`: one of the snapshot's.
  SnapshotView(const OpenSnapshot& snapshot, const Rows& rows)
      : snapshot_(snapshot),
        rows_(rows),
        points_(static_cast<SlotId>(snapshot.header.points)),
        max_degree_(snapshot.header.options.max_degree) {}

  SlotId start() const { return snapshot_.header.start_points == 0 ? kNoSlot : points_; }
  Stamp stamp() const { return {points_}; }
  size_t live() const { return points_; }
  const Rows& rows() const { return rows_; }
  ExternalId external_id(SlotId slot) const { return snapshot_.ids[slot]; }
  std::span<const uint32_t> labels(SlotId slot) const { return snapshot_.labels.Of(slot); }
  static constexpr bool kIsFiltered = false;

  size_t CopyList(SlotId slot, SlotId* out) const {
    const SlotId* const list = List(slot);
    size_t n = 0;
    for (; n < max_degree_ && list[n] != kNoSlot; ++n) out[n] = list[n];
    const auto& anchors = snapshot_.seeds.anchors;
    if (anchors.empty()) return n;
    for (auto at = std::lower_bound(anchors.begin(), anchors.end(), SnapshotAnchor{slot, 0});
         at != anchors.end() && at->anchor == slot; ++at)
      out[n++] = at->point;
    return n;
  }
  void PrefetchList(SlotId slot) const {
    const auto* const list = reinterpret_cast<const std::byte*>(List(slot));
    for (size_t at = 0; at < max_degree_ * sizeof(SlotId); at += kCacheLine)
      __builtin_prefetch(list + at);
  }
  size_t KeepReadable(SlotId* ids, size_t n, const Stamp&, bool* eligible) const {
    size_t kept = 0;
    for (size_t i = 0; i < n; ++i) {
      const SlotId id = ids[i];
      ids[kept] = id;
      eligible[kept] = id < points_;
      kept += id <= points_ ? 1 : 0;
    }
    return kept;
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
  const SlotId* List(SlotId slot) const { return snapshot_.lists + size_t{slot} * max_degree_; }
  static size_t Copy(const SeedSet& set, SlotId* out) {
    std::copy(set.points.begin(), set.points.end(), out);
    return set.points.size();
  }

  const OpenSnapshot& snapshot_;
  const Rows rows_;
  const SlotId points_;
  const uint32_t max_degree_;
};

}  // namespace shoal
