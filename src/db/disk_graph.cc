#include "db/disk_graph.h"

#include <algorithm>
#include <new>
#include <string>

#include "base/mismatch.h"
#include "base/round.h"

namespace shoal {
namespace {

constexpr size_t kMaxSeedSet = 256;

}  // namespace

Block EncodeAnchors(uint32_t index, uint32_t generation, std::span<const DiskAnchor> anchors) {
  Block block(sizeof(BlockHeader));
  for (const DiskAnchor& anchor : anchors) {
    PutValue(block, anchor.anchor);
    PutValue(block, anchor.point);
  }
  SealBlock(block, {.kind = BlockKind::kAnchors,
                    .index = index,
                    .generation = generation,
                    .count = static_cast<uint32_t>(anchors.size())});
  return block;
}

Block EncodeSeeds(uint32_t index, uint32_t generation, std::span<const DiskSeedSet> sets) {
  Block block(sizeof(BlockHeader));
  for (const DiskSeedSet& set : sets) {
    PutValue(block, set.radius);
    PutValue(block, static_cast<uint32_t>(set.slots.size()));
    for (const SlotId slot : set.slots) PutValue(block, slot);
  }
  SealBlock(block, {.kind = BlockKind::kSeeds,
                    .index = index,
                    .generation = generation,
                    .count = static_cast<uint32_t>(sets.size())});
  return block;
}

DiskGraph::DiskGraph(ReadTxn txn, const IndexRecord& record, size_t row_bytes)
    : txn_(std::move(txn)),
      record_(record),
      geometry_(record.options, row_bytes),
      live_(DivideUp(record.slots, 64)),
      present_(live_.size()),
      zero_rows_(geometry_.row_block_bytes),
      empty_lists_(geometry_.list_block_bytes, std::byte{0xff}),
      logs_(new std::atomic<const BlockLog*>[DivideUp(record.slots, geometry_.lists_per_block) +
                                             1]()) {}

Result<std::unique_ptr<DiskGraph>> DiskGraph::Open(ReadTxn txn, const IndexRecord& record,
                                                   size_t row_bytes) {
  try {
    std::unique_ptr<DiskGraph> graph(new DiskGraph(std::move(txn), record, row_bytes));
    Status ok = graph->ReadStates();
    if (ok) ok = graph->ReadAnchors();
    if (ok) ok = graph->ReadSeeds();
    if (ok) ok = graph->OpenRuns(graph->TakeOverBlocks());
    if (!ok) return tl::unexpected(ok.error());
    graph->txn_.environment().found_blocks().Keep(record.number, graph->found_);
    return graph;
  } catch (const std::bad_alloc&) {
    return NoMemory();
  }
}

Status DiskGraph::ReadStates() {
  for (uint32_t b = 0; b < DivideUp(record_.generation_slots, kStatesPerBlock); ++b)
    if (Status ok = ReadStateBlock(b); !ok) return ok;
  if (record_.start < record_.slots)
    present_[record_.start / 64] |= uint64_t{1} << record_.start % 64;
  return {};
}

Status DiskGraph::ReadStateBlock(uint32_t b) {
  constexpr size_t kWords = kStatesPerBlock / 64;
  constexpr size_t kBytes = sizeof(BlockHeader) + 2 * kWords * sizeof(uint64_t);
  const std::string file = txn_.environment().path().string();
  const BlockHeader expected{.kind = BlockKind::kStates,
                             .index = record_.number,
                             .number = b,
                             .generation = record_.generation};
  const Result<Bytes> value =
      txn_.Get(Table::kGraph, GraphKey(record_.number, record_.generation, GraphPart::kStates, b));
  if (!value) return tl::unexpected(value.error());
  if (const auto header = CheckBlock(file, *value, expected); !header)
    return tl::unexpected(header.error());
  if (value->size() != kBytes)
    return Mismatch(ErrorCode::kCorrupt, file + ": " + NameOfBlock(expected) + ": bytes",
                    std::to_string(kBytes), std::to_string(value->size()));
  for (size_t w = 0; w < kWords && b * kWords + w < live_.size(); ++w) {
    const size_t at = sizeof(BlockHeader) + w * sizeof(uint64_t);
    live_[b * kWords + w] = ValueAt<uint64_t>(*value, at);
    present_[b * kWords + w] = ValueAt<uint64_t>(*value, at + kWords * sizeof(uint64_t));
  }
  return {};
}

Result<Bytes> DiskGraph::ReadPart(GraphPart part, BlockKind kind, uint32_t& count) const {
  count = 0;
  const auto value = txn_.Get(Table::kGraph, GraphKey(record_.number, record_.generation, part, 0));
  if (!value) return tl::unexpected(value.error());
  if (value->empty()) {
    if (record_.generation == 0) return Bytes();
    return MakeError(ErrorCode::kCorrupt, txn_.environment().path().string() + ": " +
                                              NameOfBlock({.kind = kind, .index = record_.number}) +
                                              ": not there");
  }
  const Result<BlockHeader> header =
      CheckBlock(txn_.environment().path().string(), *value,
                 {.kind = kind, .index = record_.number, .generation = record_.generation});
  if (!header) return tl::unexpected(header.error());
  count = header->count;
  return value->subspan(sizeof(BlockHeader));
}

Status DiskGraph::ReadAnchors() {
  uint32_t count = 0;
  const Result<Bytes> bytes = ReadPart(GraphPart::kAnchors, BlockKind::kAnchors, count);
  if (!bytes) return tl::unexpected(bytes.error());
  ByteReader in(*bytes);
  for (uint32_t i = 0; i < count; ++i) {
    const DiskAnchor anchor{in.Take<SlotId>(), in.Take<SlotId>()};
    if (!in.ok() || anchor.anchor >= record_.slots || anchor.point >= record_.slots)
      return Mismatch(ErrorCode::kCorrupt, "index " + std::to_string(record_.number) + ", anchors",
                      "slots below " + std::to_string(record_.slots),
                      std::to_string(anchor.anchor) + ", " + std::to_string(anchor.point));
    anchors_.push_back(anchor);
  }
  std::sort(anchors_.begin(), anchors_.end(),
            [](const DiskAnchor& a, const DiskAnchor& b) { return a.anchor < b.anchor; });
  return {};
}

Status DiskGraph::ReadSeeds() {
  uint32_t count = 0;
  const Result<Bytes> bytes = ReadPart(GraphPart::kSeeds, BlockKind::kSeeds, count);
  if (!bytes) return tl::unexpected(bytes.error());
  ByteReader in(*bytes);
  for (uint32_t i = 0; i < count; ++i) {
    DiskSeedSet set;
    set.radius = in.Take<float>();
    const auto n = in.Take<uint32_t>();
    if (!in.ok() || n > kMaxSeedSet)
      return Mismatch(ErrorCode::kCorrupt, "index " + std::to_string(record_.number) + ", seeds",
                      "at most " + std::to_string(kMaxSeedSet), std::to_string(n));
    for (uint32_t k = 0; k < n; ++k) set.slots.push_back(in.Take<SlotId>());
    seeds_.push_back(std::move(set));
  }
  return {};
}

// The changes that are in no run become one, in memory. Then the states are as the log leaves them:
// a slot is inserted at most once in a log, and killed no earlier. `found_until`: of later commits
// found_ knows nothing.
Status DiskGraph::OpenRuns(uint64_t found_until) {
  // LMDB reads a table's root at its first use: from here on threads may read at the same time.
  for (const Table table : {Table::kRows, Table::kGraph, Table::kLog, Table::kRuns})
    if (const auto any = txn_.Get(table, {}); !any) return tl::unexpected(any.error());
  for (const RunRecord& run : record_.runs) runs_.emplace_back(txn_, record_.number, run);
  if (Status ok = ReadLogInNoRun(); !ok) return ok;
  if (!runs_.empty()) in_log_.resize(live_.size());
  bool in_range = true;
  const auto set = [&](std::vector<uint64_t>& bits, SlotId slot) {
    bits[slot / 64] |= uint64_t{1} << slot % 64;
  };
  for (LogRun& run : runs_) {
    Status ok = run.Each<RunPoint>(RunArray::kPoints, 0, kNoSlot, [&](const RunPoint& point) {
      in_range = in_range && point.slot < record_.slots;
      if (!in_range) return;
      set(live_, point.slot);
      set(present_, point.slot);
      set(in_log_, point.slot);
      if (point.place.commit > found_until)
        found_->ForgetRows(point.slot / geometry_.rows_per_block);
    });
    if (!ok) return ok;
  }
  for (LogRun& run : runs_) {
    Status ok = run.Each<RunKill>(RunArray::kKills, 0, kNoSlot, [&](const RunKill& kill) {
      in_range = in_range && kill.slot < record_.slots;
      if (in_range) live_[kill.slot / 64] &= ~(uint64_t{1} << kill.slot % 64);
    });
    if (!ok) return ok;
  }
  if (in_range) return {};
  return Mismatch(ErrorCode::kCorrupt, "index " + std::to_string(record_.number) + ", runs",
                  "slots below " + std::to_string(record_.slots), "others");
}

Status DiskGraph::ReadLogInNoRun() {
  auto arrays = std::make_unique<RunArrays>();
  Status ok = ReadLog(txn_, record_, record_.FirstInNoRun(),
                      {[&](const LoggedPoint& point) -> Status {
                         arrays->Add(point);
                         return {};
                       },
                       [&](SlotId slot) -> Status {
                         arrays->AddKill(slot);
                         return {};
                       }});
  if (!ok || arrays->changes() == 0) return ok;
  arrays->Sort();
  runs_.emplace_back(std::move(arrays));
  return {};
}

Status DiskGraph::EachLogged(const std::function<Status(const LoggedPoint&)>& visit) const {
  const std::lock_guard lock(resolving_);
  return ReadLog(txn_, record_, record_.first_commit, {visit, [](SlotId) -> Status { return {}; }});
}

// Under resolving_.
void DiskGraph::Note(Status damage) const {
  if (damage_) damage_ = std::move(damage);
  damaged_.store(true, std::memory_order_release);
}

const BlockLog& DiskGraph::ResolveLog(uint32_t block) const {
  const std::lock_guard lock(resolving_);
  if (const BlockLog* const made = logs_[block].load(std::memory_order_relaxed); made != nullptr)
    return *made;
  const SlotId first = block * geometry_.lists_per_block;
  const SlotId end = std::min(first + geometry_.lists_per_block, record_.slots);
  auto log = std::make_unique<BlockLog>();
  log->point_of.resize(geometry_.lists_per_block);
  log->begin.resize(geometry_.lists_per_block + 1);
  Status ok = ReadPoints(first, end, *log);
  if (ok) ok = ReadLinks(first, end, *log);
  if (!ok) Note(std::move(ok));
  kept_logs_.push_back(std::move(log));
  logs_[block].store(kept_logs_.back().get(), std::memory_order_release);
  return *kept_logs_.back();
}

Status DiskGraph::ReadPoints(SlotId first, SlotId end, BlockLog& log) const {
  std::vector<RunPoint> points;
  for (LogRun& run : runs_) {
    Status ok = run.Each<RunPoint>(RunArray::kPoints, first, end,
                                   [&](const RunPoint& point) { points.push_back(point); });
    if (!ok) return ok;
  }
  log.points.reserve(std::min<size_t>(points.size(), end - first));
  for (const RunPoint& at : points) {
    const Result<PointInLog> read = ReadLogged(txn_, record_, at.place);
    if (!read) return tl::unexpected(read.error());
    uint16_t& place = log.point_of[at.slot - first];
    if (place != 0) {  // The slot's later point.
      log.points[place - 1] = *read;
      continue;
    }
    log.points.push_back(*read);
    place = static_cast<uint16_t>(log.points.size());
  }
  return {};
}

// All points that are anchored at a slot, and of those whose lists name it as many as a list has.
Status DiskGraph::ReadLinks(SlotId first, SlotId end, BlockLog& log) const {
  std::vector<RunLink> links;
  const auto generation =
      std::lower_bound(anchors_.begin(), anchors_.end(), first,
                       [](const DiskAnchor& a, SlotId slot) { return a.anchor < slot; });
  for (auto at = generation; at != anchors_.end() && at->anchor < end; ++at)
    links.push_back({at->anchor, at->point});
  const auto read = [&](RunArray array) -> Status {
    for (auto run = runs_.rbegin(); run != runs_.rend(); ++run) {
      Status ok = run->Each<RunLink>(array, first, end,
                                     [&](const RunLink& link) { links.push_back(link); });
      if (!ok) return ok;
    }
    return {};
  };
  if (Status ok = read(RunArray::kAnchored); !ok) return ok;
  const size_t anchored = links.size();
  if (Status ok = read(RunArray::kNamed); !ok) return ok;

  const size_t slots = geometry_.lists_per_block;
  std::vector<uint32_t> named(slots);
  size_t kept = anchored;
  for (size_t i = anchored; i < links.size(); ++i)
    if (named[links[i].slot - first]++ < geometry_.max_degree) links[kept++] = links[i];
  links.resize(kept);
  for (const RunLink& link : links) ++log.begin[link.slot - first + 1];
  for (size_t i = 0; i < slots; ++i) log.begin[i + 1] += log.begin[i];
  log.links.resize(links.size());
  std::vector<uint32_t> next(log.begin.begin(), log.begin.end() - 1);
  for (const RunLink& link : links) log.links[next[link.slot - first]++] = link.point;
  return {};
}

// Of a slot in the log. Where the log is damaged there is none.
const PointInLog& DiskGraph::LoggedPointAt(SlotId slot) const {
  static const PointInLog kNone;
  const BlockLog& log = LogOf(slot);
  const size_t place = log.point_of[slot % geometry_.lists_per_block];
  return place == 0 ? kNone : log.points[place - 1];
}

ExternalId DiskGraph::IdOf(SlotId slot) const {
  if (InLog(slot)) return LoggedPointAt(slot).id;
  ExternalId id;
  std::memcpy(&id, ListBlock(slot) + geometry_.IdOffset(slot), sizeof(id));
  return id;
}

size_t DiskGraph::CopyList(SlotId slot, SlotId* out) const {
  if (InLog(slot)) {
    const PointInLog& point = LoggedPointAt(slot);
    if (point.degree > 0) std::memcpy(out, point.list, point.degree * sizeof(SlotId));
    return point.degree;
  }
  if (slot >= record_.generation_slots) return 0;  // The start point, before the first pass.
  const std::byte* const list = ListBlock(slot) + geometry_.ListOffset(slot);
  std::memcpy(out, list, geometry_.max_degree * sizeof(SlotId));
  return static_cast<size_t>(std::find(out, out + geometry_.max_degree, kNoSlot) - out);
}

size_t DiskGraph::Expand(SlotId slot, SlotId* out, size_t most) const {
  size_t n = CopyList(slot, out);
  if (runs_.empty() && anchors_.empty()) return n;
  const BlockLog& log = LogOf(slot);
  const size_t i = slot % geometry_.lists_per_block;
  for (uint32_t at = log.begin[i]; at < log.begin[i + 1] && n < most; ++at)
    out[n++] = log.links[at];
  return n;
}

Status DiskGraph::Damage() const {
  if (!damaged_.load(std::memory_order_acquire)) return {};
  const std::lock_guard lock(resolving_);
  return damage_;
}

Status DiskGraph::ReadAll(LongWork& work) const {
  // Of rows and of lists: the block that was read last.
  uint32_t rows = UINT32_MAX, lists = UINT32_MAX;
  for (SlotId slot = 0; slot < record_.slots; ++slot) {
    if (Status ok = work.Did(); !ok) return ok;
    if (!IsPresent(slot)) continue;
    if (const uint32_t b = slot / geometry_.rows_per_block; b != rows)
      (void)ResolveRows(rows = b, Check::kAgain);
    if (InLog(slot) || slot >= record_.generation_slots) continue;
    if (const uint32_t b = slot / geometry_.lists_per_block; b != lists)
      (void)ResolveLists(lists = b, Check::kAgain);
  }
  for (SlotId slot = 0; slot < record_.slots; slot += geometry_.lists_per_block) (void)LogOf(slot);
  return Damage();
}

}  // namespace shoal
