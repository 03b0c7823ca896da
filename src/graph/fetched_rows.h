// Rows that are not in memory: a search fetches those of a hop, a writer those that it compares.
//
// PROBLEM. A reader's rows stand until its next fetch; a prune, or a repair, compares rows that it
// has come upon in many. And a fetch can fail, in the middle of a change of the graph.
//
// IDEA. A search scores the rows of a hop at once, from the reader's own memory. Every other
// operation copies what it fetches to its scratch (row_arena.h), where it stands until the
// operation ends: nothing is fetched twice, and no pointer outlives its row.
//
// Errors are sticky: after the first the operation fetches nothing more, and its status has it. A
// search comes to its end quickly, then, with points that were not met; a writer changes no list
// any more whose edges are chosen by distance. What it must finish (a parent for a point that is
// live) it finishes without distances. Whoever began the operation looks at the status, and undoes.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "codec/full_codec.h"
#include "graph/row_arena.h"
#include "shoal/feature_store.h"
#include "shoal/result.h"
#include "store/slot_table.h"

namespace shoal {

// What fetches rows of a feature store. Of one operation after another.
struct FetchScratch {
  std::unique_ptr<FeatureReader> reader;  // Made at the first fetch.
  std::vector<FeatureKey> keys;
  std::vector<std::byte> rows;  // With what scores need beside the vectors.
  RowArena arena;
  Status status;        // The first error of the operation.
  bool closed = false;  // Nothing is fetched now: a lock is held, or there is no memory.
  bool used = false;    // Since the operation began.

  // Whether no row comes but those that are there.
  bool blind() const { return closed || !status; }
  // At the beginning and the end of an operation.
  void Begin() {
    if (!used) return;
    End();  // Of an operation that this one is in.
    arena.Clear();
    status = {};
    used = false;
  }
  void End() const {
    if (used && reader != nullptr) reader->Rest();
  }

  // While it lives, nothing is fetched.
  class Closed {
   public:
    explicit Closed(FetchScratch& fetch) : fetch_(fetch), was_(fetch.closed) {
      fetch_.closed = true;
    }
    ~Closed() { fetch_.closed = was_; }
    Closed(const Closed&) = delete;

   private:
    FetchScratch& fetch_;
    const bool was_;
  };
};

// Fetches rows of fetch.keys, at most SearchScratch::kMaxIds; null: the store has lost it.
Status FetchRows(FeatureStore& store, FetchScratch& fetch, const std::byte** rows);

// Constant after construction: any thread. Slots are readable, or the caller's own.
class FetchedRows {
 public:
  // `codec`: of the vectors as they are given, which are the store's rows. All outlive it.
  FetchedRows(FeatureStore& store, const FullCodec& codec, size_t vector_bytes,
              const SlotTable& slots)
      : store_(store),
        codec_(codec),
        vector_bytes_(vector_bytes),
        slots_(slots),
        origin_(codec.row_bytes()) {
    codec_.EncodeOrigin(origin_.data());
  }

  // Rows are read where they are from now on, if the store says where: without a call, and without
  // a look whether they are there. Before any other thread, and when all are there.
  void ReadInPlace() { addresses_ = store_.Addresses(); }
  // Keeps the slots whose rows are there, at most SearchScratch::kMaxIds, the start point's always.
  // rows[i]: until the next call. `eligible` goes with the slots. Returns their number.
  size_t Keep(SlotId* slots, bool* eligible, size_t n, const std::byte** rows,
              FetchScratch& fetch) const;
  // rows[i]: the row of slots[i], i < n, until the operation ends; null: it is not to be had.
  // bad_alloc, but not where nothing may be fetched.
  void Find(const SlotId* slots, size_t n, const std::byte** rows, FetchScratch& fetch) const;
  // What stands for a row that is not to be had where one must be there: the start point's.
  const std::byte* origin() const { return origin_.data(); }

 private:
  bool IsStart(SlotId slot) const { return slots_.tag(slot) == Tag::kFrozen; }
  // Fetches fetch.keys; an error is the operation's. `rows`: as FetchRows.
  void Fetch(FetchScratch& fetch, const std::byte** rows) const;

  FeatureStore& store_;
  const FullCodec& codec_;
  const size_t vector_bytes_;
  const SlotTable& slots_;
  std::vector<std::byte> origin_;
  std::optional<FeatureAddresses> addresses_;  // Constant after ReadInPlace.
};

// The rows of a view (searcher.h) that fetches.
class FetchingRows {
 public:
  FetchingRows(const FetchedRows& rows, FetchScratch& fetch) : rows_(&rows), fetch_(&fetch) {}

  size_t Keep(SlotId* slots, bool* eligible, size_t n, const std::byte** rows) const {
    return rows_->Keep(slots, eligible, n, rows, *fetch_);
  }
  // A hop's rows are fetched together.
  static constexpr bool prefetches_whole() { return true; }
  void Prefetch(SlotId /*slot*/) const {}

 private:
  const FetchedRows* rows_;
  FetchScratch* fetch_;
};

}  // namespace shoal
