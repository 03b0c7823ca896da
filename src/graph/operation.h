// What every operation on the graph carries: its work counters and its working memory.
#pragma once

#include <memory>
#include <vector>

#include "graph/fetched_rows.h"
#include "graph/linker.h"
#include "graph/neighbor_selector.h"
#include "graph/parent_keeper.h"
#include "graph/pruner.h"
#include "graph/repairer.h"
#include "graph/replacements.h"
#include "graph/search_scratch.h"
#include "store/epoch.h"

namespace shoal {

// An epoch cell owns it: the thread that holds the cell has it.
struct Scratch final : ScratchBase {
  explicit Scratch(size_t buffer_bytes) : query_buffer(buffer_bytes), row_buffer(buffer_bytes) {}

  SearchScratch search;
  SelectScratch select;
  PruneScratch prune;
  LinkScratch link;
  ReplacementScratch replacements;
  ParentScratch parents;
  RepairScratch repair;
  FetchScratch fetch;

  // The index: which ids a search has found, where points may be found twice.
  std::vector<uint32_t> id_table;

  // What a binding takes, each: it needs no memory.
  std::vector<std::byte> query_buffer;  // Of the query, or the row, that a search is for.
  std::vector<std::byte> row_buffer;    // Of a row that is bound and scored against at once.

  size_t bytes() const override {
    return sizeof(*this) + search.bytes() + select.bytes() + prune.bytes() + link.bytes() +
           replacements.bytes() + parents.bytes() + repair.bytes() +
           HeapBytes(id_table, query_buffer, row_buffer, fetch.keys, fetch.rows) +
           fetch.arena.bytes();
  }
};

// Made from the guard of the operation, which outlives it. Of two with one guard the inner one
// drops the rows that the outer one has fetched, and its status.
struct Operation {
  // Makes the scratch of the guard's cell, if it has none: bad_alloc. `buffer_bytes`: what a
  // binding takes, the same for all operations of an index.
  Operation(EpochRegistry::Guard& guard, size_t buffer_bytes)
      : work(guard.work), scratch(ScratchOf(guard.cell(), buffer_bytes)) {
    scratch.fetch.Begin();
  }
  ~Operation() { scratch.fetch.End(); }
  Operation(const Operation&) = delete;

  // Where rows are fetched: the first error of that. What the operation has found is not all then.
  const Status& fetched() const { return scratch.fetch.status; }

  WorkCounters& work;
  Scratch& scratch;

 private:
  static Scratch& ScratchOf(EpochRegistry::Cell& cell, size_t buffer_bytes) {
    if (cell.scratch == nullptr) cell.scratch = std::make_unique<Scratch>(buffer_bytes);
    return static_cast<Scratch&>(*cell.scratch);
  }
};

}  // namespace shoal
