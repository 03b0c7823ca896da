#include "store/epoch.h"

#include <new>
#include <utility>

#include "base/hooks.h"
#include "base/thread_number.h"

namespace shoal {
namespace {

// Bytes of scratch that a cell keeps from one operation to the next.
constexpr size_t kScratchKept = size_t{4} << 20;

// The holder is the only writer, so no read-modify-write is needed.
void Add(std::atomic<uint64_t>& total, uint64_t more) {
  if (more != 0)
    total.store(total.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
}

}  // namespace

// seq_cst, like the link itself: part of PIN.1 and ADV.1. An advancer that misses a fresh block has
// looked before its first cell was claimed. So that reader's second load of the epoch comes later.
EpochRegistry::Block* EpochRegistry::NextOf(const Block& block) {
  return block.next.load(std::memory_order_seq_cst);
}

EpochRegistry::EpochRegistry(MemoryBudget* budget) : first_(new Block), budget_(budget) {}

EpochRegistry::~EpochRegistry() {
  for (Block* block = first_; block != nullptr;) {
    Block* next = NextOf(*block);
    delete block;
    block = next;
  }
}

EpochRegistry::Cell* EpochRegistry::ClaimCell(uint64_t epoch) const {
  const size_t hint = ThreadNumber();  // Threads begin at different cells.
  for (Block* block = first_;;) {
    for (size_t i = 0; i < kBlockCells; ++i) {
      Cell& cell = block->cells[(hint + i) % kBlockCells];
      uint64_t expected = 0;
      if (cell.epoch.load(std::memory_order_relaxed) == 0 &&
          cell.epoch.compare_exchange_strong(expected, epoch, std::memory_order_seq_cst))
        return &cell;
    }
    Block* next = NextOf(*block);
    if (next == nullptr) {
      std::unique_ptr<Block> fresh(new (std::nothrow) Block);
      if (fresh == nullptr) {
        next = first_;  // No memory for more cells: wait for one of these.
      } else if (block->next.compare_exchange_strong(next, fresh.get(),
                                                     std::memory_order_seq_cst)) {
        next = fresh.release();
      }
    }
    block = next;
  }
}

EpochRegistry::Guard EpochRegistry::Pin() const {
  uint64_t epoch = epoch_.load(std::memory_order_seq_cst);
  SHOAL_SYNC_POINT("pin.before_claim");
  Cell* cell = ClaimCell(epoch);
  SHOAL_SYNC_POINT("pin.after_claim");
  for (;;) {  // PIN.1, pairs with ADV.1: write the epoch, then see that it is still the same.
    const uint64_t now = epoch_.load(std::memory_order_seq_cst);
    if (now == epoch) return Guard(cell, budget_);
    epoch = now;
    cell->epoch.store(epoch, std::memory_order_seq_cst);
  }
}

EpochRegistry::Guard::~Guard() {
  if (cell_ == nullptr) return;
  Add(cell_->distances, work.distances);
  Add(cell_->hops, work.hops);
  Add(cell_->rows_fetched, work.rows_fetched);
  Add(cell_->lists_read, work.lists_read);
  Add(cell_->lists_written, work.lists_written);
  Add(cell_->prunes, work.prunes);
  Add(cell_->reranked, work.reranked);
  if (work.filter_scans + work.filter_traversals + work.filter_two_hops > 0) {
    Add(cell_->filter_checks, work.filter_checks);
    Add(cell_->filter_scans, work.filter_scans);
    Add(cell_->filter_traversals, work.filter_traversals);
    Add(cell_->filter_two_hops, work.filter_two_hops);
    Add(cell_->filter_fallbacks, work.filter_fallbacks);
  }
  if (cell_->scratch != nullptr) {
    size_t bytes = cell_->scratch->bytes();
    // What one wide search or one hub took is not kept for ever.
    if (bytes > kScratchKept) {
      cell_->scratch.reset();
      bytes = 0;
    }
    if (const size_t before = cell_->scratch_bytes.load(std::memory_order_relaxed);
        bytes != before) {
      cell_->scratch_bytes.store(bytes, std::memory_order_relaxed);
      if (budget_ != nullptr) {
        budget_->Charge(bytes);
        budget_->Release(before);
      }
    }
  }
  // UNPIN.1, pairs with ADV.1: the reader's last loads come before what the advance permits.
  cell_->epoch.store(0, std::memory_order_release);
}

template <class Visit>
void EpochRegistry::ForEachCell(const Visit& visit) const {
  for (Block* block = first_; block != nullptr; block = NextOf(*block))
    for (Cell& cell : block->cells)
      if (!visit(cell)) return;
}

bool EpochRegistry::TryAdvance() {
  if (!advancing_.TryLock()) return false;
  const uint64_t now = epoch_.load(std::memory_order_seq_cst);
  bool all_here = true;
  ForEachCell([&](const Cell& cell) {
    // ADV.1, pairs with PIN.1 and UNPIN.1.
    const uint64_t pinned = cell.epoch.load(std::memory_order_seq_cst);
    all_here = pinned == 0 || pinned == now;
    return all_here;
  });
  SHOAL_SYNC_POINT("advance.before_bump");
  if (all_here) epoch_.store(now + 1, std::memory_order_seq_cst);
  advancing_.Unlock();
  return all_here;
}

// A cell is claimed as a reader claims it, so no other thread has its scratch. Nothing is read
// under the claim. So the epoch need not be loaded again: a stale one only delays the next advance.
void EpochRegistry::FreeIdleScratch() {
  ForEachCell([&](Cell& cell) {
    if (cell.scratch_bytes.load(std::memory_order_relaxed) == 0) return true;  // A hint.
    uint64_t expected = 0;
    if (!cell.epoch.compare_exchange_strong(expected, Current(), std::memory_order_seq_cst))
      return true;
    const uint64_t lists = cell.lists_read.load(std::memory_order_relaxed);
    if (std::exchange(cell.lists_seen, lists) == lists) {
      cell.scratch.reset();
      const uint64_t bytes = cell.scratch_bytes.exchange(0, std::memory_order_relaxed);
      if (budget_ != nullptr) budget_->Release(bytes);
    }
    // As UNPIN.1: the next holder sees what was written to the cell.
    cell.epoch.store(0, std::memory_order_release);
    return true;
  });
}

uint64_t EpochRegistry::OldestPin() const {
  uint64_t oldest = Current();
  ForEachCell([&](const Cell& cell) {
    const uint64_t pinned = cell.epoch.load(std::memory_order_seq_cst);
    if (pinned != 0 && pinned < oldest) oldest = pinned;
    return true;
  });
  return oldest;
}

WorkCounters EpochRegistry::Work() const {
  WorkCounters sum;
  ForEachCell([&](const Cell& cell) {
    sum += {.distances = cell.distances.load(std::memory_order_relaxed),
            .hops = cell.hops.load(std::memory_order_relaxed),
            .rows_fetched = cell.rows_fetched.load(std::memory_order_relaxed),
            .lists_read = cell.lists_read.load(std::memory_order_relaxed),
            .lists_written = cell.lists_written.load(std::memory_order_relaxed),
            .prunes = cell.prunes.load(std::memory_order_relaxed),
            .reranked = cell.reranked.load(std::memory_order_relaxed),
            .filter_checks = cell.filter_checks.load(std::memory_order_relaxed),
            .filter_scans = cell.filter_scans.load(std::memory_order_relaxed),
            .filter_traversals = cell.filter_traversals.load(std::memory_order_relaxed),
            .filter_two_hops = cell.filter_two_hops.load(std::memory_order_relaxed),
            .filter_fallbacks = cell.filter_fallbacks.load(std::memory_order_relaxed)};
    return true;
  });
  return sum;
}

uint64_t EpochRegistry::ScratchBytes() const {
  uint64_t sum = sizeof(EpochRegistry);
  for (Block* block = first_; block != nullptr; block = NextOf(*block)) sum += sizeof(Block);
  ForEachCell([&](const Cell& cell) {
    sum += cell.scratch_bytes.load(std::memory_order_relaxed);
    return true;
  });
  return sum;
}

}  // namespace shoal
