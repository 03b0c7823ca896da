// The order in which many rows are inserted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "codec/full_codec.h"
#include "shoal/types.h"

namespace shoal {

// Fewer rows are inserted as they come: they fit the caches in any order.
inline constexpr size_t kOrderedFrom = size_t{1} << 15;

// Numbers of `rows` such that rows near each other come one after another: what the insert of one
// has fetched is in the caches for the next. For an index that has `points` points. Empty: as they
// come.
//
// The first rows stay as they come until the index has a point for every 8 rows, and at least
// kOrderedFrom: what comes region by region into an index that knows nothing of other regions makes
// a worse graph. The others are put in order by the nearest of up to 1,024 of them, which is looked
// for among those that share the nearest of 32. Rows i with known[i] != 0 will not be inserted, and
// cost next to nothing (`known` empty: all will). `threads`: as in BatchOptions. The same for the
// same rows whatever the threads.
std::vector<uint32_t> InsertOrder(const FullCodec& codec, MatrixView rows,
                                  std::span<const uint8_t> known, size_t points, size_t threads);

}  // namespace shoal
