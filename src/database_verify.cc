// What is checked of a committed state: docs/database.md, D1 to D3.
#include <algorithm>
#include <new>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "database_snapshot_impl.h"
#include "search_calls.h"

namespace shoal {

// D2: every word and every anchor names a point that is on disk.
Status DatabaseSnapshotImpl::VerifyWords(LongWork& work) const {
  const SlotId start = graph_->record().start;
  SlotId list[kMaxDegree];
  for (SlotId slot = 0; slot < graph_->slots(); ++slot) {
    if (Status ok = work.Did(); !ok) return ok;
    if (!graph_->IsPresent(slot)) continue;
    const size_t n = graph_->CopyList(slot, list);
    for (size_t i = 0; i < n; ++i)
      if (list[i] == slot || list[i] == start || !graph_->IsPresent(list[i]))
        return Broken(slot, "list: expected other points, found slot " + std::to_string(list[i]));
  }
  const auto check = [&](SlotId anchor, SlotId point) -> Status {
    if (graph_->IsPresent(anchor) && anchor != point) return {};
    return Broken(point, "anchor: expected another point, found slot " + std::to_string(anchor));
  };
  for (const DiskAnchor& anchor : graph_->anchors())
    if (Status ok = check(anchor.anchor, anchor.point); !ok) return ok;
  return graph_->EachLogged(
      [&](const LoggedPoint& point) { return check(point.anchor, point.slot); });
}

// The runs give of each point of the log what the log has of it.
Status DatabaseSnapshotImpl::VerifyRuns() const {
  std::vector<SlotId> found(SearchScratch::kMaxIds);
  return graph_->EachLogged([&](const LoggedPoint& point) -> Status {
    if (!graph_->InLog(point.slot) || graph_->IdOf(point.slot) != point.id)
      return Broken(point.slot, "runs: expected id " + std::to_string(point.id));
    size_t n = graph_->CopyList(point.slot, found.data());
    if (!std::equal(point.list.begin(), point.list.end(), found.begin(), found.begin() + n))
      return Broken(point.slot, "runs: expected the log's list, found another");
    n = graph_->Expand(point.anchor, found.data(), found.size());
    if (std::find(found.begin(), found.begin() + n, point.slot) != found.begin() + n) return {};
    return Broken(point.slot, "runs: expected it at its anchor");
  });
}

// D1: every live point is reached from the start over own lists and anchors.
Status DatabaseSnapshotImpl::VerifyReach(LongWork& work) const {
  std::vector<bool> reached(graph_->slots());
  std::vector<SlotId> queue;
  const auto reach = [&](SlotId slot) {
    if (reached[slot]) return;
    reached[slot] = true;
    queue.push_back(slot);
  };
  std::unordered_map<SlotId, std::vector<SlotId>> anchored;
  for (const DiskAnchor& anchor : graph_->anchors())
    anchored[anchor.anchor].push_back(anchor.point);
  Status read = graph_->EachLogged([&](const LoggedPoint& point) -> Status {
    anchored[point.anchor].push_back(point.slot);
    return {};
  });
  if (!read) return read;
  if (graph_->record().start < graph_->slots()) reach(graph_->record().start);
  SlotId list[kMaxDegree];
  for (size_t next = 0; next < queue.size(); ++next) {
    if (Status ok = work.Did(); !ok) return ok;
    const size_t n = graph_->CopyList(queue[next], list);
    for (size_t i = 0; i < n; ++i) reach(list[i]);
    if (const auto found = anchored.find(queue[next]); found != anchored.end())
      for (const SlotId point : found->second) reach(point);
  }
  for (SlotId slot = 0; slot < graph_->slots(); ++slot)
    if (graph_->IsLive(slot) && !reached[slot])
      return Broken(slot, "expected a way from the start, found none");
  return {};
}

// D3: an id has one live point; each has a vector that may be inserted; the counts are right.
Status DatabaseSnapshotImpl::VerifyPoints(LongWork& work) const {
  std::unordered_set<ExternalId> met;
  size_t live = 0, present = 0;
  const IndexOptions& o = options();
  for (SlotId slot = 0; slot < graph_->slots(); ++slot) {
    if (Status ok = work.Did(); !ok) return ok;
    if (!graph_->IsPresent(slot) || slot == graph_->record().start) continue;
    ++present;
    const VectorView vector(graph_->Row(slot), o.scalar_type, o.dim);
    if (Status ok = check_.Vector(vector, "vector"); !ok) return Broken(slot, ok.error().message);
    if (!graph_->IsLive(slot)) continue;
    ++live;
    if (!met.insert(graph_->IdOf(slot)).second)
      return Broken(slot, "id " + std::to_string(graph_->IdOf(slot)) + ": expected once");
  }
  if (live == graph_->record().live && present == live + graph_->record().dead) return {};
  return MakeError(ErrorCode::kCorrupt,
                   "index \"" + graph_->record().name + "\": live and dead points: expected " +
                       std::to_string(graph_->record().live) + ", " +
                       std::to_string(graph_->record().dead) + ", found " + std::to_string(live) +
                       ", " + std::to_string(present - live));
}

Status DatabaseSnapshotImpl::Verify(const BatchOptions& batch) const {
  try {
    LongWork work("verify", 4 * size_t{graph_->slots()}, batch);
    Status ok = graph_->ReadAll(work);
    if (ok) ok = VerifyWords(work);
    if (ok) ok = VerifyRuns();
    if (ok) ok = VerifyReach(work);
    if (ok) ok = VerifyPoints(work);
    if (ok) work.End();
    return ok;
  } catch (const std::bad_alloc&) {
    return NoMemory("verify");
  }
}

}  // namespace shoal
