// The memory of neighbour lists: for each slot a row of ids, and a record of what belongs to the
// row. What may be written when: the edge protocol (neighbors.h) and the parent rules
// (parent_forest.h).
//
// A row holds *words*: ids, each with the parent bit or without; kNoSlot from its end on. Readers
// copy a row with relaxed loads and no lock. Such a copy may hold old and new edges, each of which
// was in the row at some moment (docs/concurrency.md, "Caveats").
#pragma once

#include <algorithm>
#include <atomic>
#include <span>
#include <vector>

#include "base/memory.h"
#include "shoal/options.h"
#include "store/column.h"
#include "store/reverse_lists.h"
#include "store/slot_table.h"

namespace shoal {

// In a word: the edge is a parent edge.
inline constexpr SlotId kParentBit = 1u << 31;
static_assert((kMaxSlots & kParentBit) == 0);
inline SlotId IdOf(SlotId word) { return word & ~kParentBit; }
inline bool IsParentEdge(SlotId word) { return (word & kParentBit) != 0; }

class ListRecords {
 public:
  // The record of one slot.
  struct Meta {
    std::atomic<uint32_t> lock;     // 0 free, 1 held, 2 held and a thread may wait.
    std::atomic<uint32_t> version;  // Of the row. Written under the lock.
    std::atomic<uint32_t> parents;  // The parent forest's.
    // The reverse list. Written under the lock, read under it or to prefetch.
    std::atomic<ReversePool::ChunkId> reverse;
    std::atomic<uint64_t> rank;  // The parent forest's.
  };
  static_assert(sizeof(Meta) == 24);

  // max_degree: words in a row.
  ListRecords(MemoryBudget& budget, const SlotTable& slots, uint32_t max_degree)
      : slots_(slots),
        max_degree_(max_degree),
        rows_(max_degree * sizeof(SlotId)),
        reverse_(budget) {}

  Column& rows() const { return rows_; }
  TypedColumn<Meta>& metas() const { return metas_; }
  ReversePool& reverse() const { return reverse_; }
  const SlotTable& slots() const { return slots_; }
  uint32_t max_degree() const { return max_degree_; }
  uint64_t edges() const { return edges_.load(std::memory_order_relaxed); }

  Meta& meta(SlotId slot) const { return metas_[slot]; }
  bool CanHaveOutEdges(SlotId slot) const {
    const Tag tag = slots_.tag(slot);
    return IsPoint(tag) || tag == Tag::kFrozen;
  }
  // Copies the words of a row, at most max_degree, to `words`. Returns how many. Relaxed: the ids
  // are hints, and a tag is checked before what they lead to is read.
  size_t CopyWords(SlotId slot, SlotId* words) const {
    const Word* row = Row(slot);
    size_t n = 0;
    for (; n < max_degree_; ++n) {
      words[n] = row[n].load(std::memory_order_relaxed);
      if (words[n] == kNoSlot) break;
    }
    return n;
  }
  // Replaces `in` by a copy of a slot's reverse list: of all, or of at least min_ids of it.
  void CopyReverse(SlotId slot, std::vector<SlotId>& in, size_t min_ids = SIZE_MAX) const;

  void PrefetchRow(SlotId slot) const {
    const std::byte* row = rows_.At(slot);
    for (size_t i = 0; i < rows_.stride(); i += kCacheLine) {
      __builtin_prefetch(row + i);
      std::atomic_signal_fence(std::memory_order_seq_cst);  // Or g++ 12 drops the loop.
    }
  }
  void PrefetchForWriting(SlotId slot) const {
    __builtin_prefetch(&metas_[slot], 1);
    PrefetchRow(slot);
  }

  // Writes all words of a row and raises its version, and counts no edge. Under the slot's lock, or
  // where the caller alone has the slot.
  void WriteRow(SlotId slot, std::span<const SlotId> words) {
    for (size_t i = 0; i < max_degree_; ++i)
      SetWord(slot, i, i < words.size() ? words[i] : kNoSlot);
    RaiseVersion(slot);
  }
  // Likewise, for one word, without the version.
  void SetWord(SlotId slot, size_t i, SlotId word) {
    Row(slot)[i].store(word, std::memory_order_relaxed);
  }
  // Release, pairs with NeighborLists::Version: a computation that reads the new version copies the
  // new row, or a newer one.
  void RaiseVersion(SlotId slot) {
    auto& version = metas_[slot].version;
    version.store(version.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  // `more` edges than before are in all rows; negative: fewer.
  void CountEdges(int64_t more) {
    edges_.fetch_add(static_cast<uint64_t>(more), std::memory_order_relaxed);
  }

 private:
  using Word = std::atomic<SlotId>;
  Word* Row(SlotId slot) const { return reinterpret_cast<Word*>(rows_.At(slot)); }

  // Constant after construction.
  const SlotTable& slots_;
  const uint32_t max_degree_;

  // Rows: written under the slot's lock, read by all. Metas: see their members.
  mutable Column rows_;
  mutable TypedColumn<Meta> metas_;
  mutable ReversePool reverse_;
  std::atomic<uint64_t> edges_{0};
};

// The lock of one list: of a slot's row, record and reverse list. No thread holds two. A short
// spin, then the thread is parked: with more threads than CPUs the holder may not be running.
class ListLock {
 public:
  explicit ListLock(ListRecords::Meta& meta) : lock_(meta.lock) {
    uint32_t free = 0;
    if (lock_.compare_exchange_strong(free, 1, std::memory_order_acquire)) return;
    for (int i = 0; i < 64; ++i) {
      __builtin_ia32_pause();
      free = 0;
      if (lock_.load(std::memory_order_relaxed) == 0 &&
          lock_.compare_exchange_strong(free, 1, std::memory_order_acquire))
        return;
    }
    while (lock_.exchange(2, std::memory_order_acquire) != 0) lock_.wait(2);
  }
  ~ListLock() {
    if (lock_.exchange(0, std::memory_order_release) == 2) lock_.notify_one();
  }
  ListLock(const ListLock&) = delete;
  ListLock& operator=(const ListLock&) = delete;

 private:
  std::atomic<uint32_t>& lock_;
};

// A slot's row, locked, with a copy of its words.
class LockedRow {
 public:
  LockedRow(ListRecords& lists, SlotId slot)
      : lock_(lists.meta(slot)), lists_(lists), slot_(slot), size_(lists.CopyWords(slot, words_)) {}

  size_t size() const { return size_; }
  SlotId operator[](size_t i) const { return words_[i]; }
  std::span<const SlotId> words() const { return {words_, size_}; }
  uint32_t version() const { return lists_.meta(slot_).version.load(std::memory_order_relaxed); }
  // Where the edge to `id` is, whether it has the parent bit or not. size(): there is none.
  size_t Find(SlotId id) const {
    return static_cast<size_t>(
        std::find_if(words_, words_ + size_, [&](SlotId word) { return IdOf(word) == id; }) -
        words_);
  }
  // Likewise, for exactly this word.
  size_t FindWord(SlotId word) const {
    return static_cast<size_t>(std::find(words_, words_ + size_, word) - words_);
  }

  // --- Changes of edges. Each raises the version and keeps the count of edges.

  void Append(SlotId word) {
    Set(size_++, word);
    lists_.RaiseVersion(slot_);
    lists_.CountEdges(1);
  }
  void Replace(size_t i, SlotId word) {
    Set(i, word);
    lists_.RaiseVersion(slot_);
  }
  // The last word takes its place.
  void Remove(size_t i) {
    Set(i, words_[size_ - 1]);
    Set(--size_, kNoSlot);
    lists_.RaiseVersion(slot_);
    lists_.CountEdges(-1);
  }
  // All words. words() is that of before.
  void Assign(std::span<const SlotId> words) {
    lists_.WriteRow(slot_, words);
    lists_.CountEdges(static_cast<int64_t>(words.size()) - static_cast<int64_t>(size_));
  }

  // --- Changes of the parent bit. The edges are the same, and so is the version.

  void SetParentBit(size_t i) { Set(i, words_[i] | kParentBit); }
  void ClearParentBit(size_t i) { Set(i, IdOf(words_[i])); }

 private:
  void Set(size_t i, SlotId word) {
    words_[i] = word;
    lists_.SetWord(slot_, i, word);
  }

  const ListLock lock_;
  ListRecords& lists_;
  const SlotId slot_;
  SlotId words_[kMaxDegree];  // Before size_, whose initialiser fills it.
  size_t size_;
};

// A slot's reverse list, locked.
class LockedReverseList {
 public:
  LockedReverseList(const ListRecords& lists, SlotId slot)
      : lock_(lists.meta(slot)), list_(lists.reverse(), lists.meta(slot).reverse) {}
  ReverseList* operator->() { return &list_; }

 private:
  const ListLock lock_;
  ReverseList list_;
};

inline void ListRecords::CopyReverse(SlotId slot, std::vector<SlotId>& in, size_t min_ids) const {
  in.clear();
  LockedReverseList(*this, slot)->AppendTo(in, min_ids);
}

}  // namespace shoal
