// Counts for the server's INFO command. Main thread.
#pragma once

#include <cstdint>

#include "bindings/valkey/abi/redis_module.h"

namespace shoal::vset_module {

struct Statistics {
  uint64_t searches_at_once = 0;
  uint64_t searches_on_threads = 0;
};

Statistics& CurrentStatistics();

inline void Count(uint64_t Statistics::*field) { ++(CurrentStatistics().*field); }

// Adds a section to INFO: what the pool does, the counts above, the memory of graphs.
bool RegisterInfo(redis::Ctx* ctx);

}  // namespace shoal::vset_module
