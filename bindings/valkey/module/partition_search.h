// The part of a gathered search that this node does: the partitions whose keys it has.
#pragma once

#include <functional>

#include "bindings/valkey/abi/redis_module.h"
#include "bindings/valkey/core/gather.h"

namespace shoal::vset_module {

// Searches every partition that this node answers for, on worker threads, and hands the answer to
// `done` on the main thread, soon or at once. In a cluster these are: of a master the keys that it
// has, and the keys that nothing has in slots that it serves. Without a cluster: all. Main thread.
void SearchPartitions(redis::Ctx* ctx, vset::GatherRequest request,
                      std::function<void(vset::GatherAnswer)> done);

}  // namespace shoal::vset_module
