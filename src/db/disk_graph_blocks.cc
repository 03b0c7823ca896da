// Where a DiskGraph finds the blocks of rows and lists.
#include <algorithm>
#include <string>
#include <utility>

#include "base/mismatch.h"
#include "base/round.h"
#include "db/disk_graph.h"

namespace shoal {

// Returns FoundBlocks::TakeOver's.
uint64_t DiskGraph::TakeOverBlocks() {
  const FoundBlocks::Commit commit{
      .generation = record_.generation,
      .start = record_.start,
      .number = record_.last_commit,
      .row_blocks = DivideUp(record_.slots, geometry_.rows_per_block) + 1,
      .list_blocks = DivideUp(record_.slots, geometry_.lists_per_block) + 1};
  std::shared_ptr<FoundBlocks> earlier = txn_.environment().found_blocks().Of(record_.number);
  uint64_t until = UINT64_MAX;
  if (earlier != nullptr && earlier->of() == commit) {
    found_ = std::move(earlier);
  } else {
    found_ = std::make_shared<FoundBlocks>(commit);
    if (earlier != nullptr) until = found_->TakeOver(*earlier);
  }
  row_blocks_ = found_->rows();
  list_blocks_ = found_->lists();
  return until;
}

// Of rows or lists.
const std::byte* DiskGraph::Resolve(const Key& key, const BlockHeader& expected,
                                    Check check) const {
  const bool is_rows = expected.kind == BlockKind::kRows;
  const size_t bytes = is_rows ? geometry_.row_block_bytes : geometry_.list_block_bytes;
  const Environment& environment = txn_.environment();
  const auto value = txn_.Get(is_rows ? Table::kRows : Table::kGraph, key);
  Status ok;
  if (!value) {
    ok = tl::unexpected(value.error());
  } else if (value->size() != bytes) {
    ok = Mismatch(ErrorCode::kCorrupt,
                  environment.path().string() + ": " + NameOfBlock(expected) + ": bytes",
                  std::to_string(bytes), std::to_string(value->size()));
  } else if (const auto header =
                 CheckBlock(environment.path().native(), *value, expected,
                            check == Check::kOnce ? &environment.checked_blocks() : nullptr);
             !header) {
    ok = tl::unexpected(header.error());
  } else {
    return value->data();
  }
  Note(std::move(ok));
  return is_rows ? zero_rows_.data() : empty_lists_.data();
}

// Under resolving_. Other snapshots get the place, too: so `damaged`, which is this one's, is none.
const std::byte* DiskGraph::Remember(std::atomic<const std::byte*>& place, const std::byte* found,
                                     const Block& damaged, Check check) const {
  const bool is_good = found != damaged.data();
  const std::byte* const before =
      place.exchange(is_good ? found : nullptr, std::memory_order_acq_rel);
  if (check == Check::kAgain && is_good && before != nullptr && before != found)
    Note(MakeError(ErrorCode::kCorrupt, txn_.environment().path().string() + ": index " +
                                            std::to_string(record_.number) +
                                            ": a block is not where it was found"));
  return found;
}

const std::byte* DiskGraph::ResolveRows(uint32_t block, Check check) const {
  const std::lock_guard lock(resolving_);
  const std::byte* const at =
      Resolve(RowsKey(record_.number, block),
              {.kind = BlockKind::kRows, .index = record_.number, .number = block}, check);
  return Remember(row_blocks_[block], at, zero_rows_, check);
}

const std::byte* DiskGraph::ResolveLists(uint32_t block, Check check) const {
  const std::lock_guard lock(resolving_);
  const std::byte* const at =
      Resolve(GraphKey(record_.number, record_.generation, GraphPart::kLists, block),
              {.kind = BlockKind::kLists,
               .index = record_.number,
               .number = block,
               .generation = record_.generation},
              check);
  return Remember(list_blocks_[block], at, empty_lists_, check);
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
  if (slot >= record_.generation_slots || InLog(slot)) return;
  const std::byte* const block =
      list_blocks_[slot / geometry_.lists_per_block].load(std::memory_order_acquire);
  if (block == nullptr) return;
  const std::byte* const list = block + geometry_.ListOffset(slot);
  for (size_t at = 0; at < geometry_.max_degree * sizeof(SlotId); at += kCacheLine)
    __builtin_prefetch(list + at);
}

}  // namespace shoal
