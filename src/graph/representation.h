// One way in which an index keeps the vectors of its points.
#pragma once

#include "codec/codec.h"
#include "store/feature_store.h"

namespace shoal {

// What the bytes of a row mean, and where the rows are. A small value; any thread.
struct Representation {
  const Codec& codec;
  const RamFeatureStore& features;

  Rows rows() const { return features.rows(); }
  const std::byte* Row(SlotId slot) const { return features.rows().At(slot); }
};

}  // namespace shoal
