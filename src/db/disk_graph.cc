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
      log_of_(record.slots),
      anchored_(record.slots),
      named_(record.slots),
      zero_rows_(geometry_.row_block_bytes),
      empty_lists_(geometry_.list_block_bytes, std::byte{0xff}),
      row_blocks_(
          new std::atomic<const std::byte*>[DivideUp(record.slots, geometry_.rows_per_block) +
                                            1]()),
      list_blocks_(
          new std::atomic<const std::byte*>[DivideUp(record.slots, geometry_.lists_per_block) +
                                            1]()) {}

Result<std::unique_ptr<DiskGraph>> DiskGraph::Open(ReadTxn txn, const IndexRecord& record,
                                                   size_t row_bytes) {
  try {
    std::unique_ptr<DiskGraph> graph(new DiskGraph(std::move(txn), record, row_bytes));
    Status ok = graph->ReadStates();
    if (ok) ok = graph->ReadAnchors();
    if (ok) ok = graph->ReadSeeds();
    if (ok) ok = graph->ReadTail();
    if (!ok) return tl::unexpected(ok.error());
    return graph;
  } catch (const std::bad_alloc&) {
    return MakeError(ErrorCode::kOutOfMemory, "database: no memory for an index");
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
    Chain(anchored_, anchor.anchor, anchor.point);
  }
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

void DiskGraph::Chain(ZeroArray<uint32_t>& heads, SlotId at, SlotId point) {
  links_.push_back({point, heads[at]});
  heads[at] = static_cast<uint32_t>(links_.size());
}

Status DiskGraph::ReadTail() {
  const auto insert = [this](const LoggedPoint& point) -> Status {
    LoggedPoint kept = point;
    kept.list = {};
    words_.insert(words_.end(), point.list.begin(), point.list.end());
    logged_.push_back(kept);
    logged_.back().list = {static_cast<const SlotId*>(nullptr), point.list.size()};
    log_of_[point.slot] = static_cast<uint32_t>(logged_.size());
    live_[point.slot / 64] |= uint64_t{1} << point.slot % 64;
    present_[point.slot / 64] |= uint64_t{1} << point.slot % 64;
    Chain(anchored_, point.anchor, point.slot);
    for (const SlotId word : point.list) Chain(named_, word, point.slot);
    return {};
  };
  const auto kill = [this](SlotId slot) -> Status {
    live_[slot / 64] &= ~(uint64_t{1} << slot % 64);
    return {};
  };
  if (Status ok = ReadLog(txn_, record_, {insert, kill}); !ok) return ok;
  const SlotId* list = words_.data();  // They do not move any more.
  for (LoggedPoint& point : logged_) {
    point.list = {list, point.list.size()};
    list += point.list.size();
  }
  return {};
}

const std::byte* DiskGraph::Resolve(Table table, const Key& key, const BlockHeader& expected,
                                    size_t bytes, const Block& instead) const {
  const auto value = txn_.Get(table, key);
  Status ok;
  if (!value) {
    ok = tl::unexpected(value.error());
  } else if (value->size() != bytes) {
    ok = Mismatch(ErrorCode::kCorrupt,
                  txn_.environment().path().string() + ": " + NameOfBlock(expected) + ": bytes",
                  std::to_string(bytes), std::to_string(value->size()));
  } else if (const auto header = CheckBlock(txn_.environment().path().string(), *value, expected);
             !header) {
    ok = tl::unexpected(header.error());
  } else {
    return value->data();
  }
  if (damage_) damage_ = std::move(ok);
  damaged_.store(true, std::memory_order_release);
  return instead.data();
}

const std::byte* DiskGraph::ResolveRows(uint32_t block) const {
  const std::lock_guard lock(resolving_);
  const std::byte* const at =
      Resolve(Table::kRows, RowsKey(record_.number, block),
              {.kind = BlockKind::kRows, .index = record_.number, .number = block},
              geometry_.row_block_bytes, zero_rows_);
  row_blocks_[block].store(at, std::memory_order_release);
  return at;
}

const std::byte* DiskGraph::ResolveLists(uint32_t block) const {
  const std::lock_guard lock(resolving_);
  const std::byte* const at =
      Resolve(Table::kGraph, GraphKey(record_.number, record_.generation, GraphPart::kLists, block),
              {.kind = BlockKind::kLists,
               .index = record_.number,
               .number = block,
               .generation = record_.generation},
              geometry_.list_block_bytes, empty_lists_);
  list_blocks_[block].store(at, std::memory_order_release);
  return at;
}

ExternalId DiskGraph::IdOf(SlotId slot) const {
  if (log_of_[slot] != 0) return logged_[log_of_[slot] - 1].id;
  ExternalId id;
  std::memcpy(&id, ListBlock(slot) + geometry_.IdOffset(slot), sizeof(id));
  return id;
}

size_t DiskGraph::CopyList(SlotId slot, SlotId* out) const {
  if (log_of_[slot] != 0) {
    const std::span<const SlotId> list = logged_[log_of_[slot] - 1].list;
    std::copy(list.begin(), list.end(), out);
    return list.size();
  }
  if (slot >= record_.generation_slots) return 0;  // The start point, before the first pass.
  const std::byte* const list = ListBlock(slot) + geometry_.ListOffset(slot);
  std::memcpy(out, list, geometry_.max_degree * sizeof(SlotId));
  return static_cast<size_t>(std::find(out, out + geometry_.max_degree, kNoSlot) - out);
}

size_t DiskGraph::Expand(SlotId slot, SlotId* out, size_t most) const {
  size_t n = CopyList(slot, out);
  for (uint32_t at = anchored_[slot]; at != 0 && n < most; at = links_[at - 1].next)
    out[n++] = links_[at - 1].point;
  const size_t end = std::min<size_t>(most, n + geometry_.max_degree);
  for (uint32_t at = named_[slot]; at != 0 && n < end; at = links_[at - 1].next)
    out[n++] = links_[at - 1].point;
  return n;
}

void DiskGraph::PrefetchRow(SlotId slot) const {
  const std::byte* const block =
      row_blocks_[slot / geometry_.rows_per_block].load(std::memory_order_acquire);
  if (block == nullptr) return;
  const std::byte* const row = block + geometry_.RowOffset(slot);
  const size_t bytes = std::min<size_t>(geometry_.row_bytes, 8 * kCacheLine);
  for (size_t at = 0; at < bytes; at += kCacheLine) {
    __builtin_prefetch(row + at, 0, 3);
    std::atomic_signal_fence(std::memory_order_seq_cst);  // Or g++ 12 keeps the first alone.
  }
}

void DiskGraph::PrefetchList(SlotId slot) const {
  if (slot >= record_.generation_slots || log_of_[slot] != 0) return;
  const std::byte* const block =
      list_blocks_[slot / geometry_.lists_per_block].load(std::memory_order_acquire);
  if (block == nullptr) return;
  const std::byte* const list = block + geometry_.ListOffset(slot);
  for (size_t at = 0; at < geometry_.max_degree * sizeof(SlotId); at += kCacheLine)
    __builtin_prefetch(list + at);
}

Status DiskGraph::Damage() const {
  if (!damaged_.load(std::memory_order_acquire)) return {};
  const std::lock_guard lock(resolving_);
  return damage_;
}

Status DiskGraph::ReadAll() const {
  for (SlotId slot = 0; slot < record_.slots; ++slot) {
    if (!IsPresent(slot)) continue;
    (void)Row(slot);
    if (!InLog(slot) && slot < record_.generation_slots) (void)ListBlock(slot);
  }
  return Damage();
}

}  // namespace shoal
