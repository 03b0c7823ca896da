// Epochs: how a slot is known to have no reader left, without readers writing anything shared.
//
// PROBLEM. A slot that was deleted may still be read by searches that met it before. It must not be
// used again until they are gone; they must not take a lock, nor touch a cache line that others
// write.
//
// WRONG ATTEMPTS. (1) A reference count a slot: every reader writes a shared line per row. (2) "Two
// epochs later": a reader that loads the epoch, is descheduled, and only then claims its cell may
// announce an epoch that is long over.
//
// IDEA. A reader claims a cell of its own with the current epoch, reloads the epoch, and repeats
// until both agree (PIN.1). The epoch advances from e to e + 1 only when every claimed cell holds e
// (ADV.1). All four accesses are seq_cst, so in their single order either the advancer sees the
// cell, or the reader's reload sees the advance.
//
// LEMMA. While a reader is pinned at e, the epoch is e or e + 1.
// So: who retires a slot under a guard of epoch r does so while the epoch is at most r + 1; every
// reader that saw the slot readable is pinned at most at r + 1; when the epoch is r + 3, that
// reader is gone. A slot retired under r is reused from r + kGracePeriod on. With 1 in place of 3
// the stress test sees torn rows within seconds.
//
// Unpin stores 0 with release (UNPIN.1), which pairs with the advancer's load (ADV.1): the reader's
// last loads happen before the slot's next life.
//
// A cell also owns what an operation works with (the scratch): whoever has the cell has the
// scratch, so there is no other pool. Cells come in blocks; a block is linked on when all are
// taken, is never freed before the registry and never moves.
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

// Working memory of one operation. Derived from by those who need some.
struct ScratchBase {
  virtual ~ScratchBase() = default;
  // Bytes that it holds now.
  virtual size_t bytes() const = 0;
};

class EpochRegistry {
 public:
  static constexpr uint64_t kGracePeriod = 3;

  // One reader's place. Padded: no other thread writes its lines.
  struct alignas(2 * kCacheLine) Cell {
    std::atomic<uint64_t> epoch{0};  // 0: free.

    // Written by whoever holds the cell; read by Stats from anywhere.
    std::atomic<uint64_t> distances{0}, hops{0}, rows_fetched{0}, lists_read{0}, lists_written{0},
        prunes{0};
    std::atomic<uint64_t> scratch_bytes{0};

    // Touched by the holder of the cell only.
    std::unique_ptr<ScratchBase> scratch;
    uint64_t lists_seen = 0;  // lists_read at the last FreeIdleScratch.
  };

  // A pinned reader. Everything readable that it meets stays until it is gone. One per operation,
  // held from the first read to the last write; movable, used by one thread.
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
    // Counts that are added to the registry's totals when the guard goes.
    WorkCounters work;

   private:
    friend class EpochRegistry;
    Guard(Cell* cell, MemoryBudget* budget) : cell_(cell), budget_(budget) {}
    Cell* cell_;
    MemoryBudget* budget_;
  };

  // `budget`: charged with the scratch that cells keep, whatever is left of it; null: nobody is.
  explicit EpochRegistry(MemoryBudget* budget = nullptr);
  ~EpochRegistry();
  EpochRegistry(const EpochRegistry&) = delete;

  // Waits for nobody (but when all cells are taken and there is no memory for more, for a cell).
  Guard Pin() const;

  // Advances the epoch if no reader is pinned at an older one; at once false if another thread is
  // trying. True if this call advanced.
  bool TryAdvance();
  uint64_t Current() const { return epoch_.load(std::memory_order_seq_cst); }
  // The oldest epoch that a reader is pinned at; Current() when there is none.
  uint64_t OldestPin() const;

  // Frees the scratch of cells that no thread holds and with which none has read a list since the
  // last call: that of threads that came once. Any thread.
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
  // Set at construction; further blocks hang on `next`.
  Block* const first_;
  MemoryBudget* const budget_;
  Mutex advancing_;
};

}  // namespace shoal
