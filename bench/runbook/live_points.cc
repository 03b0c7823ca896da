#include "runbook/live_points.h"

#include <fmt/format.h>

#include <algorithm>

namespace shoal::bench {

Status LivePoints::Apply(const Runbook& runbook, const Step& step) {
  if (step.operation == Operation::kSearch) return {};
  const bool inserts = step.operation == Operation::kInsert;
  if (inserts && rows_.size() < step.points.end) rows_.resize(step.points.end, kNone);
  for (uint32_t id = step.points.begin; id < step.points.end; ++id) {
    const bool there = id < rows_.size() && rows_[id] != kNone;
    if (there != inserts) continue;
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("{}: {} of point {}: expected it {}there, found it {}there",
                                 Where(runbook, step), OperationName(step.operation), id,
                                 inserts ? "not " : "", inserts ? "" : "not "));
  }
  for (uint32_t i = 0; i < step.points.size(); ++i) {
    rows_[step.points.begin + i] =
        step.operation == Operation::kDelete ? kNone : step.rows.begin + i;
  }
  if (inserts) size_ += step.points.size();
  if (step.operation == Operation::kDelete) size_ -= step.points.size();
  return {};
}

Result<RunbookSummary> CheckRunbook(const Runbook& runbook, uint64_t rows, uint64_t queries) {
  RunbookSummary summary;
  LivePoints live;
  const auto beyond = [&](const Step& step, const char* what, uint64_t most, uint64_t found) {
    return MakeError(ErrorCode::kCorrupt,
                     fmt::format("{}: expected {} below {}, those of the data, found {}",
                                 Where(runbook, step), what, most, found));
  };
  for (const Step& step : runbook.steps) {
    if (step.rows.end > rows) return beyond(step, "rows", rows, step.rows.end - 1);
    if (step.queries.end > queries) return beyond(step, "queries", queries, step.queries.end - 1);
    if (auto ok = live.Apply(runbook, step); !ok) return tl::unexpected(ok.error());
    const auto operation = static_cast<size_t>(step.operation);
    ++summary.steps[operation];
    summary.points[operation] += step.points.size();
    summary.rows = std::max<uint64_t>(summary.rows, step.rows.end);
    summary.max_live = std::max(summary.max_live, live.size());
  }
  summary.end_live = live.size();
  return summary;
}

}  // namespace shoal::bench
