// Vector sets of Redis 8 itself, as it dumps them (encoding version 0 of the type "vectorset").
#pragma once

#include <memory>

#include "bindings/valkey/abi/redis_module.h"
#include "bindings/valkey/core/vector_set.h"

namespace shoal::vset_module {

// Names, vectors and attributes; the graph is read over, and built again. Layout, as dumps of Redis
// 8.0.2 show it:
//   dim, elements, M << 8 | quantisation (0 float32, 1 int8, 2 bits), flags (1: there is a
//   projection, 2: elements have attributes)
//   each element: name, attribute (if flagged), vector, count of numbers, so many numbers, of which
//   the last has as float32 the norm and, of int8, the range
// The input may be hostile. Corrupt: cut off, or breaks a rule. Unsupported: a projection (REDUCE),
// which is another than ours; unknown flags.
Result<std::unique_ptr<vset::VectorSet>> LoadOfRedis8(redis::Io* io);

}  // namespace shoal::vset_module
