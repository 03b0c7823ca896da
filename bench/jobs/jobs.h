// The types of jobs in this folder, for the table in runner/job_types.cc.
#pragma once

#include "runner/job.h"

namespace shoal::bench {

// "baseline": exact counts of builds, streams and searches; see baseline_job.cc.
const JobType& BaselineJobType();
// "index": builds an index of a file and searches it; see index_job.cc.
const JobType& IndexJobType();
// "store-stress": slots under writers, retirers and readers; see store_stress_job.cc.
const JobType& StoreStressJobType();

}  // namespace shoal::bench
