// The types of jobs in this folder, for the table in runner/job_types.cc.
#pragma once

#include "runner/job.h"

namespace shoal::bench {

// "runbook": step by step, as the track does; see runbook_job.cc.
const JobType& RunbookJobType();
// "concurrent-runbook": everything at the same time; see overlap_job.cc.
const JobType& ConcurrentRunbookJobType();

}  // namespace shoal::bench
