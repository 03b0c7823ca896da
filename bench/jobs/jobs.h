// The types of jobs; runner/job_types.cc has the table.
#pragma once

#include "runner/job.h"

namespace shoal::bench {

extern const JobType kBaselineJob;           // baseline_job.cc
extern const JobType kBesideJob;             // beside_job.cc
extern const JobType kChurnJob;              // churn_job.cc
extern const JobType kConcurrentRunbookJob;  // runbook/overlap_job.cc
extern const JobType kDatabaseJob;           // database_job.cc
extern const JobType kExactSearchJob;        // exact_search_job.cc
extern const JobType kFeaturesJob;           // features_job.cc
extern const JobType kFiltersJob;            // filters_job.cc
extern const JobType kIndexJob;              // index_job.cc
extern const JobType kKernelsJob;            // kernels_job.cc
extern const JobType kRunbookJob;            // runbook/runbook_job.cc
extern const JobType kStoreStressJob;        // store_stress_job.cc

}  // namespace shoal::bench
