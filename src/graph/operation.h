// What every operation on the graph carries: its work counters and its working memory.
#pragma once

#include <limits>
#include <utility>
#include <vector>

#include "codec/full_codec.h"
#include "graph/position_table.h"
#include "graph/search_scratch.h"
#include "store/epoch.h"
#include "store/neighbors.h"

namespace shoal {

// The working memory of one operation. The epoch cell owns it: the thread that holds the cell has
// it.
struct Scratch final : ScratchBase {
  // Reserves what writers need once they have begun to change lists: nothing throws from there on.
  explicit Scratch(size_t buffer_bytes) : query_buffer(buffer_bytes), row_buffer(buffer_bytes) {
    constexpr size_t kPool = 1024;
    pool.reserve(kPool);
    open.Resize(kPool);
    for (auto* ids_of_row : {&selected, &wanted, &pushed, &update.added, &repair.refused})
      ids_of_row->reserve(SearchScratch::kMaxIds);
    update.dropped.reserve(2 * SearchScratch::kMaxIds);  // All of the old row and all of the new.
  }

  // A prune's candidates that may be chosen yet, nearest first; see Graph::Choose.
  struct Open {
    size_t size = 0;
    bool in_group = false;  // Whether the point is one of a group of near duplicates.
    std::vector<SlotId> slots;
    std::vector<const std::byte*> rows;
    std::vector<float> distances;  // From the point whose neighbours are chosen.
    std::vector<float> ratios;
    std::vector<float> between;  // Distances from the one chosen last.

    void Resize(size_t n) {
      size = n;
      if (n <= slots.size()) return;
      slots.resize(n);
      rows.resize(n);
      distances.resize(n);
      ratios.resize(n);
      between.resize(n);
    }
    size_t bytes() const {
      return slots.capacity() * sizeof(SlotId) + rows.capacity() * sizeof(void*) +
             (distances.capacity() + ratios.capacity() + between.capacity()) * sizeof(float);
    }
  };

  // Of replacements that are not to be chosen: no distance is that long.
  static constexpr float kUnusable = std::numeric_limits<float>::infinity();

  // The first few of a row that are no replacements, and once one asks for them (measured), their
  // rows and how far they are from the row's owner and from the candidate asked for last.
  struct Others {
    SlotId owner = kNoSlot;
    bool measured = false;
    std::vector<SlotId> slots;
    std::vector<const std::byte*> rows;
    std::vector<float> from_owner, from_candidate;

    void Begin(SlotId of) {
      owner = of;
      measured = false;
      slots.clear();
    }
    void Resize(size_t n) {
      rows.resize(n);
      from_owner.resize(n);
      from_candidate.resize(n);
    }
    size_t bytes() const {
      return slots.capacity() * sizeof(SlotId) + rows.capacity() * sizeof(void*) +
             (from_owner.capacity() + from_candidate.capacity()) * sizeof(float);
    }
  };

  // What a repair works with, beside what its searches and prunes take from the rest.
  struct Repair {
    std::vector<SlotId> in, out;         // Of the deleted point.
    std::vector<SlotId> dead;            // Its neighbours that are deleted, too.
    std::vector<SlotId> replacements;    // The live ones that may take its place,
    PositionTable positions;             // where they stand,
    std::vector<const std::byte*> rows;  // their rows,
    std::vector<float> from_deleted;     // how far they are from the deleted point,
    float far = 0;                       // which of these distances are long,
    std::vector<float> usable;           // (a copy of `distances` while some are struck out)
    std::vector<float> distances;        // and how far they are from the slot last scored.
    std::vector<float> between;          // (replacements x replacements: between two of them)
    std::vector<uint16_t> in_row;        // Positions of the replacements that the row at hand has,
    std::vector<float> from_owner;       // how far they are from its owner,
    Others others;                       // and what else it has.
    std::vector<SlotId> adopting;
    std::vector<SlotId> refused;
    std::vector<std::pair<SlotId, SlotId>>
        releasing;  // Slots, each with a guard that it will lose.

    size_t bytes() const {
      const size_t words = in.capacity() + out.capacity() + dead.capacity() +
                           replacements.capacity() + adopting.capacity() + refused.capacity() +
                           2 * releasing.capacity() + distances.capacity() +
                           from_deleted.capacity() + usable.capacity() + between.capacity() +
                           from_owner.capacity();
      return words * sizeof(SlotId) + in_row.capacity() * sizeof(uint16_t) + positions.bytes() +
             others.bytes() + rows.capacity() * sizeof(void*);
    }
  };

  SearchScratch search;

  // Inserts: what the search expanded, and the selection among it.
  std::vector<Candidate> pool;
  std::vector<Candidate> by_product;  // Of the same, where distances are negated products.
  Open open;
  std::vector<SlotId> selected;
  std::vector<SlotId> wanted;
  std::vector<SlotId> pushed;
  NeighborLists::RowUpdate update;

  Repair repair;

  // Which ids a search has found, where points may be found twice.
  std::vector<uint32_t> id_table;

  // FullCodec::buffer_bytes() each.
  std::vector<std::byte> query_buffer;  // Of the query, or the row, that a search is for.
  std::vector<std::byte> row_buffer;    // Of a row that is bound and scored against at once.

  size_t bytes() const override {
    return sizeof(*this) + search.bytes() +
           (pool.capacity() + by_product.capacity()) * sizeof(Candidate) +
           (selected.capacity() + wanted.capacity() + pushed.capacity() +
            update.dropped.capacity() + update.added.capacity()) *
               sizeof(uint32_t) +
           id_table.capacity() * sizeof(uint32_t) + repair.bytes() + open.bytes() +
           query_buffer.capacity() + row_buffer.capacity();
  }
};

// One operation, under an epoch guard, which outlives it.
struct Operation {
  // Makes the scratch of the guard's cell, if it has none: bad_alloc.
  Operation(EpochRegistry::Guard& guard, const FullCodec& codec)
      : work(guard.work), scratch(ScratchOf(guard.cell(), codec)) {}

  WorkCounters& work;
  Scratch& scratch;

 private:
  static Scratch& ScratchOf(EpochRegistry::Cell& cell, const FullCodec& codec) {
    if (cell.scratch == nullptr) cell.scratch = std::make_unique<Scratch>(codec.buffer_bytes());
    return static_cast<Scratch&>(*cell.scratch);
  }
};

}  // namespace shoal
