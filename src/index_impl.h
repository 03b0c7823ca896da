// The wiring of an index: which parts there are, in the order in which they depend on each other.
#pragma once

#include <memory>

#include "base/memory.h"
#include "base/mutex.h"
#include "codec/full_codec.h"
#include "graph/graph.h"
#include "persist/graph_image.h"
#include "shoal/index.h"
#include "store/epoch.h"
#include "store/feature_store.h"
#include "store/id_map.h"
#include "store/neighbors.h"
#include "store/slot_table.h"

namespace shoal {

class IndexImpl {
 public:
  explicit IndexImpl(const IndexOptions& options);
  static Result<Index> Create(const IndexOptions& options);
  static IndexImpl& Of(const Index& index) { return *index.impl_; }

  Status Insert(ExternalId id, VectorView vector);
  Result<InsertReport> InsertMany(std::span<const ExternalId> ids, MatrixView rows,
                                  const BatchOptions& batch);
  Status Refine(const BatchOptions& batch);
  Result<size_t> Search(VectorView query, const SearchOptions& options, std::span<ExternalId> ids,
                        std::span<float> distances, WorkCounters* work);
  Result<std::vector<Hit>> RangeSearch(VectorView query, const RangeOptions& options);
  bool Contains(ExternalId id);
  IndexStats Stats() const;
  Status CheckStructure();

  Result<GraphImage> Export(bool dynamic);
  Status Import(const GraphImage& image);

  const IndexOptions& options() const { return options_; }
  size_t size() const { return slots_.live(); }

 private:
  Scratch& ScratchOf(EpochRegistry::Guard& guard) const;
  // A slot with this row and this id, reserved in the id map.
  Result<OwnedSlot> Reserve(ExternalId id, VectorView vector);
  void Unreserve(ExternalId id);
  Status InsertReserved(ExternalId id, OwnedSlot slot);
  // Makes a start point of this vector if there is none.
  Status EnsureStart(VectorView vector);
  // Of valid rows, the one nearest the middle of a sample; rows.rows() if there is no valid one.
  size_t CentralRow(MatrixView rows) const;
  std::vector<SlotId> LiveSlots() const;

  // Constant after construction.
  const IndexOptions options_;

  // Own synchronisation.
  MemoryBudget budget_;
  EpochRegistry epochs_;
  FullCodec codec_;
  RamFeatureStore features_;
  NeighborLists neighbors_;
  SlotTable slots_;
  IdMap ids_;
  Graph graph_;

  Mutex starting_;  // Held to make the first start point.
};

}  // namespace shoal
