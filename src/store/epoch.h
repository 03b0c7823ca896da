// Epochs: how it is known that no reader can reach a retired slot any more, while readers write no
// shared cache line. docs/concurrency.md, "Epochs", has the proof.
//
// A reader claims a cell of its own by writing the epoch into it, loads the epoch again, and
// repeats until both agree (PIN.1). The epoch advances from e to e + 1 only when every claimed cell
// holds e (ADV.1). All four accesses are seq_cst. So either the advancer sees the cell, or the
// reader's second load sees the advance.
//
// LEMMA. While a reader is pinned at e, the epoch is e or e + 1.
// So a slot that is retired under a guard pinned at r may be reclaimed from epoch r + kGracePeriod
// on: a reader that found it readable was pinned at r + 1 at most, and has left.
//
// Unpin stores 0 with release (UNPIN.1), which pairs with the advancer's load (ADV.1): the reader's
// last loads come before the slot's next use.
//
// A cell also owns the scratch of the operation that holds it. Cells come in blocks. A block is
// added when all cells are taken; it never moves, and is freed with the registry.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/memory.h"
#include "base/mutex.h"
#include "shoal/stats.h"

namespace shoal {

// Working memory of one operation; the operation's layer derives from it.
struct ScratchBase {
  virtual ~ScratchBase() = default;
  // Bytes that it holds now.
  virtual size_t bytes() const = 0;
};

class EpochRegistry {
 public:
  static constexpr uint64_t kGracePeriod = 3;

  // One reader's record. Padded: no other thread writes its lines.
  struct alignas(2 * kCacheLine) Cell {
    std::atomic<uint64_t> epoch{0};  // 0: free.

    // Written by the thread that holds the cell; read by any.
    std::atomic<uint64_t> distances{0}, hops{0}, rows_fetched{0}, lists_read{0}, lists_written{0},
        prunes{0}, reranked{0}, filter_checks{0}, filter_scans{0}, filter_traversals{0},
        filter_two_hops{0}, filter_fallbacks{0};
    std::atomic<uint64_t> scratch_bytes{0};

    // For the thread that holds the cell only.
    std::unique_ptr<ScratchBase> scratch;
    uint64_t lists_seen = 0;  // lists_read at the last FreeIdleScratch.
  };

  // A pinned reader. What it finds readable stays as it is while it lives. One per operation, held
  // from the first read to the last write. Movable; used by one thread.
  class Guard {
   public:
    Guard(Guard&& other) noexcept : work(other.work), cell_(other.cell_), budget_(other.budget_) {
      other.cell_ = nullptr;
    }
    Guard& operator=(Guard&&) = delete;
    ~Guard();
    // The epoch it is pinned at.
    uint64_t epoch() const { return cell_->epoch.load(std::memory_order_relaxed); }
    Cell& cell() const { return *cell_; }
    // Added to the registry's totals by the destructor.
    WorkCounters work;

   private:
    friend class EpochRegistry;
    Guard(Cell* cell, MemoryBudget* budget) : cell_(cell), budget_(budget) {}
    Cell* cell_;
    MemoryBudget* budget_;
  };

  // `budget`: charged with the scratch that cells keep, even beyond its limit. May be null.
  explicit EpochRegistry(MemoryBudget* budget = nullptr);
  ~EpochRegistry();
  EpochRegistry(const EpochRegistry&) = delete;

  // Never waits, unless all cells are taken and there is no memory for more: then for a cell.
  Guard Pin() const;

  // Advances the epoch if no reader is pinned at an older one. False: one is, or another thread is
  // trying.
  bool TryAdvance();
  uint64_t Current() const { return epoch_.load(std::memory_order_seq_cst); }
  // The oldest epoch that a reader is pinned at; Current() when there is none.
  uint64_t OldestPin() const;

  // Frees the scratch of cells that are not held and under which no list was read since the last
  // call. Any thread.
  void FreeIdleScratch();

  WorkCounters Work() const;
  uint64_t ScratchBytes() const;

 private:
  static constexpr size_t kBlockCells = 64;
  struct Block {
    std::array<Cell, kBlockCells> cells;
    std::atomic<Block*> next{nullptr};
  };
  static Block* NextOf(const Block& block);
  Cell* ClaimCell(uint64_t epoch) const;
  template <class Visit>
  void ForEachCell(const Visit& visit) const;

  alignas(2 * kCacheLine) std::atomic<uint64_t> epoch_{1};
  // Constant; further blocks are linked to it.
  Block* const first_;
  MemoryBudget* const budget_;
  Mutex advancing_;
};

}  // namespace shoal
