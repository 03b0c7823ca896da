#include "bindings/valkey/module/statistics.h"

#include "bindings/valkey/module/at_rest.h"
#include "bindings/valkey/module/pool.h"
#include "shoal/stats.h"

namespace shoal::vset_module {

namespace {

void AddInfo(redis::InfoCtx* info, int for_crash_report) {
  if (for_crash_report != 0) return;  // The thread that crashed may hold the pool's lock.
  const Pool::Counts pool = Pool::Instance().counts();
  const Statistics& counts = CurrentStatistics();
  redis::InfoAddSection(info, "vectorsets");
  redis::InfoAddFieldULongLong(info, "threads", Pool::Instance().threads());
  redis::InfoAddFieldULongLong(info, "running_tasks", pool.running);
  redis::InfoAddFieldULongLong(info, "queued_searches", pool.queued_searches);
  redis::InfoAddFieldULongLong(info, "queued_links", pool.queued_links);
  redis::InfoAddFieldULongLong(info, "searches_at_once", counts.searches_at_once);
  redis::InfoAddFieldULongLong(info, "searches_on_threads", counts.searches_on_threads);
  redis::InfoAddFieldULongLong(info, "graph_bytes", MappedBytes());
  redis::InfoAddFieldULongLong(info, "last_fork_wait_us", LastForkWait());
}

}  // namespace

Statistics& CurrentStatistics() {
  static Statistics statistics;
  return statistics;
}

bool RegisterInfo(redis::Ctx* ctx) { return redis::RegisterInfoFunc(ctx, AddInfo) == redis::kOk; }

}  // namespace shoal::vset_module
