// The order in which many rows are inserted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "codec/full_codec.h"
#include "shoal/options.h"
#include "shoal/types.h"

namespace shoal {

// Fewer rows are inserted as they come: they fit the caches in any order.
inline constexpr size_t kOrderedFrom = size_t{1} << 15;

// Numbers of `rows` in an order in which near rows follow each other: what the insert of one has
// read is in the caches for the next. Empty: as they come. `points`: the index's, before.
//
// The first rows stay as they come until the index has a point for every 8 rows, and at least
// kOrderedFrom: rows that come region by region into an index that has no points of other regions
// make a worse graph. The others are sorted by their pivot, the nearest of up to 1,024 rows; only
// pivots in the row's region, that of the nearest of 32, are compared. Rows i with known[i] != 0
// will not be inserted, and cost next to nothing. (`known` empty: all will be.) The order does not
// depend on batch.threads. After a request to stop it is of no use, and is soon there.
std::vector<uint32_t> InsertOrder(const FullCodec& codec, MatrixView rows,
                                  std::span<const uint8_t> known, size_t points,
                                  const BatchOptions& batch);

}  // namespace shoal
