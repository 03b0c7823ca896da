// An index into its file, while it is written to.
//
// PROBLEM. A snapshot holds exactly the points that were there at one instant; but writing it takes
// seconds, and nobody may wait for that.
//
// IDEA. The id map says who is there. All its shards are locked for as long as it takes to copy the
// slots that it names and that are live: no Publish, Delete, Upsert or move of a point ends in
// between, for each holds its id's entry. That is the instant. The guard is older, so every slot of
// the list stays readable, whatever becomes of its point: a row never changes while it can be read.
//
// Neighbour lists do change. A list is taken as it is when its turn comes; what leads to points
// that are not points is led on to one that is. A member that was deleted and repaired meanwhile
// has no list any more, and nobody points at it: Load links it anew.
#include <algorithm>
#include <new>
#include <string>
#include <unordered_set>

#include "base/hooks.h"
#include "index_impl.h"
#include "persist/snapshot_file.h"

namespace shoal {

static_assert(EntryPoints::kMaxCoarse == kMaxSnapshotRoots);
static_assert(EntryPoints::kMaxFine == kMaxSnapshotLeaves);

std::vector<SlotId> IndexImpl::SnapshotSlots() const {
  std::vector<SlotId> slots =
      ids_.CollectAtomically([&](SlotId slot) { return slots_.tag(slot) == Tag::kLive; });
  std::sort(slots.begin(), slots.end());
  return slots;
}

IndexImpl::SnapshotPoints IndexImpl::Position(std::vector<SlotId> slots) {
  SnapshotPoints points{.slots = std::move(slots), .positions = {}};
  const auto last = std::max_element(points.slots.begin(), points.slots.end());
  if (last == points.slots.end()) return points;
  points.positions.assign(size_t{*last} + 1, kNoSlot);
  for (uint32_t i = 0; i < points.slots.size(); ++i) points.positions[points.slots[i]] = i;
  return points;
}

uint32_t IndexImpl::PointBehind(SlotId lost, SlotId u, const SnapshotPoints& points,
                                std::span<const uint32_t> list, EpochRegistry::Guard& guard) {
  if (!IsReadable(slots_.tag(lost))) return kNoSlot;
  const Operation op(guard, codec_);
  Scratch& scratch = op.scratch;
  size_t n = neighbors_.Copy(lost, scratch.search.ids);
  n = static_cast<size_t>(std::remove_if(scratch.search.ids, scratch.search.ids + n,
                                         [&](SlotId slot) {
                                           const uint32_t number = points.PositionOf(slot);
                                           return number == kNoSlot || slot == u ||
                                                  std::find(list.begin(), list.end(), number) !=
                                                      list.end();
                                         }) -
                          scratch.search.ids);
  if (n == 0) return kNoSlot;
  features_.rows().Find(scratch.search.ids, n, scratch.search.rows);
  codec_.BindRow(features_.Row(u), scratch.row_buffer.data())
      .Score(scratch.search.rows, n, scratch.search.distances);
  guard.work.distances += n;
  const auto nearest = std::min_element(scratch.search.distances, scratch.search.distances + n);
  return points.PositionOf(scratch.search.ids[nearest - scratch.search.distances]);
}

void IndexImpl::SnapshotList(SlotId u, const SnapshotPoints& points, EpochRegistry::Guard& guard,
                             std::vector<uint32_t>& list) {
  SlotId row[kMaxDegree];
  const size_t n = neighbors_.CopyAtomically(u, row);
  list.resize(n);
  // Places of what is no member hold kNoSlot, until what is behind it is found.
  for (size_t i = 0; i < n; ++i) list[i] = points.PositionOf(row[i]);
  for (size_t i = 0; i < n; ++i)
    if (list[i] == kNoSlot) list[i] = PointBehind(row[i], u, points, list, guard);
  std::erase(list, kNoSlot);
}

Status IndexImpl::WriteSnapshot(const std::filesystem::path& path, const BatchOptions& batch) {
  Result<SnapshotWriter> writer = SnapshotWriter::Create(path);
  if (!writer) return tl::unexpected(writer.error());
  auto guard = epochs_.Pin();
  SHOAL_SYNC_POINT("save.before_points");
  const SnapshotPoints points = Position(SnapshotSlots());
  SHOAL_SYNC_POINT("save.after_points");
  const SlotId start = graph_.start();  // After the points: where there is one, there is a start.
  SnapshotHeader header{.options = options_,
                        .points = points.slots.size(),
                        .block_points = SnapshotBlockPoints(options_),
                        .start_points = start == kNoSlot ? 0u : 1u};
  std::vector<std::byte> block;
  size_t done = 0;
  // One section: append(i) puts what belongs to point i behind the block.
  const auto write = [&](const auto& append) -> Status {
    for (size_t b = 0; b < header.point_blocks(); ++b) {
      if (batch.stop.stop_requested())
        return Cancelled("save", header.points * done / (3 * header.point_blocks() + 1),
                         header.points);
      block.clear();
      for (uint64_t i = header.FirstPoint(b); i < header.FirstPoint(b + 1); ++i)
        append(points.slots[i]);
      if (Status ok = writer->Append(block); !ok) return ok;
      ++done;
      if (batch.progress)
        batch.progress(header.points * done / (3 * header.point_blocks() + 1), header.points);
    }
    return {};
  };
  const auto append_vector = [&](SlotId slot) {
    const std::byte* row = features_.Row(slot);
    block.insert(block.end(), row, row + header.vector_bytes());
  };
  std::vector<uint32_t> list;
  const auto append_list = [&](SlotId slot) {
    SnapshotList(slot, points, guard, list);
    header.edges += list.size();
    PutNumber(block, static_cast<uint32_t>(list.size()));
    for (const uint32_t number : list) PutNumber(block, number);
  };
  Status ok = write(append_vector);
  if (ok) ok = write([&](SlotId slot) { PutNumber(block, slots_.external_id(slot)); });
  SHOAL_SYNC_POINT("save.before_lists");
  if (ok) ok = write(append_list);
  if (ok && start != kNoSlot) {
    block.clear();
    append_vector(start);
    append_list(start);
    AppendEntries(points, block);
    ok = writer->Append(block);
  }
  header.max_norm_sq = codec_.max_norm_sq();
  if (ok) ok = writer->Commit(header);
  if (ok && batch.progress) batch.progress(header.points, header.points);
  return ok;
}

// Those that are points, each once. A root that is none leaves its place to one of its leaves.
void IndexImpl::AppendEntries(const SnapshotPoints& points, std::vector<std::byte>& block) {
  std::vector<EntryPoints::Saved> sets = graph_.entries().Save();
  std::unordered_set<uint32_t> met;
  for (auto& [slots, radius] : sets) {
    for (SlotId& slot : slots) {
      slot = points.PositionOf(slot);
      if (slot != kNoSlot && !met.insert(slot).second) slot = kNoSlot;
    }
    if (&slots != &sets.front().slots) std::erase(slots, kNoSlot);
  }
  std::vector<SlotId>& roots = sets.front().slots;
  for (size_t i = roots.size(); i-- > 0;) {
    std::vector<SlotId>& leaves = sets[i + 1].slots;
    if (roots[i] != kNoSlot) continue;
    if (leaves.empty()) {
      roots.erase(roots.begin() + static_cast<ptrdiff_t>(i));
      sets.erase(sets.begin() + static_cast<ptrdiff_t>(i) + 1);
    } else {
      roots[i] = leaves.back();
      leaves.pop_back();
    }
  }
  for (const auto& [slots, radius] : sets) {
    PutNumber(block, static_cast<uint32_t>(slots.size()));
    PutNumber(block, radius);
    for (const uint32_t number : slots) PutNumber(block, number);
  }
}

Status IndexImpl::Save(const std::filesystem::path& path, const BatchOptions& batch) {
  try {
    return WriteSnapshot(path, batch);
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options_, "save");
  }
}

}  // namespace shoal
