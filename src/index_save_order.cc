// A snapshot's points in an order of their own, and their vectors in another store.
#include <algorithm>

#include "index_impl.h"

namespace shoal {

// Blocks of points that a few pages hold: each is a point and what its list leads to, then what the
// lists of these lead to, until it is full. The next block begins at a point that the last one has
// led to and has no place yet. (The block assignment of Wang et al., "Starling", SIGMOD 2024,
// section 4.2, "BNP". Deviations: 1. blocks are larger than a page, so that they serve rows and
// lists of any size; 2. a block goes on where the last one ended.)
std::vector<SlotId> IndexImpl::InOrderOfNeighbors(const std::vector<SlotId>& slots) const {
  constexpr size_t kBlock = 64;
  std::vector<SlotId> order;
  if (slots.empty()) return order;
  order.reserve(slots.size());
  // Slots that are to have a place. A list may lead to others meanwhile.
  std::vector<bool> waits(size_t{*std::max_element(slots.begin(), slots.end())} + 1, false);
  for (const SlotId slot : slots) waits[slot] = true;
  SlotId list[SearchScratch::kMaxIds];
  const auto place = [&](SlotId slot) {
    waits[slot] = false;
    order.push_back(slot);
  };
  // Gives places to what the list of order[at] leads to, at most up to `end`.
  const auto place_list_of = [&](size_t at, size_t end) {
    const size_t n = neighbors_.Copy(order[at], list);
    for (size_t i = 0; i < n && order.size() < end; ++i)
      if (list[i] < waits.size() && waits[list[i]]) place(list[i]);
  };
  size_t next = 0;  // The first point whose list may lead to points without a place.
  for (const SlotId slot : slots) {
    if (!waits[slot]) continue;
    place(slot);
    while (next < order.size()) {
      const size_t begin = order.size() - 1, end = begin + kBlock;
      for (size_t at = begin; at < order.size() && order.size() < end; ++at) place_list_of(at, end);
      // The next block begins with one point.
      for (; next < order.size(); ++next) {
        const size_t before = order.size();
        place_list_of(next, before + 1);
        if (order.size() > before) break;
      }
    }
  }
  return order;
}

Status IndexImpl::PutVectors(const SnapshotPoints& points, FeatureStore& to,
                             EpochRegistry::Guard& guard, const BatchOptions& batch) {
  constexpr size_t kAtOnce = 1024;
  std::vector<std::byte> bytes(VectorView(nullptr, options_.scalar_type, options_.dim).bytes());
  const MutableVectorView vector(bytes.data(), options_.scalar_type, options_.dim);
  const auto n = static_cast<uint32_t>(points.slots.size());
  if (Status grown = to.Grow(n + 1); !grown) return grown;
  for (uint32_t i = 0; i < n; ++i) {
    if (i % kAtOnce == 0 && batch.stop.stop_requested()) return Cancelled("save", i, n);
    const FeatureKey key{points.slots[i], slots_.external_id(points.slots[i])};
    if (Status copied = CopyVector(key, vector, guard); !copied) return copied;
    if (Status put = to.Put({i, key.id}, bytes.data()); !put) return put;
  }
  return to.Sync();
}

}  // namespace shoal
